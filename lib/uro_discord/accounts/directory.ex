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

  Its functions are called in processes of UroDiscord's, and may wait for a database, for 20 s at most. One that raises is as one that returns an error, and is
  asked again: only `:not_found` says that there is no such user. An answer of `c:get_many/1` without most of those who were asked for, who all were users
  when they linked, is an error too.
  """

  alias UroDiscord.Accounts.User
  alias UroDiscord.{Config, Error}

  @timeout_ms 20_000
  # Of many who are read one by one, since together they cannot be.
  @one_by_one_ms 2_000
  # So many who were linked may be gone at once, or half of all.
  @few_gone 3
  # So many at first who cannot be had one by one, and the directory is down.
  @down 3

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
  # Within so many ms, 20 s at most.
  @spec user(Config.t(), String.t(), non_neg_integer()) :: {:ok, User.t()} | :not_found | {:error, Error.t()}
  def user(config, id, timeout_ms \\ @timeout_ms) do
    case ask(config, :get, [id], min(timeout_ms, @timeout_ms)) do
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
        cond do
          not Enum.all?(users, &match?({id, %User{id: id}}, &1)) -> failed(config, :get_many, :not_by_their_ids)
          not believable?(length(ids), map_size(users)) -> {:error, unbelievable(config, length(ids), map_size(users))}
          true -> {:ok, users}
        end

      other ->
        failed(config, :get_many, other)
    end
  end

  # Of a database that is just being put back, or of the wrong one, nobody is to lose anything.
  defp believable?(asked, found), do: asked - found <= @few_gone or 2 * found >= asked

  defp unbelievable(%{accounts: %{directory: directory}}, asked, found) do
    %Error{
      kind: :unbelievable,
      message:
        "#{inspect(directory)} knows #{found} of #{asked} linked users: is its database the right one? If it is, UroDiscord.Accounts.unlink/1 ends the links of the others"
    }
  end

  @doc false
  # As `users/2`; but one who cannot be read is in nobody else's way: each is `{:ok, user}`, with nil where there is none, or an error.
  @spec each(Config.t(), [String.t()]) ::
          {:ok, %{String.t() => {:ok, User.t() | nil} | {:error, Error.t()}}} | {:error, Error.t()}
  def each(config, ids) do
    case users(config, ids) do
      {:ok, users} -> {:ok, Map.new(ids, &{&1, {:ok, users[&1]}})}
      {:error, %{kind: :unbelievable} = error} -> {:error, error}
      {:error, error} -> one_by_one(config, ids, error)
    end
  end

  defp one_by_one(config, ids, error) do
    answered =
      Enum.reduce_while(ids, {:ok, %{}}, fn id, {:ok, users} ->
        users = Map.put(users, id, with(:not_found <- user(config, id, @one_by_one_ms), do: {:ok, nil}))
        down? = map_size(users) == min(@down, length(ids)) and Enum.all?(users, &match?({_id, {:error, _}}, &1))
        if down?, do: {:halt, {:error, error}}, else: {:cont, {:ok, users}}
      end)

    with {:ok, users} <- answered do
      found = Enum.count(users, fn {_id, user} -> user != {:ok, nil} end)
      if believable?(length(ids), found), do: {:ok, users}, else: {:error, unbelievable(config, length(ids), found)}
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

  # In a process of its own, which is not waited for for ever. It has its callers as tasks have them, by which a Repo knows its sandbox.
  defp ask(%{accounts: %{directory: directory}}, function, arguments, timeout_ms \\ @timeout_ms) do
    callers = [self() | Process.get(:"$callers") || []]

    {pid, monitor} =
      spawn_monitor(fn ->
        Process.put(:"$callers", callers)
        exit({:answer, answer(directory, function, arguments)})
      end)

    receive do
      {:DOWN, ^monitor, :process, ^pid, {:answer, answer}} -> answer
      {:DOWN, ^monitor, :process, ^pid, _reason} -> :exited
    after
      timeout_ms ->
        Process.demonitor(monitor, [:flush])
        Process.exit(pid, :kill)
        {:late, timeout_ms}
    end
  end

  defp answer(directory, function, arguments) do
    apply(directory, function, arguments)
  rescue
    exception -> {:raised, exception}
  catch
    :exit, _reason -> :exited
    :throw, _value -> :threw
  end

  # What it answered may be a user with all that the host knows of him, and an exception may have a query in it: neither is shown.
  defp failed(%{accounts: %{directory: directory}}, function, answer) do
    {:error, %Error{kind: :directory, message: "#{inspect(directory)}.#{function} #{why(answer)}"}}
  end

  defp why({:raised, exception}), do: "raised #{inspect(exception.__struct__)}"
  defp why({:late, ms}), do: "did not answer within #{ms} ms"
  defp why(:threw), do: "threw"
  defp why(:exited), do: "exited: what it asks is not there"
  defp why({:error, reason}) when is_atom(reason), do: "answered {:error, #{inspect(reason)}}"
  defp why({:error, %{__exception__: true} = exception}), do: "answered an error: #{inspect(exception.__struct__)}"
  defp why({:error, _reason}), do: "answered an error"
  defp why(_other), do: "answered what UroDiscord.Accounts.Directory does not allow"
end
