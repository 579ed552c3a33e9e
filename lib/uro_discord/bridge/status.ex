defmodule UroDiscord.Bridge.Status do
  @moduledoc false
  # How a bridge is, as its owner last said it: a fact of `UroDiscord.Runtime`, so whoever asks waits for nobody. `UroDiscord.status/0` gives the shapes.

  alias UroDiscord.Runtime

  @type panics :: %{
          room: non_neg_integer(),
          shard: non_neg_integer(),
          portal: non_neg_integer(),
          connection: non_neg_integer()
        }

  @no_panics %{room: 0, shard: 0, portal: 0, connection: 0}
  @no_gateway %{shards: %{}, held_back: nil}

  @spec no_panics() :: panics()
  def no_panics, do: @no_panics

  @doc "The calling process owns this bridge, which is so. `gateway` is nil for one without that role."
  @spec put(atom(), map(), map() | nil) :: :ok
  def put(name, bridge, gateway),
    do: Runtime.put({:bridge, name}, %{owner: self(), at: now(), bridge: bridge, gateway: gateway || @no_gateway})

  @doc "`server` is the process that owns it, when there is one."
  @spec fetch(atom(), server :: atom()) :: %{bridge: map(), gateway: map()}
  def fetch(name, server) do
    with %{owner: owner} = said <- Runtime.lookup({:bridge, name}),
         true <- Process.alive?(owner),
         do: until_now(said),
         else: (_gone -> gone(server))
  end

  defp until_now(%{bridge: bridge, gateway: gateway, at: at}) do
    held_back = with %{for_ms: ms} = held_back <- gateway.held_back, do: %{held_back | for_ms: ms + now() - at}
    %{bridge: bridge, gateway: %{gateway | held_back: held_back}}
  end

  defp gone(server) do
    bridge = %{
      state: :down,
      since: nil,
      os_pid: nil,
      restarts: 0,
      last_end: "#{inspect(server)} is not running just now",
      presence: %{},
      web: nil,
      panics: @no_panics
    }

    %{bridge: bridge, gateway: @no_gateway}
  end

  defp now, do: System.monotonic_time(:millisecond)
end
