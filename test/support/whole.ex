defmodule UroDiscord.Whole do
  @moduledoc "UroDiscord with everything that it can be told to have, and whether all of that is well."

  import UroDiscord.Case, only: [eventually: 1, start_uro_discord!: 2]
  alias UroDiscord.{DiscordSim, TestDirectory, Tree}

  @doc "Its configuration: one world is open, with three players."
  def config(sim) do
    [
      intents: [:guilds, :guild_members, :guild_messages, :guild_voice_states],
      gateway: [events: ["MESSAGE_CREATE"]],
      board: [channels: [:status], voice_channels: [:lobby]],
      announcements: [channel: :announcements],
      feeds: [hub: [source: :github, secret: "secret of the hub", rules: [[channel: :builds]]]],
      shards: [source: {:uro, __MODULE__, :shards, []}, poll: 100],
      web: [port: 0],
      accounts: [
        directory: TestDirectory,
        client_secret: "the-secret-of-the-application",
        public_url: "https://uro.example/discord",
        guilds: [[id: "1300000000000000100", nickname: "{display_name}"]],
        token_key: Base.encode64(String.duplicate("k", 32)),
        linked_roles: [[key: "is_admin", name: "Admin", description: "is an admin of Uro", type: :boolean_equal]]
      ],
      portal: [key: String.duplicate("key of portals ", 3), udp: [ip: "127.0.0.1", port: 0]]
    ]
    |> Keyword.merge(DiscordSim.config(sim), fn _key, ours, _sims -> ours end)
  end

  @doc false
  def shards, do: [%{id: "7", name: "Plaza", current_users: 3, max_users: 10, updated_at: DateTime.utc_now()}]

  def start!(sim) do
    start_uro_discord!(sim, config(sim))
    true = eventually(fn -> well?(sim, []) end)
  end

  @doc "Whether everything is up, Discord shows it, and these processes are there."
  def well?(sim, paths) do
    with {:ok, %{bridge: %{state: :up}, gateway: %{shards: %{0 => %{state: :active}}}} = status} <- UroDiscord.status(),
         true <- Enum.all?(status.domains, fn {_name, domain} -> domain.state == :up end),
         [] <- paths -- Map.keys(Tree.processes(UroDiscord)) do
      DiscordSim.presence_text(sim) == "3 players in 1 world"
    else
      _not_yet -> false
    end
  end
end
