defmodule UroDiscord.Interactions.Responder do
  @moduledoc false
  # Answers one interaction: runs its handler, asks Discord for more time if that takes long, and says something kind if it
  # crashes. A task of `UroDiscord.Interactions.Responders`.

  require Logger

  alias UroDiscord.{Error, Interaction, Interactions}
  alias UroDiscord.Interactions.{Answer, Webhook}
  alias UroDiscord.Notify.Message

  # Discord waits 3 s for the first response, which is on its way for a while.
  @defer_ms 2_000
  # The token is good for 15 minutes.
  @longest_ms 14 * 60 * 1_000

  @crashed "Something went wrong here. It was noted; please try again later."
  @too_long "This took too long. Please try again later."

  @typedoc "Takes the first response to Discord."
  @type respond :: (map() -> :ok | {:error, Error.t()})

  @doc false
  @spec run(Interaction.t(), module(), respond()) :: :ok
  def run(interaction, module, respond) do
    case kind(interaction, module) do
      {:ok, kind} -> handle(interaction, module, kind, respond)
      :crashed -> first(interaction, :private, respond, crashed(interaction))
    end
  end

  defp kind(interaction, module) do
    {:ok, answers(module, interaction)}
  rescue
    exception ->
      Logger.error(Exception.format(:error, exception, __STACKTRACE__))
      :crashed
  end

  # Who sees what this module answers.
  defp answers(module, interaction) do
    case function_exported?(module, :answers, 1) && module.answers(interaction) do
      :public -> :public
      # A command is on no message, and neither is a modal that a command was answered with.
      :update -> if is_map(interaction.data["message"]), do: :update, else: :private
      _ -> :private
    end
  end

  defp handle(interaction, module, kind, respond) do
    task = Task.Supervisor.async_nolink(Interactions.Handlers, module, :handle, [interaction])

    case Task.yield(task, @defer_ms) do
      nil -> slow(interaction, kind, respond, task)
      {:ok, answer} -> first(interaction, kind, respond, answer)
      {:exit, _reason} -> first(interaction, kind, respond, crashed(interaction))
    end
  end

  # Nobody waits for choices: by now something else is typed.
  defp slow(%Interaction{kind: :autocomplete} = interaction, kind, respond, task) do
    Task.shutdown(task, :brutal_kill)
    first(interaction, kind, respond, {:choices, []})
  end

  defp slow(interaction, kind, respond, task), do: defer(interaction, kind, respond, fn -> wait(task) end)

  @doc "What was used, for the log."
  @spec name(Interaction.t()) :: String.t()
  def name(%Interaction{command: [_ | _] = path}), do: "/" <> Enum.join(path, " ")
  def name(%Interaction{custom_id: custom_id}), do: "the component #{inspect(custom_id)}"

  defp first(interaction, kind, respond, answer) do
    case Answer.response(interaction, kind, answer) do
      {:ok, response, []} -> sent(interaction, respond.(response))
      # Files go with what comes later only.
      {:ok, _response, _files} -> defer(interaction, kind, respond, fn -> answer end)
      {:error, wrong} -> sent(interaction, respond.(Answer.apology(interaction, mistaken(interaction, wrong))))
    end
  end

  defp defer(interaction, kind, respond, answer) do
    sent(interaction, respond.(Answer.deferral(interaction, kind)))
    sent(interaction, later(interaction, kind, answer.()))
  end

  # The task's own crash report has the reason.
  defp wait(task) do
    case Task.yield(task, @longest_ms) || Task.shutdown(task, :brutal_kill) do
      {:ok, answer} -> answer
      {:exit, _reason} -> :crashed
      nil -> :too_long
    end
  end

  defp later(interaction, kind, {:ok, input}) do
    case Webhook.message(input) do
      {:ok, message} -> Webhook.edit(interaction, message)
      {:error, wrong} -> later(interaction, kind, {:error, mistaken(interaction, wrong)})
    end
  end

  defp later(interaction, :update, {:error, text}),
    do: Webhook.follow_up(interaction, Answer.private(Answer.text(text)))

  defp later(interaction, _kind, {:error, text}), do: Webhook.edit(interaction, %Message{body: Answer.text(text)})
  defp later(interaction, kind, :crashed), do: later(interaction, kind, crashed(interaction))

  defp later(interaction, kind, :too_long) do
    Logger.error(
      "#{name(interaction)} did not come to an end within #{div(@longest_ms, 60_000)} minutes, and was stopped"
    )

    later(interaction, kind, {:error, @too_long})
  end

  # Discord takes them as the first answer only.
  defp later(interaction, kind, answer)
       when answer == :launch_activity or (is_tuple(answer) and elem(answer, 0) == :modal) do
    wrong = "a modal or an Activity can only be answered with within #{@defer_ms} ms"
    later(interaction, kind, {:error, mistaken(interaction, wrong)})
  end

  defp later(interaction, kind, other) do
    {:error, wrong} = Answer.response(interaction, kind, other)
    later(interaction, kind, {:error, mistaken(interaction, wrong)})
  end

  defp crashed(interaction) do
    Logger.error("#{name(interaction)} crashed, as reported above; user #{interaction.user.id} was told so")
    {:error, @crashed}
  end

  defp mistaken(interaction, wrong) do
    Logger.error("#{name(interaction)} gave no usable answer: #{wrong}")
    @crashed
  end

  defp sent(_interaction, :ok), do: :ok

  defp sent(interaction, {:error, error}) do
    Logger.warning("the answer to #{name(interaction)} did not reach Discord: #{Exception.message(error)}")
  end
end
