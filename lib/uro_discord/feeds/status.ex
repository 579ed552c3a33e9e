defmodule UroDiscord.Feeds.Status do
  @moduledoc false
  # How the feeds do: what each may still post, and how its pollers fare. A table that belongs to the supervisor of the feeds,
  # and is there as long as they are.

  require Logger

  alias UroDiscord.Error
  alias UroDiscord.Feeds.Quota

  # A feed that is refused again and again says so this often.
  @log_ms 10 * 60 * 1000

  @doc "The table of these feeds, for as long as the calling process lives."
  @spec init(%{atom() => map()}) :: :ok
  def init(feeds) do
    :ets.new(__MODULE__, [:named_table, :public, read_concurrency: true])
    for {name, feed} <- feeds, do: :ets.insert(__MODULE__, {name, Quota.new(feed.per_hour)})
    :ok
  end

  @doc "Takes room for so many new messages of a feed, or says when to come again; nothing is accepted then."
  @spec take(map(), pos_integer()) :: :ok | {:error, Error.t()}
  def take(feed, count) do
    with {:ok, quota} <- quota(feed),
         {:error, wait_ms} <- Quota.take(quota, count) do
      message =
        "the feed #{feed.name} has had its #{feed.per_hour} new messages in an hour (`per_hour:` of the feed); " <>
          "send it again in #{div(wait_ms, 1_000) + 1} s"

      log(feed, message, Quota.refused(quota))
      {:error, %Error{kind: :full, message: message, retry_after_ms: wait_ms}}
    end
  end

  @doc "What was taken and not posted."
  @spec give_back(map(), non_neg_integer()) :: :ok
  def give_back(feed, count) do
    with {:ok, quota} <- quota(feed), do: Quota.give_back(quota, count)
    :ok
  end

  defp quota(feed) do
    {:ok, :ets.lookup_element(__MODULE__, feed.name, 2)}
  rescue
    ArgumentError -> {:error, %Error{kind: :not_started, message: "the feeds do not run now; send it again"}}
  end

  defp log(feed, message, refused) do
    now = System.monotonic_time(:millisecond)

    case :ets.lookup(__MODULE__, {:logged, feed.name}) do
      [{_key, at}] when now - at < @log_ms ->
        :ok

      _ ->
        :ets.insert(__MODULE__, {{:logged, feed.name}, now})
        Logger.warning("#{message}; #{refused} were refused since the start, and nothing of them is kept here")
    end
  end

  @doc "What a poller has found, and when it looks again."
  @spec polled(map(), String.t(), map()) :: :ok
  def polled(feed, project, found) do
    :ets.insert(__MODULE__, {{:polled, feed.name, project}, found})
    :ok
  rescue
    # The feeds do not run now.
    ArgumentError -> :ok
  end

  @doc "Of each feed what is `left` of its `per_hour`, what was `refused`, and how its pollers fare; as `UroDiscord.status/0` shows it."
  @spec all() :: %{atom() => map()}
  def all do
    rows = :ets.tab2list(__MODULE__)

    for {name, %Quota{} = quota} <- rows, into: %{} do
      {name,
       %{
         per_hour: quota.per_hour,
         left: Quota.left(quota),
         refused: Quota.refused(quota),
         refused_at: Quota.refused_at(quota),
         polled: for({{:polled, ^name, project}, found} <- rows, into: %{}, do: {project, found})
       }}
    end
  rescue
    # There are none, or they do not run now.
    ArgumentError -> %{}
  end
end
