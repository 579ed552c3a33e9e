defmodule UroDiscord.Accounts.Departures do
  @moduledoc false
  # Ends the links of those who go: who takes the application's permission back, leaves the last of the servers (`leave_grace` later, if he has not come
  # back), or is banned from one.
  #
  # Since when somebody is gone is in the store, and before a link ends for that, Discord is asked whether he is. So nothing depends on which
  # events came, in which order, and to which node; those who left while nobody listened are found by the tasks over all users (`left/1`).

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Config, Error, Events, Rest, Runtime, Store}
  alias UroDiscord.Accounts.{Link, Links, Running, Sync, Unlinking}
  alias UroDiscord.Gateway.Leader

  # Of a ban, Discord tells that the member is gone, too: the ban is to be the reason.
  @settle_ms 1_000
  # How often it is looked who has been gone for long enough, beside when that is due.
  @look_ms 60_000
  # What could not be stored, or asked, is tried again.
  @again_ms {1_000, 60_000}
  @at_once 8
  @deadline_ms 15_000

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
  @unknown_member 10_007
  @unknown_user 10_013

  @left {:gateway, "GUILD_MEMBER_REMOVE"}
  @joined {:gateway, "GUILD_MEMBER_ADD"}
  @banned {:gateway, "GUILD_BAN_ADD"}
  @deauthorized {:webhook, "APPLICATION_DEAUTHORIZED"}

  @doc "Somebody was found to be in none of the servers: ends his link, or waits for as long as the configuration says. Needs no process of ours."
  @spec left(Link.t()) :: :unlinked | :waits | {:error, Error.t()}
  def left(link) do
    with {:ok, %{config: config, store: store}} <- Running.fetch() do
      if due?(link, config.accounts.leave_grace) do
        unlink(link, :left)
      else
        with :ok <- Links.put_left(store, link.discord_id, DateTime.utc_now()), do: :waits
      end
    end
  end

  defp due?(_link, 0), do: true
  defp due?(%{left_at: nil}, _grace), do: false
  defp due?(%{left_at: at}, grace), do: DateTime.diff(DateTime.utc_now(), at, :millisecond) >= grace

  defp unlink(link, reason) do
    case Unlinking.unlink_account(link.discord_id, reason) do
      {:ok, _link} -> :unlinked
      # Another node was quicker.
      :error -> :unlinked
      {:error, error} -> {:error, error}
    end
  end

  @spec start_link(Config.t()) :: GenServer.on_start()
  def start_link(config), do: GenServer.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(config) do
    {:ok, runtime} = Runtime.fetch()
    for topic <- topics(config), do: :ok = Events.subscribe(topic)
    guilds = for guild <- config.accounts.guilds, do: guild.id
    state = %{runtime: runtime, guilds: guilds, grace: config.accounts.leave_grace, timer: nil}
    {:ok, wake(state, @settle_ms)}
  end

  # What Discord does not tell of without an intent, or without a key, is found by the tasks.
  defp topics(config) do
    members = if :guild_members in config.intents, do: [@left, @joined], else: []
    bans = if :guild_moderation in config.intents, do: [@banned], else: []
    webhooks = if config.public_key, do: [@deauthorized], else: []
    members ++ bans ++ webhooks ++ [:accounts]
  end

  @impl true
  def handle_info({:uro_discord, topic, event}, state), do: {:noreply, heard(topic, event, 0, state)}
  def handle_info({:again, topic, event, failures}, state), do: {:noreply, heard(topic, event, failures, state)}
  def handle_info(:look, state), do: {:noreply, look(%{state | timer: nil})}

  # Something is done with the link of the account that this is about, and again later if that fails.
  defp heard(topic, event, failures, state) do
    with {:ok, id} <- about(topic, event, state),
         {:ok, link} <- Links.by_discord(state.runtime.store, id),
         {:error, error} <- act(topic, event, link, state) do
      again(error, topic, event, failures)
    else
      {:error, error} -> again(error, topic, event, failures)
      # Nobody's, or done.
      _none -> :ok
    end

    if topic == @left or match?({:left, _who}, event), do: wake(state, max(state.grace, @settle_ms)), else: state
  end

  defp about(:accounts, {:left, %{discord_id: id}}, _state), do: {:ok, id}
  defp about(@deauthorized, %{data: %{"user" => %{"id" => id}}}, _state) when is_binary(id), do: {:ok, id}

  defp about({:gateway, _type}, %{data: %{"guild_id" => guild_id, "user" => %{"id" => id}}}, state),
    do: if(guild_id in state.guilds, do: {:ok, id}, else: :none)

  defp about(_topic, _event, _state), do: :none

  defp act(@joined, _event, link, state), do: returned(link, state)
  defp act(@banned, _event, link, _state), do: unlink(link, :banned)

  # It may come minutes late: who has linked his account again since then has given the permission again.
  defp act(@deauthorized, event, link, _state),
    do: if(before?(event.timestamp, link.linked_at), do: :ok, else: unlink(link, :deauthorized))

  # The look that follows asks Discord, whether he is in another of the servers, too.
  defp act(_left, _event, link, state), do: Links.put_left(state.runtime.store, link.discord_id, DateTime.utc_now())

  defp before?(timestamp, linked_at) do
    with text when is_binary(text) <- timestamp, {:ok, at, _offset} <- DateTime.from_iso8601(text) do
      DateTime.compare(at, linked_at) == :lt
    else
      _none -> false
    end
  end

  defp returned(link, state) do
    with :ok <- Links.put_left(state.runtime.store, link.discord_id, nil) do
      Sync.later(link.user_id, :joined)
      :ok
    end
  end

  defp again(error, topic, event, failures) do
    Store.failed(error, "somebody who has gone, or come back, is looked at again")
    Process.send_after(self(), {:again, topic, event, failures + 1}, Backoff.delay(@again_ms, failures))
  end

  ## Those who have been gone for long enough

  defp wake(state, ms) do
    at = System.monotonic_time(:millisecond) + ms

    case state.timer do
      {_timer, sooner} when sooner <= at ->
        state

      other ->
        with {timer, _later} <- other, do: Process.cancel_timer(timer)
        %{state | timer: {Process.send_after(self(), :look, ms), at}}
    end
  end

  # One node looks.
  defp look(state) do
    with true <- Leader.held?() and state.guilds != [], {:ok, links} <- due(state) do
      links
      |> Task.async_stream(&settle(&1, state), max_concurrency: @at_once, ordered: false, timeout: :infinity)
      |> Stream.run()
    else
      false -> :ok
      {:error, error} -> Store.failed(error, "who has left the servers could not be looked up")
    end

    wake(state, @look_ms)
  end

  defp due(state), do: Links.left(state.runtime.store, DateTime.add(DateTime.utc_now(), -state.grace, :millisecond))

  # A task of this process, which must not end it.
  defp settle(link, state) do
    case member?(link, state.guilds, state.runtime) do
      {:ok, true} -> returned(link, state)
      {:ok, false} -> unlink(link, :left)
      {:error, error} -> {:error, error}
    end
    |> case do
      {:error, error} ->
        Logger.warning("whether user #{link.discord_id} has left is seen later: #{Exception.message(error)}")

      _done ->
        :ok
    end
  catch
    kind, reason -> Logger.error("looking who has left crashed: #{Exception.format(kind, reason, __STACKTRACE__)}")
  end

  defp member?(link, guilds, runtime) do
    Enum.reduce_while(guilds, {:ok, false}, fn guild_id, elsewhere ->
      case Rest.call(runtime.rest, {:get_member, guild_id, link.discord_id},
             retry: :safe,
             priority: :low,
             deadline_ms: @deadline_ms
           ) do
        {:ok, _member} -> {:halt, {:ok, true}}
        {:error, %Error{code: code}} when code in [@unknown_member, @unknown_user] -> {:cont, elsewhere}
        # Nobody knows, as where the bot was thrown out.
        {:error, error} -> {:cont, {:error, error}}
      end
    end)
  end
end
