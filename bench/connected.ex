defmodule Connected do
  @moduledoc false

  # discord.js and discord.py are ready when the gateway is.
  def wait do
    :ok = UroDiscord.subscribe(:status)

    case UroDiscord.status() do
      {:ok, %{gateway: %{shards: %{0 => %{state: :active}}}}} -> :ok
      _not_yet -> receive(do: ({:uro_discord, :status, {:gateway, 0, %{state: :active}}} -> :ok))
    end

    UroDiscord.unsubscribe(:status)
  end
end
