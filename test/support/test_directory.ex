defmodule UroDiscord.TestDirectory do
  @moduledoc "The users of a test, and a configuration of accounts with them."

  @behaviour UroDiscord.Accounts.Directory

  alias UroDiscord.Accounts.{Link, Links, User}
  alias UroDiscord.Runtime

  @doc "Options to start UroDiscord with."
  @spec accounts(keyword()) :: keyword()
  def accounts(more \\ []) do
    on = [
      directory: __MODULE__,
      client_secret: "the-secret-of-the-application",
      public_url: "https://uro.example/discord"
    ]

    [accounts: Keyword.merge(on, more)]
  end

  @doc "There is such a user from now on, in this VM."
  @spec put(String.t(), keyword()) :: :ok
  def put(id, fields \\ []), do: :persistent_term.put({__MODULE__, id}, struct!(User, [id: id] ++ fields))

  @doc "There is no such user any more."
  @spec delete(String.t()) :: boolean()
  def delete(id), do: :persistent_term.erase({__MODULE__, id})

  @doc "Links a user with a person of discord-sim, by name or id, without asking Discord."
  @spec link!(UroDiscord.DiscordSim.t(), String.t(), String.t()) :: Link.t()
  def link!(sim, user_id, person) do
    {:ok, %{store: store}} = Runtime.fetch()
    {:ok, :new, link} = Links.put(store, user_id, person(sim, person), "@#{person}")
    link
  end

  @doc "The id of a person of discord-sim."
  @spec person(UroDiscord.DiscordSim.t(), String.t()) :: String.t()
  def person(sim, name) do
    case sim.info["users"][name] do
      %{"id" => id} -> id
      nil -> name
    end
  end

  @impl true
  def get(id) do
    case :persistent_term.get({__MODULE__, id}, nil) do
      nil -> :not_found
      user -> {:ok, user}
    end
  end

  @impl true
  def get_many(ids), do: {:ok, for(id <- ids, {:ok, user} <- [get(id)], into: %{}, do: {id, user})}
end
