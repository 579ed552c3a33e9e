defmodule UroDiscord.Shards.Source.Row do
  @moduledoc false
  # A shard as a source lists it: one of Uro's structs, or the JSON of one, under Uro's own names. Both generations are read:
  # `Uro.VSekai.Shard` with updated_at, and `Uro.VSekai.Zone` of newer forks with last_put_at and public.

  alias UroDiscord.Shards
  alias UroDiscord.Shards.Shard

  @enforce_keys [:shard, :opened_at, :heartbeat_at, :stale_at]
  defstruct @enforce_keys

  @typedoc """
  `heartbeat_at` is when the shard last gave a sign of life, `stale_at` when its source itself stops to list it unless it gives another one,
  nil where that means that it has closed; both in Unix ms.
  """
  @type t :: %__MODULE__{
          shard: map(),
          opened_at: DateTime.t() | nil,
          heartbeat_at: integer(),
          stale_at: integer() | nil
        }

  @doc """
  The shards of a list that are nobody's secret, the oldest of them if these are too many. `now` is when it was asked for; what
  is no shard is left out.
  """
  @spec read([map()], integer(), window_ms :: pos_integer() | nil) :: [t()]
  def read(list, now, window_ms) do
    public = for %{} = listed <- list, public?(listed), do: listed

    for listed <- oldest(public), {:ok, shard} <- [believable(fields(listed))] do
      heartbeat_at = milliseconds(Map.get(listed, :last_put_at) || Map.get(listed, :updated_at)) || now

      %__MODULE__{
        shard: shard,
        opened_at: opened_at(Map.get(listed, :inserted_at), now),
        heartbeat_at: heartbeat_at,
        stale_at: window_ms && heartbeat_at + window_ms
      }
    end
  end

  # Zones say whether they are, twice; shards are.
  defp public?(listed), do: Map.get(listed, :public, true) == true and Map.get(listed, :status) != "private"

  # A million of them are not worth reading.
  defp oldest(list) do
    if length(list) > Shards.capacity(),
      do: list |> Enum.sort_by(&milliseconds(Map.get(&1, :inserted_at))) |> Enum.take(Shards.capacity()),
      else: list
  end

  # The host is preloaded, or else an `Ecto.Association.NotLoaded`, or nil.
  defp fields(listed) do
    user = with %{} = user <- Map.get(listed, :user), do: user, else: (_ -> %{})

    %{
      id: Map.get(listed, :id),
      name: Map.get(listed, :name),
      map: Map.get(listed, :map),
      players: Map.get(listed, :current_users),
      max_players: Map.get(listed, :max_users),
      host: Map.get(user, :display_name) || Map.get(user, :username),
      host_id: Map.get(listed, :user_id) || Map.get(user, :id),
      address: Map.get(listed, :address),
      port: Map.get(listed, :port)
    }
  end

  # Uro takes any number for a port: what cannot be is unknown, and no reason to lose the others.
  defp believable(fields) do
    case Shard.cast(fields) do
      {:error, %{field: field}} when field != "id" ->
        fields |> Map.delete(String.to_existing_atom(field)) |> believable()

      result ->
        result
    end
  end

  defp opened_at(time, now) do
    case milliseconds(time) do
      nil -> nil
      opened -> opened |> min(now) |> DateTime.from_unix!(:millisecond)
    end
  end

  # Ecto's timestamps are UTC, with a zone or without.
  defp milliseconds(%NaiveDateTime{} = time), do: time |> DateTime.from_naive!("Etc/UTC") |> milliseconds()
  defp milliseconds(%DateTime{} = time), do: DateTime.to_unix(time, :millisecond)
  defp milliseconds(_unknown), do: nil
end
