defmodule UroDiscord.Accounts.Running do
  @moduledoc false
  # What processes and functions of the accounts need of a UroDiscord that has them.

  alias UroDiscord.{Config, Error, Runtime}

  @spec fetch() :: {:ok, Runtime.t()} | {:error, Error.t()}
  def fetch do
    with {:ok, %{config: config} = runtime} <- Runtime.fetch_enabled() do
      if Config.Accounts.on?(config), do: {:ok, runtime}, else: {:error, off()}
    end
  end

  defp off,
    do: %Error{
      kind: :disabled,
      message: "accounts are off: config :uro_discord, accounts: [directory: …] turns them on"
    }
end
