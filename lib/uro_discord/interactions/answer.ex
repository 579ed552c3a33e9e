defmodule UroDiscord.Interactions.Answer do
  @moduledoc false
  # What a handler says, as Discord's interaction responses
  # (https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-response-object).

  alias UroDiscord.{Interaction, Length, Runtime}
  alias UroDiscord.Interactions.{Commands, Modal, Webhook}

  @message 4
  @deferred_message 5
  @deferred_update 6
  @update 7
  @choices 8
  @modal 9
  @launch_activity 12

  @ephemeral 64
  @most_choices 25
  # Characters of a choice's name, and of its value if that is a text.
  @choice 100

  @type kind :: :private | :public | :update

  @doc "The first response, and files that cannot go with it; or what is wrong with the answer."
  @spec response(Interaction.t(), kind(), term()) :: {:ok, map(), files :: list()} | {:error, String.t()}
  def response(%Interaction{kind: :autocomplete}, _kind, {:choices, choices}) when is_list(choices),
    do:
      {:ok, %{"type" => @choices, "data" => %{"choices" => choices |> Enum.take(@most_choices) |> Enum.map(&choice/1)}},
       []}

  def response(%Interaction{kind: :autocomplete}, _kind, other), do: unusable(other)

  def response(_interaction, kind, {:ok, input}) do
    with {:ok, message} <- Webhook.message(input) do
      data = if kind == :private, do: private(message.body), else: message.body
      {:ok, %{"type" => if(kind == :update, do: @update, else: @message), "data" => data}, message.files}
    end
  end

  def response(interaction, _kind, {:error, text}) when is_binary(text), do: {:ok, apology(interaction, text), []}

  def response(%Interaction{kind: :modal}, _kind, {:modal, _modal}),
    do: {:error, "a modal cannot be answered with another one"}

  def response(_interaction, _kind, {:modal, input}) do
    with {:ok, modal} <- modal(Modal.new(input)), do: {:ok, %{"type" => @modal, "data" => modal}, []}
  end

  def response(_interaction, _kind, :launch_activity), do: {:ok, %{"type" => @launch_activity}, []}

  def response(_interaction, _kind, other), do: unusable(other)

  # What is entered must come to somebody.
  defp modal({:ok, %{"custom_id" => custom_id} = modal}) do
    {:ok, %{config: config}} = Runtime.fetch()

    if Commands.component(config, custom_id) == :error,
      do:
        {:error,
         "custom_id: #{inspect(custom_id)} begins with no command's component/0, so nobody would have what is entered"},
      else: {:ok, modal}
  end

  defp modal({:error, error}), do: {:error, Exception.message(error)}

  defp unusable(other),
    do:
      {:error,
       "handle/1 returned #{inspect(other, limit: 5, printable_limit: 100)}, which is no answer of UroDiscord.Command's here"}

  @doc "More time is needed. What comes later is seen by whom this says."
  @spec deferral(Interaction.t(), kind()) :: map()
  def deferral(%Interaction{kind: kind}, :update) when kind != :command, do: %{"type" => @deferred_update}
  def deferral(_interaction, :private), do: %{"type" => @deferred_message, "data" => %{"flags" => @ephemeral}}
  def deferral(_interaction, _public), do: %{"type" => @deferred_message}

  @doc "A text for the user alone, or no choices."
  @spec apology(Interaction.t(), String.t()) :: map()
  def apology(%Interaction{kind: :autocomplete}, _text), do: %{"type" => @choices, "data" => %{"choices" => []}}
  def apology(_interaction, text), do: %{"type" => @message, "data" => private(text(text))}

  @doc "A text as the body of a message that pings nobody."
  @spec text(String.t()) :: map()
  def text(text), do: %{"content" => text, "allowed_mentions" => %{"parse" => []}}

  @doc "For the user alone."
  @spec private(map()) :: map()
  def private(body), do: Map.update(body, "flags", @ephemeral, &Bitwise.bor(&1, @ephemeral))

  defp choice({name, value}) when is_binary(value),
    do: %{"name" => Length.cut(name, @choice), "value" => Length.cut(value, @choice)}

  defp choice({name, value}), do: %{"name" => Length.cut(name, @choice), "value" => value}
  defp choice(name), do: choice({name, name})
end
