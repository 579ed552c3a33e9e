defmodule UroDiscord.Events do
  @moduledoc false
  # Who wants to hear of what. Topics are those of `UroDiscord.subscribe/2`; a subscriber gets
  # `{:uro_discord, topic, event}`. Who has the gateway is told of comings and goings, since only subscribed dispatches cross to us.

  alias UroDiscord.{Error, RestartableRegistry, Runtime}
  alias UroDiscord.Config.Checks
  alias UroDiscord.Gateway.Dispatches

  @registry __MODULE__

  # https://discord.com/developers/docs/events/webhook-events#event-types
  @webhooks ~w(APPLICATION_AUTHORIZED APPLICATION_DEAUTHORIZED ENTITLEMENT_CREATE ENTITLEMENT_UPDATE ENTITLEMENT_DELETE
               QUEST_USER_ENROLLMENT LOBBY_MESSAGE_CREATE LOBBY_MESSAGE_UPDATE LOBBY_MESSAGE_DELETE GAME_DIRECT_MESSAGE_CREATE
               GAME_DIRECT_MESSAGE_UPDATE GAME_DIRECT_MESSAGE_DELETE)

  @type topic :: :shards | :status | :voice | :portal | :accounts | {:gateway, String.t()} | {:webhook, String.t()}

  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options), do: %{id: @registry, start: {__MODULE__, :start_link, [options]}, type: :supervisor}

  @doc "`gateway:` is the module that is told of subscriptions, by `subscribed/0` and `unsubscribed/2`."
  @spec start_link(keyword()) :: Supervisor.on_start()
  def start_link(options) do
    RestartableRegistry.start_link(keys: :duplicate, name: @registry, meta: options)
  end

  @doc "As `UroDiscord.subscribe/2`: what can never say anything is refused."
  @spec subscribe(topic(), keyword()) :: :ok | {:error, Error.t()}
  def subscribe(topic, options) do
    with {:ok, %{config: config}} <- Runtime.fetch(),
         :ok <- options(options),
         :ok <- topic(topic, config),
         :ok <- kept(topic, Keyword.get(options, :ack, false), config),
         do: register(topic, if(options[:ack], do: :ack))
  end

  # A subscriber ends with the registry, and may be started again before that is.
  @wait_ms 20
  @waits 100

  # What processes of ours tell each other: `:portal_members`, a guild of whose voice channels something else is known now;
  # `:portal_shown`, a portal of which something else is to be shown; `:portal_rows`, that the store has other portals; `:placed`, guilds whose call is to be on
  # another bridge than before; `:accounts_queue`, that nobody is in it who was.
  @typep inner ::
           {:delivery, String.t()} | :portal_members | :portal_shown | :portal_rows | :placed | :accounts_queue

  @doc "Subscribes a process of ours, which knows what it does."
  @spec subscribe(topic() | inner()) :: :ok | {:error, Error.t()}
  def subscribe(topic), do: subscribe_soon(topic, @waits)

  defp subscribe_soon(topic, waits) do
    with {:error, _} when waits > 0 <- register(topic, nil) do
      Process.sleep(@wait_ms)
      subscribe_soon(topic, waits - 1)
    end
  end

  defp register(topic, value) do
    {:ok, _owner} = Registry.register(@registry, topic, value)
    with {:gateway, _type} <- topic, {:ok, gateway} <- Registry.meta(@registry, :gateway), do: gateway.subscribed()
    :ok
  rescue
    # The registry is not there, or (:noproc) its process has just ended.
    _error in [ArgumentError, ErlangError] ->
      {:error, %Error{kind: :unavailable, message: "subscriptions begin anew just now: try again in a moment"}}
  end

  defp options(options) do
    case Keyword.keyword?(options) && Keyword.split(options, [:ack]) do
      {[], []} -> :ok
      {[ack: ack], []} when is_boolean(ack) -> :ok
      {[ack: ack], []} -> invalid("ack", Error.may_be(ack, "true or false"))
      {_ack, [{unknown, _} | _]} -> invalid("options", "#{inspect(unknown)} is not an option: there is only ack: true")
      _ -> invalid("options", Error.may_be(options, "[ack: true]"))
    end
  end

  @topics ":shards, :status, :voice, :portal, :accounts, {:gateway, type} or {:webhook, type}"

  defp topic(topic, _config) when topic in [:shards, :status], do: :ok

  defp topic(:voice, %{enabled: true, intents: intents}) do
    if :guild_voice_states in intents,
      do: :ok,
      else: invalid("topic", "nothing comes of :voice without :guild_voice_states in `config :uro_discord, intents:`")
  end

  defp topic(:voice, _disabled), do: :ok

  defp topic(:portal, %{enabled: true, portal: %{key: nil, keys: []}}),
    do: invalid("topic", "nothing comes of :portal without `config :uro_discord, portal: [key: …]`")

  defp topic(:portal, _config), do: :ok

  defp topic(:accounts, %{enabled: true, accounts: %{directory: nil}}),
    do: invalid("topic", "nothing comes of :accounts without `config :uro_discord, accounts: [directory: …]`")

  defp topic(:accounts, _config), do: :ok

  defp topic({:gateway, type}, config) do
    # Nothing comes where it is disabled, whatever the intents are.
    case Dispatches.problem(type, if(config.enabled, do: config.intents, else: Checks.intent_names())) do
      nil -> :ok
      problem -> invalid("topic", problem)
    end
  end

  defp topic({:webhook, type}, config) do
    cond do
      type not in @webhooks ->
        invalid("topic", Dispatches.unknown(type, @webhooks, "a webhook event of Discord's"))

      config.enabled and config.public_key == nil ->
        invalid("topic", "webhook events need `config :uro_discord, public_key:`")

      true ->
        :ok
    end
  end

  defp topic(other, _config),
    do: invalid("topic", Error.may_be(other, @topics))

  # Otherwise some would go past it before it is there.
  defp kept({:gateway, type}, true, %{enabled: true, gateway: %{events: events}}) do
    if type in events do
      :ok
    else
      invalid(
        "ack",
        "to subscribe to #{type} with `ack: true`, name it in the configuration, so that it is kept until you do: " <>
          "config :uro_discord, gateway: [events: #{inspect(Enum.sort([type | events]))}]"
      )
    end
  end

  defp kept({:gateway, _type}, _ack, _config), do: :ok
  defp kept(_topic, false, _config), do: :ok

  defp kept(topic, true, _config),
    do: invalid("ack", "only events of Discord's gateway are acknowledged, and #{inspect(topic)} is not one")

  defp invalid(field, message), do: {:error, Error.invalid(field, message)}

  @spec unsubscribe(topic() | inner()) :: :ok
  def unsubscribe(topic) do
    :ok = Registry.unregister(@registry, topic)

    with {:gateway, type} when is_binary(type) <- topic,
         {:ok, gateway} <- Registry.meta(@registry, :gateway),
         do: gateway.unsubscribed(self(), type)

    :ok
  rescue
    # There is no registry, and so no subscription.
    ArgumentError -> :ok
  end

  @doc "Sends an event to every subscriber."
  @spec publish(topic() | inner(), term()) :: :ok
  def publish(topic, event) do
    for {pid, _value} <- lookup(topic), do: send(pid, {:uro_discord, topic, event})
    :ok
  end

  @doc "Sends a dispatch to its subscribers, and returns these: those that acknowledge it, and the others."
  @spec dispatch(map()) :: {acknowledging :: [pid()], others :: [pid()]}
  def dispatch(%{type: type} = event) do
    topic = {:gateway, type}

    for {pid, value} <- alive(topic), reduce: {[], []} do
      {acknowledging, others} when value == :ack ->
        send(pid, {:uro_discord, topic, Map.put(event, :subscriber, pid)})
        {[pid | acknowledging], others}

      {acknowledging, others} ->
        send(pid, {:uro_discord, topic, event})
        {acknowledging, [pid | others]}
    end
  end

  @spec subscribed?(topic()) :: boolean()
  def subscribed?(topic), do: alive(topic) != []

  # The registry hears of an end in its own time.
  defp alive(topic), do: for({pid, _value} = entry <- lookup(topic), Process.alive?(pid), do: entry)

  # Each process once, however often it subscribed: what is to be acknowledged is so once.
  # While the registry is started again nobody is subscribed: a subscription ends with it, and its subscriber too.
  defp lookup(topic) do
    case Registry.lookup(@registry, topic) do
      [_, _ | _] = entries ->
        entries |> Enum.sort_by(fn {_pid, value} -> value != :ack end) |> Enum.uniq_by(fn {pid, _value} -> pid end)

      none_or_one ->
        none_or_one
    end
  rescue
    ArgumentError -> []
  end

  @doc "The dispatches that somebody wants."
  @spec wanted() :: [String.t()]
  def wanted do
    # An entry is {key, pid, value}; only the key matters.
    @registry
    |> Registry.select([{{{:gateway, :"$1"}, :_, :_}, [], [:"$1"]}])
    |> Enum.uniq()
    |> Enum.sort()
  rescue
    ArgumentError -> []
  end
end
