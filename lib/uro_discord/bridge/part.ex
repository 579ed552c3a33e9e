defmodule UroDiscord.Bridge.Part do
  @moduledoc false
  # Whoever wants something of a bridge hears what it says of that. `UroDiscord.Domains` names them.

  alias UroDiscord.Bridge.Protocol

  @doc "What a bridge said. What is returned is told to it. Called by the owner of the bridge, which waits."
  @callback heard(Protocol.from_bridge()) :: [Protocol.to_bridge()]

  @doc "The bridge has ended."
  @callback ended() :: :ok
end
