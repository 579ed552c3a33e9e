defmodule UroDiscord.Shards.Board do
  @moduledoc """
  The status board: one message in each configured channel, which says what is open and is edited in place.

      config :uro_discord,
        join_link: "https://v-sekai.org/join?shard={id}",
        board: [channels: [:status], title: "Worlds"]

  It lists the worlds of `UroDiscord.Shards.visible/0` with their map, players, host and the link to join them, the fullest first; of
  what does not fit it gives the sum. What people named their worlds is shown inert, and nobody is pinged.

    * The first change shows at once, further ones together, at most one in `:interval` ms. Every `:refresh` ms its "updated" is renewed, so
      that one can tell a quiet board from a dead one.
    * Its message is kept in the store: after a restart the same one is edited. One that somebody deleted is posted anew, at once with
      the intent `:guild_messages`, else with the next edit.
    * When the source of the shards does not answer, it says so, and as of when the worlds are. When UroDiscord stops it says that it is
      offline. A killed one can say nothing; there "updated" tells.
    * Of several nodes, the one that holds the gateway edits it.

  The bot needs View Channel, Send Messages and Embed Links in the channel. A board whose channel is no longer configured stays
  as it is; delete the message.

  `voice_channels: [:world]` has the sum of it, such as "11 players in 2 worlds", as the status of voice channels. For that the bot needs
  View Channel, Set Voice Channel Status and Manage Channels, which Discord asks of those who are not in the channel.

  While a portal (`UroDiscord.Portal`) is open, the message has a line with who is on its two sides, and the status of its voice channel says who of the world
  speaks, if the bot has Set Voice Channel Status there.

  With `picture: 60_000` the message also shows what the portal has on air (JPEG, of a Godot world; of several portals, the first that has a picture), and shows it
  anew so often, in ms, while somebody is in the portal's voice channel. Nothing is shown while nobody is there. Whoever can read the message sees it: say so
  to those who are in the picture.
  """

  use Supervisor
  alias UroDiscord.{Config, Domain, RestartableRegistry}
  alias UroDiscord.Shards.Board.Displays

  @registry __MODULE__.Registry

  @doc false
  @spec start_link(Config.t()) :: Supervisor.on_start()
  def start_link(%Config{} = config), do: Supervisor.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    Domain.group(
      [
        {RestartableRegistry, keys: :unique, name: @registry},
        # It stops its children at the same time: the farewell of one does not wait for another's.
        {DynamicSupervisor, name: __MODULE__.Supervisor, max_restarts: 5, max_seconds: 10},
        {Displays, {config, @registry, __MODULE__.Supervisor}}
      ],
      :rest_for_one
    )
  end

  @doc false
  @spec status() :: [map()]
  def status do
    for status <- Registry.select(@registry, [{{:_, :_, :"$1"}, [], [:"$1"]}]), status != nil, do: status
  rescue
    # There is no board, or it is just being started again.
    ArgumentError -> []
  end
end
