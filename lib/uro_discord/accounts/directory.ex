defmodule UroDiscord.Accounts.Directory do
  @moduledoc """
  Who is who, as the host says. `UroDiscord.Accounts.UroDirectory` is that of Uro; another host writes its own:

      defmodule MyApp.Directory do
        @behaviour UroDiscord.Accounts.Directory

        @impl true
        def get(id) do
          case MyApp.Users.find(id) do
            nil -> :not_found
            user -> {:ok, %UroDiscord.Accounts.User{id: user.id, display_name: user.name, groups: user.groups}}
          end
        end

        @impl true
        def get_many(ids) do
          users = for id <- ids, {:ok, user} <- [get(id)], into: %{}, do: {id, user}
          {:ok, users}
        end
      end

  Its functions are called in processes of UroDiscord's, and may wait for a database. One that raises is as one that returns an error, and is asked
  again: only `:not_found` says that there is no such user.
  """

  alias UroDiscord.Accounts.User

  @doc "A user by his id."
  @callback get(id :: String.t()) :: {:ok, User.t()} | :not_found | {:error, term()}

  @doc "Several at once, 1,000 at most; who is missing in the answer is not there."
  @callback get_many(ids :: [String.t()]) :: {:ok, %{(id :: String.t()) => User.t()}} | {:error, term()}

  @doc """
  What hints that a user has changed: the `telemetry_prefix` of the Repo that writes users, and the tables in question, each with the column that has the
  user's id. Without it the directory is asked now and then.
  """
  @callback changes() :: %{telemetry_prefix: [atom()], tables: %{String.t() => column :: String.t()}}

  @doc "Whose login at the host a Discord account is, where people log in there by Discord."
  @callback discord_identity(discord_id :: String.t()) :: {:ok, id :: String.t()} | :error | {:error, term()}

  @doc "From now on he may log in by this Discord account. `{:error, :taken}` where it is somebody else's login."
  @callback put_identity(id :: String.t(), discord_id :: String.t()) :: :ok | {:error, :taken | term()}

  @doc "No longer. It is called for what `c:put_identity/2` has made."
  @callback delete_identity(id :: String.t(), discord_id :: String.t()) :: :ok | {:error, term()}

  @optional_callbacks changes: 0, discord_identity: 1, put_identity: 2, delete_identity: 2
end
