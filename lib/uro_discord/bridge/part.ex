defmodule UroDiscord.Bridge.Part do
  @moduledoc false
  # Whoever wants something of a bridge hears what it says of that. `UroDiscord.Domains` names them.

  alias UroDiscord.Bridge.Protocol

  @doc "What the bridge of this name said. What is returned is told to it. Called by the owner of the bridge, which waits."
  @callback heard(bridge :: atom(), Protocol.from_bridge()) :: [Protocol.to_bridge()]

  @doc "The bridge of this name has ended."
  @callback ended(bridge :: atom()) :: :ok
end
