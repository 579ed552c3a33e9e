defmodule UroDiscord.TestCommands do
  @moduledoc "Commands that behave as a test wants. `Slow` and `Hung` wait until they are told to go on by `{:go, answer}`."

  alias UroDiscord.Interaction

  defmodule Plain do
    @moduledoc false
    @behaviour UroDiscord.Command

    @impl true
    def command,
      do: %{
        name: "plain",
        description: "Says what it is told to",
        options: [%{type: 3, name: "say", description: "What"}]
      }

    @impl true
    def component, do: "plain"

    @impl true
    def answers(%Interaction{options: %{"say" => "public" <> _}}), do: :public
    def answers(%Interaction{options: %{"say" => "answers crash"}}), do: raise("crashed in answers/1: s3cret")
    def answers(%Interaction{kind: :component}), do: :update
    def answers(_interaction), do: :private

    @impl true
    def handle(%Interaction{kind: :component, custom_id: "plain:" <> what, values: values}),
      do: {:ok, Enum.join([what | values], " ")}

    def handle(%Interaction{options: %{"say" => "crash"}}), do: raise("a crash")
    def handle(%Interaction{options: %{"say" => "exit"}}), do: exit(:gone)
    def handle(%Interaction{options: %{"say" => "nonsense"}}), do: :nonsense
    def handle(%Interaction{options: %{"say" => "too long"}}), do: {:ok, String.duplicate("a", 2_001)}
    def handle(%Interaction{options: %{"say" => "refuse"}}), do: {:error, "No."}
    def handle(%Interaction{options: %{"say" => "a file"}}), do: {:ok, content: "here", files: [{"a.txt", "inside"}]}

    def handle(%Interaction{options: %{"say" => "public button"}}) do
      button = %{type: 2, style: 1, label: "Again", custom_id: "plain:pressed"}
      menu = %{type: 3, custom_id: "plain:chosen", options: [%{label: "A", value: "a"}, %{label: "B", value: "b"}]}
      slow = %{type: 2, style: 1, label: "Slowly", custom_id: "slow:pressed"}
      {:ok, content: "press", components: [%{type: 1, components: [button, slow]}, %{type: 1, components: [menu]}]}
    end

    def handle(%Interaction{options: %{"say" => text}}), do: {:ok, text}
  end

  defmodule Slow do
    @moduledoc false
    @behaviour UroDiscord.Command

    @impl true
    def command, do: %{name: "slow", description: "Takes its time"}

    @impl true
    def component, do: "slow"

    @impl true
    def answers(%Interaction{kind: :component}), do: :update
    def answers(_interaction), do: :private

    @impl true
    def handle(interaction) do
      send(UroDiscord.TestCommands, {:slow, self(), interaction})

      receive do
        {:go, answer} -> answer
        :crash -> raise "a late crash"
      end
    end
  end
end
