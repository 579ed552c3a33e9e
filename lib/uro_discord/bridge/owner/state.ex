defmodule UroDiscord.Bridge.Owner.State do
  @moduledoc false
  # What the owner of a bridge knows.

  alias UroDiscord.Bridge.{Changes, Pings, Protocol}

  @enforce_keys [
    :name,
    :roles,
    :bridge,
    :parts,
    :open,
    :gateway,
    :desires,
    :since,
    :backoff,
    :least_version,
    :hold
  ]
  defstruct [
    :name,
    :roles,
    # As the configuration has it.
    :bridge,
    # nil for a process of ours.
    :node,
    # Of the protocol, for what the other bridges are.
    :least_version,
    # For how long it may hold calls and portals.
    :hold,
    # Who hears what it says of voice, of HTTP and of portals.
    :parts,
    # Opens its transport.
    :open,
    # nil without this role.
    :gateway,
    # The parts of the desired state that it has.
    :desires,
    :since,
    :backoff,
    :transport,
    :os_pid,
    :last_end,
    # Which messages that want an answer it knows, as its hello says.
    knows: [],
    phase: :starting,
    # Whether others have a share of the gateway too.
    spread?: false,
    run: 0,
    # That of the protocol which both know.
    version: Protocol.version(),
    # Its listener, where that is for portals' peers only.
    web: nil,
    buffer: Protocol.empty(),
    pings: %Pings{},
    # What this bridge said that is not known here, by name.
    unknown: [],
    # Of these, what the bridge has yet to be told.
    changes: Changes.none(),
    # Set while a full mailbox holds back the bridge.
    look_again: nil,
    # Whether something holds it back, as it was last told.
    held_back?: false,
    # What panics have ended, of all bridges of this owner.
    panics: nil
  ]
end
