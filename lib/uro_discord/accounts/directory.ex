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
  alias UroDiscord.{Config, Error}

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

  @doc "The Discord accounts by which he logs in: who has one links no other one, since a user has one account."
  @callback discord_identities(id :: String.t()) :: {:ok, [discord_id :: String.t()]} | {:error, term()}

  @doc "From now on he may log in by this Discord account. `{:error, :taken}` where it is somebody else's login."
  @callback put_identity(id :: String.t(), discord_id :: String.t()) :: :ok | {:error, :taken | term()}

  @doc """
  No longer. It is called for what `c:put_identity/2` has made, and again later where it fails. `{:error, :needed}` where he could not log in any more
  without it: then it stays.
  """
  @callback delete_identity(id :: String.t(), discord_id :: String.t()) :: :ok | {:error, :needed | term()}

  @optional_callbacks changes: 0, discord_identity: 1, discord_identities: 1, put_identity: 2, delete_identity: 2

  ## Asking the configured one: what it raises, or answers against the rules, is an error.

  @doc false
  @spec user(Config.t(), String.t()) :: {:ok, User.t()} | :not_found | {:error, Error.t()}
  def user(config, id) do
    case ask(config, :get, [id]) do
      {:ok, %User{id: ^id} = user} -> {:ok, user}
      :not_found -> :not_found
      other -> failed(config, :get, other)
    end
  end

  @doc false
  @spec users(Config.t(), [String.t()]) :: {:ok, %{String.t() => User.t()}} | {:error, Error.t()}
  def users(_config, []), do: {:ok, %{}}

  def users(config, ids) do
    case ask(config, :get_many, [ids]) do
      {:ok, %{} = users} when not is_struct(users) ->
        if Enum.all?(users, &match?({id, %User{id: id}}, &1)),
          do: {:ok, users},
          else: failed(config, :get_many, :not_by_their_ids)

      other ->
        failed(config, :get_many, other)
    end
  end

  @doc false
  # What hints of changes; nil where the directory cannot tell, or what it says is nothing that could be heard.
  @spec changes(Config.t()) :: %{telemetry_prefix: [atom()], tables: %{String.t() => String.t()}} | nil
  def changes(config) do
    case optional(config, :changes, [], nil) do
      %{telemetry_prefix: [_ | _], tables: %{}} = hints -> hints
      _none -> nil
    end
  end

  @doc false
  # Whose login an account is; `:error` also where the host has no such logins.
  @spec identity(Config.t(), String.t()) :: {:ok, String.t()} | :error | {:error, Error.t()}
  def identity(config, discord_id) do
    case optional(config, :discord_identity, [discord_id], :error) do
      {:ok, id} when is_binary(id) -> {:ok, id}
      :error -> :error
      other -> failed(config, :discord_identity, other)
    end
  end

  @doc false
  @spec identities(Config.t(), String.t()) :: {:ok, [String.t()]} | {:error, Error.t()}
  def identities(config, id) do
    case optional(config, :discord_identities, [id], {:ok, []}) do
      {:ok, ids} when is_list(ids) -> {:ok, ids}
      other -> failed(config, :discord_identities, other)
    end
  end

  @doc false
  @spec add_identity(Config.t(), String.t(), String.t()) :: :ok | :none | :taken | {:error, Error.t()}
  def add_identity(config, id, discord_id) do
    case optional(config, :put_identity, [id, discord_id], :none) do
      answer when answer in [:ok, :none] -> answer
      {:error, :taken} -> :taken
      other -> failed(config, :put_identity, other)
    end
  end

  @doc false
  @spec remove_identity(Config.t(), String.t(), String.t()) :: :ok | :kept | {:error, Error.t()}
  def remove_identity(config, id, discord_id) do
    case optional(config, :delete_identity, [id, discord_id], :ok) do
      :ok -> :ok
      {:error, :needed} -> :kept
      other -> failed(config, :delete_identity, other)
    end
  end

  defp optional(%{accounts: %{directory: directory}} = config, function, arguments, otherwise) do
    if Code.ensure_loaded?(directory) and function_exported?(directory, function, length(arguments)),
      do: ask(config, function, arguments),
      else: otherwise
  end

  defp ask(%{accounts: %{directory: directory}}, function, arguments) do
    apply(directory, function, arguments)
  rescue
    exception -> {:raised, exception}
  catch
    :exit, _reason -> :exited
  end

  # What it answered may be a user with all that the host knows of him, and an exception may have a query in it: neither is shown.
  defp failed(%{accounts: %{directory: directory}}, function, answer) do
    {:error, %Error{kind: :directory, message: "#{inspect(directory)}.#{function} #{why(answer)}"}}
  end

  defp why({:raised, exception}), do: "raised #{inspect(exception.__struct__)}"
  defp why(:exited), do: "exited: what it asks is not there"
  defp why({:error, reason}) when is_atom(reason), do: "answered {:error, #{inspect(reason)}}"
  defp why({:error, %{__exception__: true} = exception}), do: "answered an error: #{inspect(exception.__struct__)}"
  defp why({:error, _reason}), do: "answered an error"
  defp why(_other), do: "answered what UroDiscord.Accounts.Directory does not allow"
end
