defmodule UroDiscord.Config.Shards do
  @moduledoc """
  The options under `shards:`, which say where shards come from and which of them are shown.

      config :uro_discord,
        shards: [
          source: :uro,
          pubsub: Uro.PubSub,
          trusted: ["203.0.113.7"]
        ]

  ## Where they come from

    * `source: :put` (the default): the host calls `UroDiscord.Shards.put/1` and `delete/1`, which work beside the others too;
    * `source: :uro`: `Uro.VSekai` in this very VM, asked with `list_fresh_shards/0`, or `list_fresh_zones/0` in newer forks, every `poll`
      ms, and at once when Ecto's telemetry tells of a write to the table;
    * `source: {:uro, MyApp.Worlds, :list, []}`: the same with another function that returns such structs or maps;
    * `source: {:http, "https://uro.example/api/v1/shards"}`: a Uro elsewhere, through its REST API. It tells no player counts.

  A shard is closed when its last heartbeat (updated_at, in newer forks last_put_at) is older than `freshness`, at the latest one poll
  later; over HTTP, where times are not told, when Uro lists it no longer. If the source does not answer, its shards stay until then, and after three
  failures `UroDiscord.Shards.source_status/0` says so. Private zones are nobody's business.

  As of 2025-06 every heartbeat of a shard whose host was signed in fails in Uro, so that it is listed for 30 s and no longer: `get_shard!/1`
  preloads an association that users do not have. The remedy is one line of `lib/uro/v_sekai.ex`:

      |> Repo.preload(user: [:user_privilege_ruleset])     # was: user: [:user]

  Until then a longer `freshness`, say 600_000, keeps such a shard for that long after it opened, be it still there or not. Shards whose
  heartbeat works close as they say goodbye, and only those that crash stay for longer than they should.

  `pubsub:` gets every event as subscribers of `UroDiscord.subscribe/1` do, `{:uro_discord, :shards, event}` on the topic
  `"uro_discord:shards"`, on all nodes: where several nodes run UroDiscord, it comes from each. Events wait for a PubSub that starts later, and a second more for those
  that subscribe to it. Who starts later still asks `UroDiscord.Shards.list/0` after subscribing.

  ## Which are shown

  Uro takes a shard from anybody, with any name, address and host: believe none of them. The limits see to it that one who registers
  many does not fill the list, and that those who come later do not displace those who were there. `trusted` names addresses and
  hosts (ids of Uro's users) that the limits per address and per host do not hold for, and that go first; with `trusted_only: true`
  nobody else is shown. As Uro stands, both can be forged too. `mix uro_discord.shards.hide` hides what should not be seen.
  """

  import UroDiscord.Config.Checks
  import UroDiscord.Config.Option, only: [option: 3]
  alias UroDiscord.Config.Option

  @doc false
  @spec options() :: [Option.t()]
  def options do
    [
      option(:source, &source/1,
        default: :put,
        doc: "where the shards come from, besides `UroDiscord.Shards.put/1`",
        allowed: ":put, :uro, {:uro, module, function, arguments} or {:http, url}",
        example: "shards: [source: :uro]"
      ),
      option(:poll, &integer(&1, 100..3_600_000),
        default: 5_000,
        doc: "how often the source is asked, in ms",
        allowed: "an integer from 100 to 3600000",
        example: "shards: [poll: 5_000]"
      ),
      option(:freshness, &integer(&1, 1_000..86_400_000),
        default: 30_000,
        doc: "how old, in ms, the last heartbeat of an open shard may be",
        allowed: "an integer from 1000 to 86400000",
        example: "shards: [freshness: 30_000]"
      ),
      option(:telemetry_prefix, &prefix/1,
        default: [:uro, :repo],
        doc: "the telemetry_prefix of the Repo whose writes tell `source: :uro` to look at once; nil to only poll",
        allowed: "a list of atoms, or nil",
        example: "shards: [telemetry_prefix: [:uro, :repo]]"
      ),
      option(:pubsub, &pubsub/1,
        doc: "the Phoenix.PubSub that gets every event too, on the topic \"uro_discord:shards\"",
        allowed: "the name of a Phoenix.PubSub, or nil",
        example: "shards: [pubsub: Uro.PubSub]"
      ),
      option(:show_addresses, &boolean/1,
        default: false,
        doc: "whether address and port of a shard may be shown",
        allowed: "true or false",
        example: "shards: [show_addresses: true]"
      ),
      option(:max_visible, &integer(&1, 1..10_000),
        default: 100,
        doc: "how many shards are shown and counted at most",
        allowed: "an integer from 1 to 10000",
        example: "shards: [max_visible: 100]"
      ),
      option(:max_per_address, &integer(&1, 1..10_000),
        default: 10,
        doc: "how many of them may have the same address (for IPv6, the same /64)",
        allowed: "an integer from 1 to 10000",
        example: "shards: [max_per_address: 10]"
      ),
      option(:max_per_host, &integer(&1, 1..10_000),
        default: 5,
        doc: "how many of them may have the same host",
        allowed: "an integer from 1 to 10000",
        example: "shards: [max_per_host: 5]"
      ),
      option(:trusted, &trusted/1,
        default: [],
        doc: "addresses and host ids whose shards go first, and as many as they are",
        allowed: "a list of strings: addresses, and ids of Uro's users",
        example: ~s|shards: [trusted: ["203.0.113.7", "0192f3a1-0000-7000-8000-000000000001"]]|
      ),
      option(:trusted_only, &boolean/1,
        default: false,
        doc: "whether the trusted ones are all that is shown",
        allowed: "true or false",
        example: "shards: [trusted_only: true]"
      )
    ]
  end

  defp source(value) when value in [:put, :uro], do: {:ok, value}

  defp source({:uro, module, function, arguments} = source)
       when is_atom(module) and is_atom(function) and is_list(arguments) do
    if Code.ensure_loaded?(module) and not function_exported?(module, function, length(arguments)),
      do: {:error, "there is no #{Exception.format_mfa(module, function, length(arguments))}"},
      else: {:ok, source}
  end

  defp source({:http, url}) when is_binary(url) do
    with {:ok, url} <- url(url, ["https", "http"]), do: {:ok, {:http, url}}
  end

  defp source(value), do: is_not(value, "a source of shards")

  defp prefix(nil), do: {:ok, nil}

  defp prefix(value) do
    if is_list(value) and value != [] and Enum.all?(value, &is_atom/1),
      do: {:ok, value},
      else: is_not(value, "a list of atoms")
  end

  defp pubsub(nil), do: {:ok, nil}

  defp pubsub(value) when is_atom(value) do
    if Code.ensure_loaded?(Phoenix.PubSub),
      do: {:ok, value},
      else: {:error, "there is no Phoenix.PubSub here, which #{inspect(value)} would be one of"}
  end

  defp pubsub(value), do: is_not(value, "a name")

  defp trusted(value) do
    if is_list(value) and Enum.all?(value, &(is_binary(&1) and &1 != "" and String.valid?(&1))),
      do: {:ok, value},
      else: is_not(value, "a list of strings")
  end
end
