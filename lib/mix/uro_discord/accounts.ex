defmodule Mix.UroDiscord.Accounts do
  @moduledoc false
  # What the tasks over all users have in common.

  alias Mix.UroDiscord.Arguments
  alias UroDiscord.Apart

  @doc """
  Starts the host as its own tasks do, with UroDiscord off, and then what of it takes no gateway: `UroDiscord.Runtime` is that of an enabled one. An error
  ends the task.
  """
  @spec start!() :: :ok
  def start! do
    Mix.Task.run("app.config")
    Application.put_env(:uro_discord, :enabled, false)
    Mix.Task.run("app.start")
    with {:error, error} <- Apart.start(), do: Mix.raise(Exception.message(error))
  rescue
    error in UroDiscord.ConfigError -> Mix.raise(Exception.message(error))
  end

  @doc "Runs one of `UroDiscord.Accounts.Tasks`."
  @spec task(UroDiscord.Accounts.Tasks.task(), [String.t()]) :: :ok
  def task(task, arguments) do
    {[], options} =
      Arguments.read!(arguments, 0, [restart: :boolean, wait: :boolean], "#{name(task)} [--restart] [--no-wait]")

    start!()
    if Apart.task(task, options) != 0, do: exit({:shutdown, 1})
    :ok
  end

  defp name(:all), do: "mix uro_discord.update_all"
  defp name(task), do: "mix uro_discord.update_all_#{task}"
end
