defmodule UroDiscord.Interactions.Registration do
  @moduledoc false
  # Tells Discord which commands there are, when that has changed: Discord allows 200 new commands a day. What was registered
  # last is in the store, as a hash. It is a domain of its own: what goes wrong here in a way that nobody has thought of is tried again too, and
  # costs no answer to a command.

  use Task, restart: :transient
  require Logger

  alias UroDiscord.{Backoff, Error, Rest, Runtime, Store}
  alias UroDiscord.Interactions.Commands

  # What opens an Activity. It is in no module, and goes if it is not in the list.
  @entry_point 4

  @spec start_link(UroDiscord.Config.t()) :: {:ok, pid()}
  def start_link(config), do: Task.start_link(__MODULE__, :run, [config, 0, nil])

  @doc false
  # `told` is the last error that was logged.
  def run(config, failures, told) do
    {:ok, runtime} = Runtime.fetch()

    case register(runtime, Commands.definitions(config)) do
      :unchanged ->
        :ok

      {:ok, count} ->
        Logger.info("#{count} commands are registered with Discord")

      {:error, %Error{kind: kind} = error} when kind in [:api, :invalid] ->
        Logger.error("Discord does not take the commands: #{Exception.message(error)} #{errors(error)}")

      {:error, error} ->
        # Said once for each reason.
        if Exception.message(error) != told,
          do: Store.failed(error, "the commands could not be registered, and will be tried again")

        Process.sleep(Backoff.delay({1_000, 300_000}, failures))
        run(config, failures + 1, Exception.message(error))
    end
  end

  @doc "`:unchanged`, or how many commands Discord has now."
  @spec register(Runtime.t(), [map()]) :: :unchanged | {:ok, non_neg_integer()} | {:error, Error.t()}
  def register(runtime, definitions) do
    hash = hash(definitions)

    case registered(runtime) do
      {:ok, ^hash} -> :unchanged
      {:ok, _other} -> overwrite(runtime, definitions, hash)
      {:error, error} -> {:error, error}
    end
  end

  defp overwrite(runtime, definitions, hash) do
    with {:ok, %{body: %{"id" => application_id}}} <-
           Rest.call(runtime.rest, :get_current_user_application_info, retry: :safe),
         {:ok, %{body: there}} <- Rest.call(runtime.rest, {:get_global_commands, application_id}, retry: :safe),
         kept = for(%{"type" => @entry_point} = command <- there, do: command),
         commands = definitions ++ kept,
         {:ok, _} <- Rest.call(runtime.rest, {:set_global_commands, application_id}, json: commands, retry: :safe),
         :ok <- note(runtime, hash),
         do: {:ok, length(commands)}
  end

  defp registered(runtime) do
    sql = "SELECT hash FROM uro_discord_commands WHERE bot_id = $1"

    with {:ok, [%{rows: rows}]} <- Store.run(runtime.store, [{sql, [runtime.bot_id]}], :read),
         do: {:ok, rows |> List.flatten() |> List.first()}
  end

  defp note(runtime, hash) do
    sql = """
    INSERT INTO uro_discord_commands (bot_id, hash) VALUES ($1, $2) ON CONFLICT (bot_id) DO UPDATE SET hash = excluded.hash
    """

    with {:ok, _} <- Store.run(runtime.store, [{sql, [runtime.bot_id, hash]}], :write), do: :ok
  end

  defp hash(definitions) do
    sorted = Enum.sort_by(definitions, &to_string(&1[:name] || &1["name"]))
    :crypto.hash(:sha256, :erlang.term_to_binary(sorted, [:deterministic])) |> Base.encode16(case: :lower)
  end

  defp errors(%Error{errors: nil}), do: ""
  defp errors(%Error{errors: errors}), do: inspect(errors, limit: 50, printable_limit: 500)
end
