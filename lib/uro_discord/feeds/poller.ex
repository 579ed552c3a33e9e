defmodule UroDiscord.Feeds.Poller do
  @moduledoc false
  # Asks for what is new in one project, for those who cannot receive webhooks. What it saw is in the store, so a restart
  # neither repeats nor misses anything; of several nodes the one that holds the gateway's lease asks.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Error, HTTP, Runtime, Secret}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Feeds.{Listing, Publisher, Seen, Status, Store}

  # The longest pause after errors.
  @longest_ms 15 * 60 * 1000

  def child_spec({feed, project}),
    do: %{id: {__MODULE__, feed.name, project}, start: {__MODULE__, :start_link, [feed, project]}}

  def start_link(feed, project), do: GenServer.start_link(__MODULE__, {feed, project})

  @impl true
  def init({feed, project}) do
    {:ok, runtime} = Runtime.fetch()
    send(self(), :poll)
    {:ok, %{feed: feed, project: project, runtime: runtime, failures: 0, told: []}}
  end

  @impl true
  def handle_info(:poll, state) do
    held? = Leader.held?()
    {outcome, state} = if held?, do: poll(state), else: {:ok, state}
    state = note(outcome, state)
    pause = pause(outcome, state)
    Process.send_after(self(), :poll, pause)
    Status.polled(state.feed, state.project, status(held?, outcome, pause))
    {:noreply, state}
  end

  defp status(held?, outcome, pause) do
    next_at = DateTime.add(DateTime.utc_now(), pause, :millisecond)

    case {held?, outcome} do
      {false, _} -> %{state: :left_to_another_node, error: nil, next_at: next_at}
      {true, :ok} -> %{state: :well, error: nil, next_at: next_at}
      {true, {:error, error}} -> %{state: :failing, error: error, next_at: next_at}
    end
  end

  # Nobody calls this process, so it may wait for its answers.
  defp poll(%{feed: feed, project: project} = state) do
    feed.source
    |> Listing.paths(project)
    |> Enum.reduce_while({:ok, state}, fn {kind, path}, {before, state} ->
      {outcome, state} = look(kind, path, state)
      outcome = if before == :ok, do: outcome, else: before
      {if(go_on?(outcome), do: :cont, else: :halt), {outcome, state}}
    end)
  end

  # One of a project's lists may be closed while the others are not.
  defp go_on?(:ok), do: true
  defp go_on?({:error, %Error{kind: :http, status: status, retry_after_ms: nil}}), do: status in [403, 404]
  defp go_on?({:error, _error}), do: false

  defp look(kind, path, %{feed: feed, project: project, runtime: runtime} = state) do
    source = "#{project}/#{kind}"

    with {:ok, cursor} <- Store.cursor(runtime.store, feed.name, source),
         options = [etag: cursor && cursor["etag"], headers: authorization(feed), ca_file: runtime.config.ca_file],
         {:ok, listing, headers} <- HTTP.get_json(feed.url <> path, options) do
      {events, state} = feed.source |> Listing.events(kind, listing, project) |> understood(source, state)
      {take(events, source, cursor, headers["etag"], state), state}
    else
      {:unchanged, _headers} -> {:ok, state}
      {:error, error} -> {{:error, error}, state}
    end
  end

  # What is not understood is told once, as long as it is in the list.
  defp understood(found, source, state) do
    problems = for {:error, problem} <- found, uniq: true, do: {source, problem}

    for {_source, problem} = told <- problems, told not in state.told do
      Logger.warning("feed #{state.feed.name}: an entry of #{source} #{problem}; it is left out")
    end

    others = for {^source, _} = told <- state.told, told not in problems, do: told
    {for({:ok, event} <- found, do: event), %{state | told: (state.told -- others) ++ (problems -- state.told)}}
  end

  defp take(events, source, cursor, etag, %{feed: feed, runtime: runtime}) do
    {news, seen} = Seen.news(cursor && Seen.load(cursor), events)

    # After an error the rest is looked for again, and with it what has changed since.
    case accept(news, seen, feed, source, runtime) do
      {:ok, seen} -> keep(seen, etag, source, feed, runtime)
      {{:error, error}, seen} -> with :ok <- keep(seen, nil, source, feed, runtime), do: {:error, error}
    end
  end

  defp keep(seen, etag, source, feed, runtime),
    do: Store.put_cursor(runtime.store, feed.name, source, Map.put(Seen.dump(seen), "etag", etag))

  defp accept(news, seen, feed, source, runtime) do
    Enum.reduce_while(news, {:ok, seen}, fn event, {:ok, seen} ->
      case Publisher.accept(feed, event, runtime) do
        :ok ->
          {:cont, {:ok, Seen.add(seen, event)}}

        # It would be refused each time, and hold up the others.
        {:error, %Error{kind: :invalid} = error} ->
          Logger.warning("feed #{feed.name}: #{source}: #{event.key} cannot be shown: #{Exception.message(error)}")
          {:cont, {:ok, Seen.add(seen, event)}}

        {:error, error} ->
          {:halt, {{:error, error}, seen}}
      end
    end)
  end

  defp authorization(%{token: nil}), do: []
  defp authorization(%{source: :gitlab, token: token}), do: [{"private-token", Secret.reveal(token)}]
  defp authorization(%{token: token}), do: [{"authorization", "Bearer " <> Secret.reveal(token)}]

  ## How it goes

  defp note(:ok, %{failures: 0} = state), do: state

  defp note(:ok, state) do
    Logger.info("feed #{state.feed.name}: #{state.project} answers again")
    %{state | failures: 0}
  end

  defp note({:error, error}, state) do
    if state.failures == 0,
      do:
        Logger.warning("feed #{state.feed.name}: #{state.project} cannot be asked: #{advice(error)}; it is tried again")

    %{state | failures: state.failures + 1}
  end

  defp advice(%Error{status: status} = error) when status in [401, 403],
    do: Exception.message(error) <> " (is the feed's token right, and may it read this project?)"

  defp advice(%Error{status: 404} = error),
    do: Exception.message(error) <> " (is the project's name right? A private one needs a token)"

  defp advice(error), do: Exception.message(error)

  defp pause(:ok, state), do: state.feed.interval

  defp pause({:error, error}, state) do
    backoff = Backoff.delay({state.feed.interval, max(@longest_ms, state.feed.interval)}, state.failures - 1)
    max(backoff, error.retry_after_ms || 0)
  end
end
