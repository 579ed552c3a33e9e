defmodule Connected do
  @moduledoc false

  # A bench that ends takes its simulator along: then nobody answers, and who waits must end too.
  @timeout 60_000

  # discord.js and discord.py are ready when the gateway is.
  def wait do
    :ok = UroDiscord.subscribe(:status)

    case UroDiscord.status() do
      {:ok, %{gateway: %{shards: %{0 => %{state: :active}}}}} -> :ok
      _not_yet -> await()
    end

    UroDiscord.unsubscribe(:status)
  end

  defp await do
    receive do
      {:uro_discord, :status, {:gateway, 0, %{state: :active}}} -> :ok
    after
      @timeout -> raise "the gateway is not connected after #{div(@timeout, 1_000)} s"
    end
  end
end
