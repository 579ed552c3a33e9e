defmodule UroDiscord.Feeds.Poller do
  @moduledoc false
  # Asks for what is new in one project, for those who cannot receive webhooks. What it saw is in the store, so a restart
  # neither repeats nor misses anything; of several nodes the one that holds the gateway's lease asks.

  use UroDiscord.Server
  require Logger

  alias UroDiscord.{Backoff, Error, Feeds, Gateway, HTTP, Runtime, Secret}
  alias UroDiscord.Feeds.{Cards, Listing}

  # The longest pause after errors.
  @longest_ms 15 * 60 * 1000

  def child_spec({feed, project}),
    do: %{id: {__MODULE__, feed.name, project}, start: {__MODULE__, :start_link, [feed, project]}}

  def start_link(feed, project), do: GenServer.start_link(__MODULE__, {feed, project})

  @impl true
  def init({feed, project}) do
    {:ok, runtime} = Runtime.fetch()
    send(self(), :poll)
    {:ok, %{feed: feed, project: project, runtime: runtime, failures: 0}}
  end

  @impl true
  def handle_info(:poll, state) do
    outcome = if Gateway.held?(), do: poll(state), else: :ok
    state = note(outcome, state)
    Process.send_after(self(), :poll, pause(outcome, state))
    {:noreply, state}
  end

  # Nobody calls this process, so it may wait for its answers.
  defp poll(%{feed: feed, project: project} = state) do
    feed.source
    |> Listing.paths(project)
    |> Enum.reduce_while(:ok, fn {kind, path}, :ok ->
      case look(kind, path, state) do
        :ok -> {:cont, :ok}
        error -> {:halt, error}
      end
    end)
  end

  defp look(kind, path, %{feed: feed, project: project, runtime: runtime} = state) do
    source = "#{project}/#{kind}"

    with {:ok, cursor} <- Cards.cursor(runtime.store, feed.name, source) do
      options = [etag: cursor && cursor["etag"], headers: authorization(feed), ca_file: runtime.config.ca_file]

      case HTTP.get_json(feed.url <> path, options) do
        {:ok, listing, headers} ->
          take(Listing.events(feed.source, kind, listing, project), source, cursor, headers, state)

        {:unchanged, _headers} ->
          :ok

        {:error, error} ->
          {:error, error}
      end
    end
  end

  # What has gone on since the last look is news, and what is new since the first.
  defp take(found, source, cursor, headers, %{feed: feed, runtime: runtime}) do
    for {:error, problem} <- found, do: Logger.warning("feed #{feed.name}: an entry of #{source} #{problem}")
    events = for {:ok, event} <- found, do: event
    since = if cursor, do: cursor["since"], else: events |> Enum.map(& &1.position) |> Enum.max(fn -> 0 end)
    seen = (cursor && cursor["seen"]) || %{}
    news = Enum.reject(events, &(&1.position <= Map.get(seen, &1.key, since)))

    with :ok <- news |> Enum.sort_by(& &1.position) |> accept(feed, runtime) do
      Cards.put_cursor(runtime.store, feed.name, source, %{
        "etag" => headers["etag"],
        "since" => since,
        "seen" => Map.new(events, &{&1.key, &1.position})
      })
    end
  end

  defp accept(events, feed, runtime) do
    Enum.reduce_while(events, :ok, fn event, :ok ->
      case Feeds.accept(feed, event, runtime) do
        :ok -> {:cont, :ok}
        error -> {:halt, error}
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
