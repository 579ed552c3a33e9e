defmodule UroDiscord.Bridge.Sessions do
  @moduledoc false
  # The gateway sessions as the bridge last had them, by shard, so that the next bridge resumes where it ended. An event that
  # is replayed is a repeat with the same session and sequence; one that is missed would be a loss.

  @type session :: %{String.t() => String.t() | non_neg_integer() | nil}
  @type t :: %{non_neg_integer() => session()}

  @doc """
  What a fact about a shard's gateway says of its session. The sequence of one that we know stays as our last event has it:
  facts may overtake events.

      iex> info = %{"session_id" => "s", "sequence" => 9, "resume_url" => "wss://r"}
      iex> sessions = UroDiscord.Bridge.Sessions.fact(%{}, 0, :active, info)
      iex> sessions[0]["sequence"]
      9
      iex> UroDiscord.Bridge.Sessions.fact(sessions, 0, :fatal, %{})
      %{}
  """
  @spec fact(t(), non_neg_integer(), atom(), map()) :: t()
  def fact(sessions, shard, :active, %{"session_id" => id} = info) do
    sequence =
      case sessions[shard] do
        %{"id" => ^id, "sequence" => sequence} -> sequence
        _ -> info["sequence"]
      end

    Map.put(sessions, shard, %{"id" => id, "sequence" => sequence, "resume_url" => info["resume_url"]})
  end

  # A new session is being asked for, or there will be none.
  def fact(sessions, shard, state, _info) when state in [:waiting, :identifying, :fatal],
    do: Map.delete(sessions, shard)

  def fact(sessions, _shard, _state, _info), do: sessions

  @doc "An event of this session was handled."
  @spec handled(t(), non_neg_integer(), String.t(), non_neg_integer()) :: t()
  def handled(sessions, shard, session, seq) do
    case sessions[shard] do
      %{"id" => ^session} = known -> Map.put(sessions, shard, %{known | "sequence" => seq})
      _ -> sessions
    end
  end
end
