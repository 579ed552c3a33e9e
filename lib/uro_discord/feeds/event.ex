defmodule UroDiscord.Feeds.Event do
  @moduledoc """
  What a feed has to say: one step in the life of a build, a deployment, a release, a push or a pull request.

    * `key`: what it is a step of. Events with the same key are one message, which is edited;
    * `position`: its place among them (see `position/3`). What comes late does not undo what came later, and of two steps
      with the same place the one that is told last counts;
    * `kind`: `:build`, `:deployment`, `:release`, `:push`, `:pull_request` or `:message`;
    * `state`: how far it is, see `t:state/0`;
    * `project`: whose it is, such as `"V-Sekai/uro"`; `branch` where there is one (a tag for a release);
    * `fork`: whether it comes from another repository than the project's own, as a stranger's pull request does, and what is
      built for it. So does what is not surely the project's own;
    * `correction`: whether it only says anew what was told: it edits a message, and no message is posted for it;
    * `title`, `url`, `text`, `actor`: for the message. They come from strangers.
  """

  @enforce_keys [:key, :position, :kind, :state, :project, :title]
  defstruct [
    :key,
    :position,
    :kind,
    :state,
    :project,
    :branch,
    :title,
    :url,
    :text,
    :actor,
    fork: false,
    correction: false
  ]

  @typedoc """
  A build or deployment is `:queued`, perhaps `:waiting` for somebody to let it go on, `:running`, and then `:passed`, `:failed`,
  `:cancelled` or `:skipped`; a deployment may become `:inactive`. A release is `:published` (or `:prereleased`) and perhaps `:deleted`, a push is `:pushed`, `:forced`,
  `:created` or `:deleted`; a pull request is `:draft`, `:opened`, `:closed` or `:merged`.
  """
  @type state :: atom()

  @type t :: %__MODULE__{
          key: String.t(),
          position: integer(),
          kind: :build | :deployment | :release | :push | :pull_request | :message,
          state: state(),
          project: String.t(),
          branch: String.t() | nil,
          fork: boolean(),
          correction: boolean(),
          title: String.t(),
          url: String.t() | nil,
          text: String.t() | nil,
          actor: String.t() | nil
        }

  @kinds [:build, :deployment, :release, :push, :pull_request, :message]
  @states [:queued, :waiting, :running, :passed, :failed, :cancelled, :skipped, :inactive] ++
            [:published, :prereleased, :deleted, :pushed, :forced, :created] ++
            [:draft, :opened, :closed, :merged, :posted]

  @doc "Every kind there is."
  @spec kinds() :: [atom()]
  def kinds, do: @kinds

  @doc "Every state there is."
  @spec states() :: [state()]
  def states, do: @states

  # What a life goes through in this order, where two steps have the same time.
  @ranks %{queued: 1, waiting: 2, running: 2, inactive: 4, draft: 1, opened: 1, deleted: 5}
  @last_rank 3

  # Years up to 5138, and as many attempts as fit a BIGINT beside them.
  @most_ms 99_999_999_999_999
  @attempt 10_000_000_000_000_000
  @most_attempts 900

  @doc """
  A place in the order of steps: by the attempt, the latest of the times (ISO 8601, or as GitLab and itch.io write them; nil
  is passed over), and the rank of the state.

      iex> alias UroDiscord.Feeds.Event
      iex> started = Event.position(["2026-11-21T10:00:00Z"], :running)
      iex> started < Event.position(["2026-11-21T10:00:00Z"], :passed)
      true
      iex> Event.position(["2026-11-21 10:00:00 UTC", nil], :running) == started
      true
      iex> Event.position(["2026-11-21T10:00:00Z"], :passed) < Event.position(["2026-11-21T10:00:00Z"], :queued, 2)
      true
  """
  @spec position([String.t() | nil], state(), attempt :: term()) :: integer()
  def position(times, state, attempt \\ 1) do
    latest = times |> Enum.map(&milliseconds/1) |> Enum.max(fn -> 0 end)
    attempts(attempt) * @attempt + latest * 10 + Map.get(@ranks, state, @last_rank)
  end

  defp attempts(attempt) when is_integer(attempt) and attempt > 1, do: min(attempt, @most_attempts) - 1
  defp attempts(_first), do: 0

  @doc """
  A position without its attempt, for steps of different things; nil where no time is known.

      iex> alias UroDiscord.Feeds.Event
      iex> Event.moment(Event.position(["2026-11-21T10:00:00Z"], :passed, 3)) == Event.position(["2026-11-21T10:00:00Z"], :passed)
      true
      iex> Event.moment(Event.position([nil, "yesterday"], :passed))
      nil
  """
  @spec moment(integer()) :: integer() | nil
  def moment(position) do
    case rem(position, @attempt) do
      moment when moment >= 10 -> moment
      _only_a_rank -> nil
    end
  end

  # No time is longer, and the patterns below would look at all of a long text.
  @longest_time 40

  defp milliseconds(time) when is_binary(time) and byte_size(time) <= @longest_time do
    # GitLab: "2026-11-21 10:00:00 UTC" in webhooks, and "2026-11-21 10:00:00 +0100" in some of them. itch.io: "2026-11-21 10:00:00".
    iso =
      time
      |> String.replace(" UTC", "Z")
      |> String.replace(~r/ ([+-]\d\d):?(\d\d)$/, "\\1:\\2")

    case from_iso8601(iso) do
      {:ok, time, _offset} -> time |> DateTime.to_unix(:millisecond) |> max(0) |> min(@most_ms)
      {:error, _} -> 0
    end
  end

  defp milliseconds(_time), do: 0

  defp from_iso8601(text) do
    with {:error, :missing_offset} <- DateTime.from_iso8601(text), do: DateTime.from_iso8601(text <> "Z")
  end
end
