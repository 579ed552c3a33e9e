defmodule UroDiscord.Bridges.Drained do
  @moduledoc false
  # Which bridges drain, in the store, where `mix uro_discord.bridges` on another machine puts them too.

  alias UroDiscord.{Error, Store}
  alias UroDiscord.Bridges.Placement
  alias UroDiscord.Config.Bridges
  alias UroDiscord.Store.Watch

  @spec child_spec(term()) :: Supervisor.child_spec()
  def child_spec(_config) do
    Watch.child_spec(%{
      name: __MODULE__,
      read: &all/1,
      pass_on: &Placement.drain/1,
      unreadable: "it cannot be read which bridges drain",
      first: :at_start
    })
  end

  @doc "Looks at once, for who has just changed it here."
  @spec reload() :: :ok
  def reload, do: Watch.reload(__MODULE__)

  @doc "The name of a bridge that has calls and portals, and can drain, or stop doing so."
  @spec cast(term(), term(), [Bridges.bridge()]) :: {:ok, String.t()} | {:error, Error.t()}
  def cast(_name, drain, _bridges) when not is_boolean(drain),
    do: {:error, Error.invalid("drain", drain, "true or false")}

  def cast(name, drain, bridges) do
    names = for bridge <- Bridges.having(bridges, :media), do: "#{bridge.name}"

    cond do
      not ((is_atom(name) or is_binary(name)) and "#{name}" in names) ->
        {:error, Error.invalid("bridge", name, "one with the role :media: #{Enum.join(names, ", ")}")}

      drain and match?([_], names) ->
        {:error,
         Error.invalid(
           "bridge",
           "#{name} is the only bridge with the role :media: there is none that would take what it has"
         )}

      true ->
        {:ok, "#{name}"}
    end
  end

  @spec put(Store.t(), String.t(), boolean()) :: :ok | {:error, Error.t()}
  def put(store, name, true) do
    sql = "INSERT INTO uro_discord_drained_bridges (bridge, drained_at) VALUES ($1, $2) ON CONFLICT (bridge) DO NOTHING"
    with {:ok, _} <- Store.run(store, [{sql, [name, System.os_time(:millisecond)]}], :write), do: :ok
  end

  def put(store, name, false) do
    with {:ok, _} <- Store.run(store, [{"DELETE FROM uro_discord_drained_bridges WHERE bridge = $1", [name]}], :write),
         do: :ok
  end

  @doc "The names of those that drain."
  @spec all(Store.t()) :: {:ok, [String.t()]} | {:error, Error.t()}
  def all(store) do
    with {:ok, [%{rows: rows}]} <-
           Store.run(store, [{"SELECT bridge FROM uro_discord_drained_bridges ORDER BY bridge", []}], :read),
         do: {:ok, for([name] <- rows, do: name)}
  end
end
