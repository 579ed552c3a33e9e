defmodule Uro.Accounts.User do
  @moduledoc "With the columns of V-Sekai/uro's lib/uro/accounts/user.ex that a shard's host has."
  defstruct [:id, :email, :username, :display_name, :icon, :banner, :biography, :status, :status_message, :created_at]
end

defmodule Uro.VSekai.Shard do
  @moduledoc "With the columns of V-Sekai/uro's lib/uro/v_sekai/shard.ex."
  defstruct [
    :__meta__,
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

defmodule Uro.VSekai.Zone do
  @moduledoc "With the columns of zone-backend's lib/uro/v_sekai/zone.ex, where shards became zones."
  defstruct [
    :__meta__,
    :id,
    :user_id,
    :user,
    :address,
    :port,
    :map,
    :name,
    :cert_hash,
    :last_put_at,
    :inserted_at,
    :updated_at,
    status: "public",
    public: true,
    current_users: 0,
    max_users: 32
  ]
end

defmodule UroDiscord.FakeUro do
  @moduledoc """
  Uro, as far as we ask it: the module `Uro.VSekai` of either generation over a table in memory, whose writes tell `:telemetry` what
  Ecto would, before they are committed. It can be made to fail.
  """

  use Agent
  alias Uro.VSekai.{Shard, Zone}

  @functions %{
    shards: "def list_fresh_shards, do: UroDiscord.FakeUro.list()\ndef shard_freshness_time_in_seconds, do: 1",
    zones: "def list_fresh_zones, do: UroDiscord.FakeUro.list()\ndef zone_freshness_time_in_seconds, do: 1"
  }

  @doc "Uro with no shard in it; it ends with the test. Its heartbeats are fresh for one second."
  def start!(generation \\ :shards) do
    [{module, _beam}] = Code.compile_string("defmodule Uro.VSekai do\n#{@functions[generation]}\nend")

    ExUnit.Callbacks.on_exit(fn ->
      :code.purge(module)
      :code.delete(module)
    end)

    ExUnit.Callbacks.start_supervised!({__MODULE__, generation})
    :ok
  end

  def start_link(generation) do
    Agent.start_link(fn -> %{generation: generation, rows: %{}, list: &fresh/1} end, name: __MODULE__)
  end

  @doc "What `list_fresh_shards/0` does instead, in the process that calls it; nil for what it should."
  def list_does(function), do: Agent.update(__MODULE__, fn state -> %{state | list: function || (&fresh/1)} end)

  def list do
    state = Agent.get(__MODULE__, & &1)
    state.list.(state)
  end

  @doc "The rows whose heartbeat is fresh."
  def fresh(state) do
    for {_id, row} <- state.rows, DateTime.diff(DateTime.utc_now(), heartbeat(row), :millisecond) < 1_000, do: row
  end

  defp heartbeat(%Zone{last_put_at: at}), do: at
  defp heartbeat(%Shard{updated_at: at}), do: DateTime.from_naive!(at, "Etc/UTC")

  @doc "Somebody registers a shard, which may say anything of itself."
  def insert!(fields), do: write("INSERT INTO", Map.new(fields), &struct!(new(&1), fields))

  @doc "A heartbeat, with or without changes."
  def put!(id, fields \\ []),
    do: write("UPDATE", %{id: id}, fn state -> state.rows |> Map.fetch!(id) |> beat() |> struct!(fields) end)

  def delete!(id), do: write("DELETE FROM", %{id: id}, fn _state -> nil end)

  defp write(verb, %{id: id}, fun) do
    table = Agent.get(__MODULE__, &Atom.to_string(&1.generation))

    :telemetry.execute([:uro, :repo, :query], %{query_time: 1}, %{
      type: :ecto_sql_query,
      source: table,
      query: ~s|#{verb} "#{table}" …|,
      params: [id],
      repo: Uro.Repo
    })

    # The commit.
    Process.sleep(100)

    Agent.update(__MODULE__, fn state ->
      case fun.(state) do
        nil -> %{state | rows: Map.delete(state.rows, id)}
        row -> %{state | rows: Map.put(state.rows, id, row)}
      end
    end)
  end

  @doc "Many rows at once, of which nobody is told."
  def fill!(rows) do
    Agent.update(__MODULE__, fn state ->
      %{state | rows: for(fields <- rows, into: state.rows, do: {fields[:id], struct!(new(state), fields)})}
    end)
  end

  defp new(%{generation: generation}) do
    now = DateTime.utc_now()
    unloaded = %{__struct__: Ecto.Association.NotLoaded, __field__: :user, __owner__: Shard, __cardinality__: :one}

    case generation do
      :shards ->
        %Shard{user: unloaded, inserted_at: DateTime.to_naive(now), updated_at: DateTime.to_naive(now)}

      :zones ->
        %Zone{user: nil, inserted_at: DateTime.to_naive(now), updated_at: DateTime.to_naive(now), last_put_at: now}
    end
  end

  defp beat(%Shard{} = row), do: %{row | updated_at: NaiveDateTime.utc_now()}
  defp beat(%Zone{} = row), do: %{row | last_put_at: DateTime.utc_now()}
end
