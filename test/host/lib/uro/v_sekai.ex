defmodule Uro.VSekai.Shard do
  @moduledoc "With Uro's columns."
  defstruct [
    :id,
    :user_id,
    :user,
    :address,
    :port,
    :map,
    :name,
    :inserted_at,
    :updated_at,
    current_users: 0,
    max_users: 32
  ]
end

defmodule Uro.VSekai do
  @moduledoc "Uro, as far as UroDiscord asks it: one shard, whose heartbeat never stops."

  def shard_freshness_time_in_seconds, do: 30

  def list_fresh_shards do
    now = NaiveDateTime.utc_now()

    [
      %Uro.VSekai.Shard{
        id: 1,
        name: "Plaza",
        map: "uro://plaza",
        current_users: 2,
        inserted_at: now,
        updated_at: now
      }
    ]
  end
end
