defmodule UroDiscord.Interactions.Dispatcher do
  @moduledoc false
  # Finds whose an interaction is, and starts the process that answers it.

  require Logger

  alias UroDiscord.{Config, Interaction, Interactions}
  alias UroDiscord.Interactions.{Answer, Commands, Responder}

  # So many at once: a handler that hangs must not take all memory with it. Others are told so, as long as these are not too many.
  @at_once 64
  @put_off_at_once 256
  # So many of these of one user: others have the rest.
  @each_at_once 8

  @spec at_once() :: pos_integer()
  def at_once, do: @at_once

  @spec put_off_at_once() :: pos_integer()
  def put_off_at_once, do: @put_off_at_once

  @doc """
  Has an interaction answered. Returns at once: whatever its command does, and however long `respond` takes, is the matter of another
  process. `respond` takes Discord's interaction response, the one that must be there within 3 s, and is called once.
  """
  @spec answer(Interaction.t(), Config.t(), Responder.respond()) :: :ok
  def answer(interaction, config, respond) do
    # In a function, of which no report shows what is in it.
    case start(Interactions.Responders, fn -> run(interaction, config, respond) end) do
      :ok -> :ok
      :full -> put_off(interaction, respond)
    end
  end

  defp run(interaction, config, respond) do
    # When UroDiscord stops, what is under way gets the time that its supervisor gives it.
    Process.flag(:trap_exit, true)

    with :ok <- his(interaction.user), {:ok, module} <- Commands.find(config, interaction) do
      Responder.run(interaction, module, respond)
    else
      :too_many ->
        put_off(interaction, respond, "I am busy with what you asked for before. Please try again in a moment.")

      # Discord keeps buttons for ever, and commands until they are registered anew.
      :error ->
        respond.(Answer.apology(interaction, "I do not know this any more. Please try the command again."))
    end
  end

  # Until this process ends.
  defp his(%{id: id}) do
    {:ok, _} = Registry.register(Interactions.Users, id, nil)
    if length(Registry.lookup(Interactions.Users, id)) > @each_at_once, do: :too_many, else: :ok
  end

  defp put_off(interaction, respond) do
    Logger.warning("#{@at_once} interactions are being answered already; #{Responder.name(interaction)} was put off")
    put_off(interaction, respond, "I am busy just now. Please try again in a moment.")
  end

  defp put_off(interaction, respond, text) do
    busy = Answer.apology(interaction, text)

    if start(Interactions.PutOff, fn -> respond.(busy) end) == :full,
      do:
        Logger.error(
          "#{@put_off_at_once} interactions are being put off already; #{Responder.name(interaction)} got no answer"
        )

    :ok
  end

  defp start(supervisor, function) do
    case Task.Supervisor.start_child(supervisor, function, shutdown: 5_000) do
      {:ok, _pid} -> :ok
      {:error, :max_children} -> :full
    end
  end
end
