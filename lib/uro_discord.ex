defmodule UroDiscord do
  @moduledoc """
  Uro in Discord: notifications, and the running shards in the bot's presence, on a status board, and announced.

  Put it into the supervision tree, after the Repo:

      children = [
        Uro.Repo,
        UroDiscord
      ]

  and configure it in `config/runtime.exs` (`UroDiscord.Config` has every option):

      config :uro_discord,
        token: System.get_env("DISCORD_BOT_TOKEN"),
        channels: [announcements: "1100000000000000001"]

  Then, from anywhere:

      {:ok, delivery} = UroDiscord.notify(:announcements, "A new world is open")
      {:ok, %UroDiscord.Delivery{status: :delivered}} = UroDiscord.await(delivery)
  """

  use Supervisor
  require Logger

  alias UroDiscord.{
    Bridge,
    Config,
    Delivery,
    Domain,
    Domains,
    Error,
    Events,
    Notify,
    Runtime,
    Secret,
    Shards,
    Shutdown,
    Status,
    Store,
    Telemetry
  }

  @doc """
  Starts UroDiscord with `config :uro_discord`; `options` go before it. Raises `UroDiscord.ConfigError` when they cannot be used.
  """
  @spec start_link(keyword()) :: Supervisor.on_start()
  def start_link(options \\ [])
  def start_link(options) when is_function(options, 0), do: options |> Secret.reveal() |> start_link()

  def start_link(options) do
    config = Config.start!(options)
    Supervisor.start_link(__MODULE__, config, name: __MODULE__)
  end

  @doc false
  # A supervisor reports with what its children were started, so that is not to be seen.
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options),
    do: %{id: __MODULE__, start: {__MODULE__, :start_link, [Secret.wrap(options)]}, type: :supervisor}

  @impl true
  def init(%Config{} = config) do
    with {:error, error} <- Runtime.init(config, Store.Keeper.store()), do: raise(error)
    Store.Keeper.prepare()
    Notify.Backlog.init()
    Shards.init_table()
    Telemetry.load()
    if not config.enabled, do: Logger.info(off())
    domains = Domains.all(config)

    # These cannot fail by themselves, so whoever ends them is somebody else, and the host's supervisor need not hear of it. The
    # subscriptions are in no domain: a subscriber ends with them.
    Supervisor.init(
      [{Events, gateway: Bridge}] ++ Enum.map(domains, &{Domain, &1}) ++ [{Shutdown, Enum.map(domains, & &1.name)}],
      strategy: :one_for_one,
      max_restarts: 1_000,
      max_seconds: 1
    )
  end

  defp off do
    if Config.server?(),
      do: "uro_discord is disabled (enabled: false)",
      else:
        "uro_discord is off here: it does not connect to Discord, and drops notifications, since this Mix task is not a server as " <>
          "`mix phx.server` and releases are. `config :uro_discord, enabled: true` has it run here too"
  end

  @typedoc "A channel, by its alias or its id, or a user of Uro's."
  @type recipient :: atom() | String.t() | pos_integer() | {:user, id :: String.t()}

  @doc """
  Sends a message to a channel: an alias of `config :uro_discord, channels:`, or a channel's id. `{:user, id}`, with the id of a user of Uro's, is a direct
  message to the Discord account that the user has linked (`UroDiscord.Accounts`).

  `message` is a string, or a keyword list or map of what `UroDiscord.Notify.Message` describes: content, embeds, components,
  files, a reply. Nobody is pinged unless it says so.

  A wrong channel or message is refused at once, and nothing is stored. `{:ok, delivery}` means that it is stored, and from then
  on it arrives once, in its order, whatever stops and starts again; or it fails for a reason that no
  retry mends, is logged, and is listed by `dead_letters/1`. `await/2` waits for the outcome.

  The order: what this function sends to a channel is there in the order in which it was accepted. So is what each key of the HTTP API and each feed
  sends there. Where several of these have messages waiting for one channel they take turns, message by message, so that none holds up
  another; what they sent may then be there in another order than it was accepted, and between the parts of a long text.

  50,000 messages may wait, over all channels (500 of each key and each feed). What is more is refused with the kind `:full`.

  After an error of the kind `:unavailable` it is not known whether the notification was stored: perhaps it arrives.

  With `overflow: :split` the delivery is that of the last part.

  A user who has linked no account is refused with the kind `:not_linked`. What was accepted goes to the account that is linked when it is sent; who has
  unlinked it by then gets nothing, and it is a dead letter (`:not_linked`). So is what a user does not take (code 50007: direct messages are off, or the
  bot is blocked). Discord does not want direct messages to many at once, and flags bots that do so: tell everybody in a channel.
  """
  @spec notify(recipient(), Notify.Message.input()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  def notify(channel, message), do: Notify.notify(channel, message)

  @doc "As `notify/2`, but raises the `UroDiscord.Error`."
  @spec notify!(recipient(), Notify.Message.input()) :: Delivery.t()
  def notify!(channel, message) do
    case notify(channel, message) do
      {:ok, delivery} -> delivery
      {:error, error} -> raise error
    end
  end

  @doc """
  Waits until a delivery is `:delivered` or `:failed`, for at most `timeout` ms. Outcomes are kept for a week.
  """
  @spec await(Delivery.t(), timeout()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  def await(%Delivery{} = delivery, timeout \\ 30_000), do: Notify.await(delivery, timeout)

  @doc """
  Replaces what a delivered message says; one that is on its way is awaited first. What `message` does not name stays as it is.
  """
  @spec edit(Delivery.t(), Notify.Message.input()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  defdelegate edit(delivery, message), to: Notify

  @doc "Deletes a delivered message; one that is on its way is awaited first."
  @spec delete(Delivery.t()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  defdelegate delete(delivery), to: Notify

  @doc """
  The notifications that failed, the latest first, at most `:limit` (100) of them; each has its `error`. They are kept for a month.
  """
  @spec dead_letters(keyword()) :: {:ok, [Delivery.t()]} | {:error, Error.t()}
  defdelegate dead_letters(options \\ []), to: Notify

  @doc "Queues a failed notification again, when what failed it is mended."
  @spec retry(Delivery.t() | String.t()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  defdelegate retry(delivery_or_id), to: Notify

  @doc """
  Sends the calling process `{:uro_discord, topic, event}` for what happens:

    * `:shards`: see `UroDiscord.Shards`;
    * `:status`: `{:bridge, state, info}`, `{:gateway, shard, info}`, `{:presence, shard, data}`, `{:panic, what, which}`, `{:lease, :held | :lost}`
      (see `UroDiscord.Gateway.Leader`) and `{:identifies, info}`, see `status/0`; `{:shards, status}`, see `UroDiscord.Shards.source_status/0`;
    * `:voice`: see `UroDiscord.Voice`; `:portal`: see `UroDiscord.Portal`; `:accounts`: see `UroDiscord.Accounts`;
    * `{:gateway, "MESSAGE_CREATE"}` or any other dispatch of Discord's gateway: `%{shard:, session:, seq:, type:, data:}`. The
      intents of the configuration decide what Discord sends.

    * `{:webhook, "APPLICATION_DEAUTHORIZED"}` or any other of Discord's webhook events, with `public_key:` set: `%{type:, timestamp:, data:}`.

  A subscriber is linked to its subscription: it ends when UroDiscord does, for its supervisor to start it again. Who subscribes
  twice gets each event once, and `unsubscribe/1` ends both.

  What could never say anything is refused with `{:error, error}`, which says what there is: a topic, type or option that is unknown, a
  type whose intent is missing, a webhook event without `public_key:`. With `enabled: false` nothing comes, and what is right is `:ok`.

  ## Events that must not be missed

  An event of Discord's is handled when it was sent to its subscribers. With `ack: true` it is handled when the subscriber has called
  `ack/1`:

      # config :uro_discord, gateway: [events: ["MESSAGE_CREATE"]]

      def init(state) do
        :ok = UroDiscord.subscribe({:gateway, "MESSAGE_CREATE"}, ack: true)
        {:ok, state}
      end

      def handle_info({:uro_discord, {:gateway, "MESSAGE_CREATE"}, event}, state) do
        :ok = MyApp.store(event.data, {event.session, event.seq})
        UroDiscord.ack(event)
        {:noreply, state}
      end

  The type must be one of the `gateway: [events:]` of the configuration. These are kept while nobody is subscribed to them: after a start, until the
  subscriber is there, and after it died, until it is there again. So every event comes **at least once**, whatever is killed, as long as
  Discord keeps the session (a few minutes); `session` and `seq` together name it, and tell a repeat. In particular:

    * an event is for those who are subscribed when it comes, or if there are none, for the first who subscribes;
    * what a subscriber had not acknowledged when it ended comes to the next one, unless it came to others too. An event during which
      subscribers crashed twice is logged and given up;
    * `unsubscribe/1` lets go of what is not acknowledged;
    * no more than about 1,000 events wait for a subscriber. Then no others are taken from Discord, which keeps them; `status/0` and
      the log tell who holds back the gateway. That also goes for a subscriber that does not acknowledge and is slow.
  """
  @spec subscribe(Events.topic(), ack: boolean()) :: :ok | {:error, Error.t()}
  defdelegate subscribe(topic, options \\ []), to: Events

  @doc """
  An event that came to a subscriber with `ack: true` is handled. Any process may say so, once for each subscriber; order does not
  matter.
  """
  @spec ack(map()) :: :ok | {:error, Error.t()}
  def ack(%{subscriber: subscriber, shard: shard, session: session, seq: seq}),
    do: with({:ok, _} <- Runtime.fetch(), do: Bridge.acknowledge({shard, session, seq}, subscriber))

  def ack(_event),
    do: {:error, Error.invalid("event", "is none that came to a subscriber with `ack: true`")}

  @doc "Ends a subscription of the calling process."
  @spec unsubscribe(Events.topic()) :: :ok
  defdelegate unsubscribe(topic), to: Events

  @doc """
  What is up and since when. What cannot start yet (a database that is away, a port in use) is tried again until it can, and is here:

    * `domains`: each of the parts that begin anew by themselves: `state` (`:up`, or `:waiting` before the next start), `since`, `restarts`,
      and the `reason` of the last end;
    * `store`: `state` (`:opening`, `:open`, `:unavailable`), `since` and `error`;
    * `bridge`: `state` (`:starting`, `:up`, `:waiting` before a restart, `:absent` when it runs elsewhere and has not connected, `:incompatible`,
      `:down`), `since`, `os_pid`, `restarts`, and how the last one ended, or why it is absent (`last_end`); its `presence` has what was last sent on each shard, and `panics` counts what faults of ours have ended and begun anew: each a
      `room` of voice, a `shard`'s connection, the room of a `portal`, or a `connection` of HTTP;
    * `bridges`: the same of each bridge of the configuration, by its name, with its `roles`, its endpoint for portals' `media`, and the listener (`web`) of one that is for portals' peers only; `bridge` is the one that has the gateway, of several the first that is up;
    * `gateway`:
      * `lease`: whether this node has `held` it, and its `holder`, a name for a VM;
      * `shards`: the state of each of Discord's connections: `state` (`:waiting` to identify, `:connecting`, `:identifying`, `:resuming`,
        `:active`, `:disconnected`, or `:fatal`, with `code`, `reason` and `advice`), and `since`;
      * `identifies`: how many are left (`remaining`, nil while Discord was not asked), until `reset_at`; `state` is `:refused` when these are
        as few as `gateway: [identify_floor:]`, and `:unauthorized` when Discord does not know the token; the shards that are `waiting`;
      * `held_back`: nil, or `for_ms` and `by`: the subscribers (`pid`, `name`, current `function`, `mailbox` or `unacknowledged` events) or types
        (`type`, events that are `unsubscribed`) because of which no events are taken from Discord;
    * `rest`: what the REST client knows (is the token still good, what waits, what is under way);
    * `notifications`: how many are `queued`, and how many have `failed`;
    * `shards`: how many there are, how many of them are `visible`, the status of their `source`, and when one that does not answer is asked
      again (`source_retry_at`);
    * `board`: of each channel with a status board its `channel_id`, `kind` (`:message`, `:voice_status`), `message_id`, `updated_at`, and `state`:
      `:starting`, `:posting` (Discord has yet to take its message), `:shown`, `:failing` (with the `error`), or `:left_to_another_node`;
    * `feeds`: of each what is `left` of its new messages `per_hour`, how many were `refused` since the start, and last when (`refused_at`); and
      of each project that is `polled` its `state` (`:well`, `:failing` with the `error`, or `:left_to_another_node`) and `next_at`;
    * `web`: of the HTTP listener that `config :uro_discord, web:` asks for, nil without one: `state` (`:starting`, `:listening`, `:waiting`
      to try again, with the `reason`, or `:closed`), `since`, and its `url` while it listens;
    * `portal`: nil without `portal: [key: …]`; the endpoint of `media` (of several bridges the one that is worst, with the name of its `bridge`): `state` (as that of `web`), `since`, its `addresses` while it listens, the `reason` while it
      does not; and of each portal that is `open` its `id`, `guild_id`, `channel_id`, `world`, `state` and `reason` as `t:UroDiscord.Portal.status/0` has them, the
      names of its `peers`, of `members` in the voice channel, and of `speakers` of the world;
    * `accounts`: nil without `accounts: [directory: …]`; of each of their `guilds` how it is (`state`: `:unknown` until it was asked, `:well`, `:troubled`,
      `:unreachable`), the `problems` of its rules, what Discord `refused`, and of whom a nickname or a role was `skipped`, with the reasons (100 of each at most);
      of each message of `self_roles` its `name`, `channel_id`, `message_id`, `state` (`:posting`, `:shown`, `:failing` with the `error`, `:left_to_another_node`); of each of `tasks` that was run here the `task`,
      its `state` (`:running`, `:done`, `:interrupted`), and how many were `done` of the `total`, `changed`, `failed`, and are `waiting` to be tried again;
      of the `queue` how many `users` are to be synced, and the `error` of the last that failed; of the `changes` in Uro when all linked users were asked for
      last (`polled_at`), how many were `unread`, and the `error` if asking failed since; of `linked_roles` when all were `looked_at` last, and the `error` if
      that failed since (nil before the first time, and on nodes that do not hold the gateway).
  """
  @spec status() :: {:ok, map()} | {:error, Error.t()}
  defdelegate status, to: Status, as: :fetch
end
