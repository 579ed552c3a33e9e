defmodule UroDiscord.Portal.Members do
  @moduledoc false
  # Who is in Discord's voice channels, and what they are called, as the gateway tells it: all of it in GUILD_CREATE, which comes with a new session, and
  # what changes in VOICE_STATE_UPDATE. After a resumed session's start nothing is known of a guild; the name of somebody is then asked for by REST.
  # It is a domain of its own, which starts before the gateway does. Others look into its table, and wait for nobody.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Events, Portal, Rest, Runtime, Snowflake}
  alias UroDiscord.Shards.Text

  @type member :: %{name: String.t(), bot?: boolean()}

  @table __MODULE__
  @name 64
  # Members, who are in a table of their own: who is in voice channels is known of all, and is no reason to ask for names.
  @names Module.concat(__MODULE__, Names)
  @most 100_000
  # So many are asked for at once. Discord takes about ten of these a second.
  @asking 8

  @spec start_link(term()) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @doc "What is known of these members. Who is not known is looked up, and `{:portal_members, guild_id}` tells of it."
  @spec fetch(Snowflake.t(), [Snowflake.t()]) :: %{Snowflake.t() => member()}
  def fetch(guild_id, user_ids) do
    known = for id <- user_ids, member = lookup(@names, {guild_id, id}), into: %{}, do: {id, member}
    unknown = user_ids -- Map.keys(known)
    if unknown != [], do: GenServer.cast(__MODULE__, {:look_up, guild_id, unknown})
    known
  end

  @doc "What they are called, in this order; who is not known has his id for a name."
  @spec names(Snowflake.t(), [Snowflake.t()]) :: [{Snowflake.t(), String.t()}]
  def names(guild_id, user_ids) do
    known = fetch(guild_id, user_ids)
    for id <- user_ids, do: {id, with(%{^id => %{name: name}} <- known, do: name, else: (_ -> id))}
  end

  @doc "Who is in a channel, as far as that is known; `:unknown` where nobody has told."
  @spec in_channel(Snowflake.t(), Snowflake.t()) :: {:ok, [Snowflake.t()]} | :unknown
  def in_channel(guild_id, channel_id) do
    if lookup(@table, {:known, guild_id}) || lookup(@table, {:known, guild_id, channel_id}),
      do: {:ok, select([{{{:state, guild_id, :"$1"}, channel_id}, [], [:"$1"]}])},
      else: :unknown
  end

  @doc "Whether any of these is a person. Who is not known is one."
  @spec people?(Snowflake.t(), [Snowflake.t()]) :: boolean()
  def people?(guild_id, user_ids) do
    members = fetch(guild_id, user_ids)
    {:ok, %{bot_id: bot_id}} = Runtime.fetch()
    Enum.any?(user_ids, &(&1 != bot_id and not bot?(members[&1])))
  end

  defp bot?(member), do: member != nil and member.bot?

  @doc "Somebody has looked into the channel, and these are there."
  @spec seen(Snowflake.t(), Snowflake.t(), [Snowflake.t()]) :: :ok
  def seen(guild_id, channel_id, user_ids), do: GenServer.cast(__MODULE__, {:seen, guild_id, channel_id, user_ids})

  defp lookup(table, key), do: List.first(select(table, [{{key, :"$1"}, [], [:"$1"]}]))

  defp select(table \\ @table, matches) do
    :ets.select(table, matches)
  rescue
    # It is just being started again.
    ArgumentError -> []
  end

  @impl true
  def init(nil) do
    # By guild, so that one is forgotten without a look at all.
    :ets.new(@table, [:named_table, :ordered_set, read_concurrency: true])
    :ets.new(@names, [:named_table, read_concurrency: true])

    for topic <- [:status, {:gateway, "GUILD_CREATE"}, {:gateway, "VOICE_STATE_UPDATE"}],
        do: :ok = Events.subscribe(topic)

    {:ok, %{asked: %{}, queue: :queue.new(), tasks: %{}}}
  end

  @impl true
  def handle_cast({:look_up, guild_id, user_ids}, state) do
    new = for id <- user_ids, who = {guild_id, id}, not is_map_key(state.asked, who), do: who
    asked = Map.new(new, &{&1, true}) |> Map.merge(state.asked)
    {:noreply, ask(%{state | asked: asked, queue: Enum.reduce(new, state.queue, &:queue.in/2)})}
  end

  def handle_cast({:seen, guild_id, channel_id, user_ids}, state) do
    for id <- select([{{{:state, guild_id, :"$1"}, channel_id}, [], [:"$1"]}]),
        do: :ets.delete(@table, {:state, guild_id, id})

    for id <- user_ids, do: put({:state, guild_id, id}, channel_id)
    put({:known, guild_id, channel_id}, true)
    changed(guild_id)
    {:noreply, state}
  end

  @impl true
  def handle_info({:uro_discord, {:gateway, "GUILD_CREATE"}, %{data: %{"id" => guild_id} = guild}}, state) do
    forget({:state, guild_id, :_})

    states =
      for %{"user_id" => id, "channel_id" => channel} <- list(guild["voice_states"]), into: %{}, do: {id, channel}

    for {id, channel} <- states, do: put({:state, guild_id, id}, channel)
    # Of a guild with a hundred thousand members those in voice matter.
    for %{"user" => %{"id" => id}} = member <- list(guild["members"]),
        is_map_key(states, id),
        do: learn(guild_id, id, member)

    put({:known, guild_id}, true)
    changed(guild_id)
    {:noreply, state}
  end

  def handle_info({:uro_discord, {:gateway, "VOICE_STATE_UPDATE"}, %{data: %{"user_id" => id} = voice}}, state) do
    with guild_id when is_binary(guild_id) <- voice["guild_id"] do
      with %{"user" => %{}} = member <- voice["member"], do: learn(guild_id, id, member)

      if voice["channel_id"],
        do: put({:state, guild_id, id}, voice["channel_id"]),
        else: :ets.delete(@table, {:state, guild_id, id})

      changed(guild_id)
    end

    {:noreply, state}
  end

  # Another node hears of what happens now.
  def handle_info({:uro_discord, :status, {:lease, :lost}}, state) do
    for key <- [{:state, :_, :_}, {:known, :_}, {:known, :_, :_}], do: forget(key)
    :ets.delete_all_objects(@names)
    {:noreply, state}
  end

  def handle_info({:uro_discord, _topic, _event}, state), do: {:noreply, state}

  def handle_info({ref, member}, %{tasks: tasks} = state) when is_map_key(tasks, ref) do
    Process.demonitor(ref, [:flush])
    {:noreply, looked_up(state, ref, member)}
  end

  # It crashed, as is reported.
  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{tasks: tasks} = state) when is_map_key(tasks, ref),
    do: {:noreply, looked_up(state, ref, nameless())}

  defp looked_up(state, ref, member) do
    {{guild_id, id} = who, tasks} = Map.pop!(state.tasks, ref)
    learn(guild_id, id, member)
    changed(guild_id)
    ask(%{state | tasks: tasks, asked: Map.delete(state.asked, who)})
  end

  defp learn(guild_id, id, %{"user" => %{} = user} = member) do
    # They are asked for again.
    if :ets.info(@names, :size) >= @most, do: :ets.delete_all_objects(@names)

    names =
      for name when is_binary(name) <- [member["nick"], user["global_name"], user["username"]],
          do: Text.clean(name, @name)

    name = Enum.find(names, id, &(&1 != ""))
    :ets.insert(@names, {{guild_id, id}, %{name: name, bot?: user["bot"] == true}})
  end

  defp put(key, value), do: :ets.insert(@table, {key, value})
  defp forget(key), do: :ets.match_delete(@table, {key, :_})

  # Whoever wants it looks into the table.
  defp changed(guild_id), do: Events.publish(:portal_members, guild_id)

  defp list(value), do: if(is_list(value), do: value, else: [])

  ## Names that nobody has told

  defp ask(state) do
    if map_size(state.tasks) < @asking and not :queue.is_empty(state.queue) do
      {{:value, who}, queue} = :queue.out(state.queue)
      %Task{ref: ref} = Task.Supervisor.async_nolink(Portal.Tasks, fn -> look_up(who) end)
      ask(%{state | queue: queue, tasks: Map.put(state.tasks, ref, who)})
    else
      state
    end
  end

  defp look_up({guild_id, id}) do
    {:ok, %{rest: rest}} = Runtime.fetch()

    case Rest.call(rest, {:get_member, guild_id, id}, retry: :safe, priority: :low) do
      {:ok, %{body: %{"user" => %{}} = member}} ->
        member

      {:ok, _other} ->
        nameless()

      {:error, error} ->
        Logger.warning("member #{id} of guild #{guild_id} has no name in portals: #{Exception.message(error)}")
        nameless()
    end
  end

  # Whoever cannot be looked up has his id for a name, until the gateway tells of him.
  defp nameless, do: %{"user" => %{}}
end
