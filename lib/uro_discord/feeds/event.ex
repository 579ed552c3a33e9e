defmodule UroDiscord.Feeds.Event do
  @moduledoc """
  What a feed has to say: one step in the life of a build, a deployment, a release, a push or a pull request.

    * `key`: what it is a step of. Events with the same key are one message, which is edited;
    * `position`: its place among them (a time in ms, and a rank where one time has several steps). What comes late does
      not undo what came later;
    * `kind`: `:build`, `:deployment`, `:release`, `:push`, `:pull_request` or `:message`;
    * `state`: how far it is, see `t:state/0`;
    * `project`: whose it is, such as `"V-Sekai/uro"`; `branch` where there is one (a tag for a release);
    * `title`, `url`, `text`, `actor`: for the message. They come from strangers.
  """

  @enforce_keys [:key, :position, :kind, :state, :project, :title]
  defstruct [:key, :position, :kind, :state, :project, :branch, :title, :url, :text, :actor]

  @typedoc """
  A build or deployment is `:queued`, `:running` and then `:passed`, `:failed`, `:cancelled` or `:skipped`; a deployment may
  become `:inactive`. A release is `:published` (or `:prereleased`) and perhaps `:deleted`, a push is `:pushed`, `:forced`,
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
          title: String.t(),
          url: String.t() | nil,
          text: String.t() | nil,
          actor: String.t() | nil
        }

  @kinds [:build, :deployment, :release, :push, :pull_request, :message]
  @states [:queued, :running, :passed, :failed, :cancelled, :skipped, :inactive] ++
            [:published, :prereleased, :deleted, :pushed, :forced, :created] ++
            [:draft, :opened, :closed, :merged, :posted]

  @doc "Every kind there is."
  @spec kinds() :: [atom()]
  def kinds, do: @kinds

  @doc "Every state there is."
  @spec states() :: [state()]
  def states, do: @states

  # What a life goes through in this order, where two steps have the same time.
  @ranks %{queued: 1, running: 2, inactive: 4, draft: 1, opened: 1}

  @doc """
  A place in the order of steps: the latest of the times (ISO 8601, or as GitLab writes them; nil is passed over), and the
  rank of the state.

      iex> alias UroDiscord.Feeds.Event
      iex> started = Event.position(["2026-11-21T10:00:00Z"], :running)
      iex> started < Event.position(["2026-11-21T10:00:00Z"], :passed)
      true
      iex> Event.position(["2026-11-21 10:00:00 UTC", nil], :running) == started
      true
  """
  @spec position([String.t() | nil], state()) :: integer()
  def position(times, state) do
    latest = times |> Enum.map(&milliseconds/1) |> Enum.max(fn -> 0 end)
    latest * 10 + Map.get(@ranks, state, 3)
  end

  defp milliseconds(time) when is_binary(time) do
    # GitLab: "2026-11-21 10:00:00 UTC" in webhooks, and "2026-11-21 10:00:00 +0100" in some of them.
    iso =
      time
      |> String.replace(" UTC", "Z")
      |> String.replace(~r/ ([+-]\d\d):?(\d\d)$/, "\\1:\\2")

    case DateTime.from_iso8601(iso) do
      {:ok, time, _offset} -> DateTime.to_unix(time, :millisecond)
      {:error, _} -> 0
    end
  end

  defp milliseconds(_time), do: 0
end
