defmodule UroDiscord.Shards.Hidden do
  @moduledoc false
  # Keeps the registry to what an admin does not want to see. The patterns are in the store, where `mix uro_discord.shards.hide` on another machine
  # puts them too. Judging all shards anew takes its time; the process that watches the store does it.

  alias UroDiscord.Shards.Hidden.{Matcher, Patterns}
  alias UroDiscord.Store.Watch

  @doc "`put` takes what judges shards from now on."
  @spec child_spec((Matcher.t() -> :ok)) :: Supervisor.child_spec()
  def child_spec(put) do
    Watch.child_spec(%{
      name: __MODULE__,
      read: &patterns/1,
      pass_on: fn patterns -> patterns |> Matcher.new() |> put.() end,
      unreadable: "it cannot be read which shards are hidden",
      # Before anything is shown.
      first: :at_start
    })
  end

  @doc "Looks at once, for who has just changed it here."
  @spec reload() :: :ok
  def reload, do: Watch.reload(__MODULE__)

  defp patterns(store), do: with({:ok, entries} <- Patterns.all(store), do: {:ok, Enum.map(entries, & &1.pattern)})
end
