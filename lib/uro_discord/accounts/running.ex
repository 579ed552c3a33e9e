defmodule UroDiscord.Accounts.Running do
  @moduledoc false
  # What processes and functions of the accounts need of a UroDiscord that has them.

  alias UroDiscord.{Accounts, Config, Error, Runtime}

  # A person waits, and Discord's part of it has its own limits.
  @longest_ms 30_000

  @spec fetch() :: {:ok, Runtime.t()} | {:error, Error.t()}
  def fetch do
    with {:ok, %{config: config} = runtime} <- Runtime.fetch_enabled() do
      if Config.Accounts.on?(config), do: {:ok, runtime}, else: {:error, off()}
    end
  end

  @doc """
  Calls a function in a task that does not end with the calling process, as when a browser goes away. `:later`: it has not ended within 30 s, and goes on; it
  has crashed; or it could not be started.
  """
  @spec to_its_end((() -> result)) :: {:ok, result} | :later when result: term()
  def to_its_end(function) do
    task = Task.Supervisor.async_nolink(Accounts.TaskSupervisor, function)

    case Task.yield(task, @longest_ms) do
      {:ok, result} ->
        {:ok, result}

      nil ->
        Process.demonitor(task.ref, [:flush])
        :later

      {:exit, _logged} ->
        :later
    end
  catch
    # The supervisor of the tasks is not there just now.
    :exit, _not_there -> :later
  end

  defp off,
    do: %Error{
      kind: :disabled,
      message: "accounts are off: config :uro_discord, accounts: [directory: …] turns them on"
    }
end
