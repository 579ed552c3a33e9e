defmodule UroDiscord do
  @moduledoc """
  Uro in Discord: notifications, and the running shards in the bot's presence.

  Put it into the supervision tree, after the Repo:

      children = [
        Uro.Repo,
        UroDiscord
      ]

  and configure it in `config/runtime.exs` (`UroDiscord.Config` has every option):

      config :uro_discord,
        token: System.fetch_env!("DISCORD_BOT_TOKEN"),
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
    Error,
    Events,
    Native,
    Notify,
    Rest,
    Runtime,
    Shards
  }

  @doc """
  Starts UroDiscord with `config :uro_discord`; `options` go before it. Raises `UroDiscord.ConfigError` when they cannot be used.
  """
  @spec start_link(keyword()) :: Supervisor.on_start()
  def start_link(options \\ []) do
    config = :uro_discord |> Application.get_all_env() |> Keyword.merge(options) |> Config.new!()
    Supervisor.start_link(__MODULE__, config, name: __MODULE__)
  end

  @impl true
  def init(%Config{enabled: false} = config) do
    Logger.info("uro_discord is disabled (enabled: false)")
    Runtime.init(%{config: config, rest: nil})
    Supervisor.init([Events, Shards], strategy: :rest_for_one)
  end

  def init(%Config{} = config) do
    case Rest.client(config) do
      {:ok, rest} -> Runtime.init(%{config: config, rest: rest})
      {:error, error} -> raise error
    end

    # A process depends on those above it: the presence is stated anew to a new bridge owner.
    Supervisor.init(
      [
        Events,
        Shards,
        {Registry, keys: :unique, name: Notify.Registry},
        {DynamicSupervisor, name: Notify.Supervisor},
        {Bridge, config},
        {Shards.Presence, config}
      ],
      strategy: :rest_for_one
    )
  end

  @doc """
  Sends a message to a channel: an alias of `config :uro_discord, channels:`, or a channel's id.

  `message` is a string, or a keyword list or map of what `UroDiscord.Notify.Message` describes: content, embeds, components,
  files, a reply. Nobody is pinged unless it says so.

  A wrong channel or message is refused at once, and nothing is sent. `{:ok, delivery}` means that it is queued; messages of
  one channel keep their order. `await/2` waits for the outcome.

  > The queue is in memory: what has not been sent when the VM stops is lost.
  """
  @spec notify(atom() | String.t() | pos_integer(), Notify.Message.input()) ::
          {:ok, Delivery.t()} | {:error, Error.t()}
  def notify(channel, message) do
    with {:ok, %{config: config}} <- Runtime.fetch(),
         {:ok, messages} <- Notify.Message.new(message),
         {:ok, channel_id} <- channel_id(config, channel) do
      queue(config, channel_id, messages)
    end
  end

  @doc "Waits until a delivery is `:delivered` or `:failed`, for at most `timeout` ms."
  @spec await(Delivery.t(), timeout()) :: {:ok, Delivery.t()} | {:error, Error.t()}
  def await(delivery, timeout \\ 30_000)
  def await(%Delivery{status: :dropped} = delivery, _timeout), do: {:ok, delivery}
  def await(%Delivery{} = delivery, timeout), do: Notify.Channel.await(delivery, timeout)

  @doc """
  Sends the calling process `{:uro_discord, topic, event}` for what happens:

    * `:shards`: see `UroDiscord.Shards`;
    * `:status`: `{:bridge, state, info}`, `{:gateway, shard, info}` and `{:presence, shard, data}`, see `status/0`;
    * `{:gateway, "MESSAGE_CREATE"}` or any other dispatch of Discord's gateway: `%{shard:, session:, seq:, type:, data:}`. The
      intents of the configuration decide what Discord sends.
  """
  @spec subscribe(Events.topic()) :: :ok
  defdelegate subscribe(topic), to: Events

  @doc "Ends a subscription of the calling process."
  @spec unsubscribe(Events.topic()) :: :ok
  defdelegate unsubscribe(topic), to: Events

  @doc """
  What is up and since when:

    * `bridge`: `state` (`:starting`, `:up`, `:waiting` before a restart, `:incompatible`), `since`, `os_pid`, `restarts`, and how the last
      one ended; its `gateway` has the state of each of Discord's gateway connections, its `presence` what was last sent there;
    * `rest`: what the REST client knows (is the token still good, what waits, what is under way).
  """
  @spec status() :: {:ok, map()} | {:error, Error.t()}
  def status do
    with {:ok, %{config: config, rest: rest}} <- Runtime.fetch() do
      if config.enabled,
        do: {:ok, %{enabled: true, bridge: Bridge.status(), rest: Native.rest_status(rest)}},
        else: {:ok, %{enabled: false}}
    end
  end

  defp channel_id(config, channel) do
    case Config.channel_id(config, channel) do
      {:ok, id} ->
        {:ok, id}

      :error when is_atom(channel) ->
        known = config.channels |> Map.keys() |> Enum.map_join(", ", &inspect/1)

        {:error,
         Error.invalid(
           "channel",
           "#{inspect(channel)} is not in `config :uro_discord, channels:` (there: #{known})"
         )}

      :error ->
        {:error,
         Error.invalid(
           "channel",
           "#{inspect(channel)} is neither an alias nor a channel's id (17 to 20 digits)"
         )}
    end
  end

  defp queue(%Config{enabled: false}, channel_id, _messages),
    do: {:ok, Delivery.new(channel_id, :dropped)}

  # Where content was split, the last part stands for all: the channel's order has the others before it.
  defp queue(_config, channel_id, messages) do
    Enum.reduce_while(messages, nil, fn message, _before ->
      delivery = Delivery.new(channel_id, :queued)

      case Notify.Channel.push(delivery, message) do
        :ok -> {:cont, {:ok, delivery}}
        {:error, error} -> {:halt, {:error, error}}
      end
    end)
  end
end
