defmodule Uro.Accounts.UserPrivilegeRuleset do
  @moduledoc "With the columns of V-Sekai/uro's lib/uro/accounts/user_privilege_ruleset.ex, and its user as an association."
  defstruct [
    :id,
    :user_id,
    :user,
    is_admin: false,
    can_upload_avatars: false,
    can_upload_maps: false,
    can_upload_props: false,
    can_upload_shared_files: false
  ]
end

defmodule DBConnection.ConnectionError do
  @moduledoc "What Ecto raises without a database."
  defexception message: "the secret database is away"
end

defmodule UroDiscord.FakeAccounts do
  @moduledoc """
  Uro's accounts, as far as we ask them: `Uro.Repo.preload/2`, `Uro.UserIdentities` (PowAssent's context), `Uro.Plug.Authentication` and `Pow.Plug`, over a
  table in memory. It can be made to fail.
  """

  use Agent

  @code """
  defmodule Uro.Repo do
    def preload(structs, associations), do: UroDiscord.FakeAccounts.preload(structs, associations)
    def delete(%{provider: "discord", uid: uid}), do: UroDiscord.FakeAccounts.delete(uid)
  end

  defmodule Uro.UserIdentities do
    alias UroDiscord.FakeAccounts
    def get_user_by_provider_uid("discord", uid), do: FakeAccounts.by_identity(uid)
    def upsert(user, %{"provider" => "discord", "uid" => uid}), do: FakeAccounts.upsert(user, uid)
    def all(user), do: FakeAccounts.identities(user)
  end

  defmodule Uro.Plug.Authentication do
    def init(otp_app: :uro), do: [otp_app: :uro]

    def call(conn, otp_app: :uro) do
      user = UroDiscord.FakeAccounts.of_session(conn.cookies["session"])
      conn |> Plug.Conn.put_private(:pow_config, otp_app: :uro) |> Plug.Conn.put_private(:user, user)
    end
  end

  defmodule Pow.Plug do
    def current_user(%{private: %{pow_config: _config, user: user}}), do: user
  end
  """

  @doc "Uro without users; it ends with the test."
  def start! do
    modules = for {module, _beam} <- Code.compile_string(@code), do: module

    ExUnit.Callbacks.on_exit(fn ->
      for module <- modules do
        :code.purge(module)
        :code.delete(module)
      end
    end)

    ExUnit.Callbacks.start_supervised!(__MODULE__)
    :ok
  end

  def start_link(_argument) do
    start = fn -> %{users: %{}, identities: %{}, sessions: %{}, queries: 0, failing?: false} end
    Agent.start_link(start, name: __MODULE__)
  end

  @doc "A user with these columns, his own and his ruleset's (`ruleset: nil`: none)."
  def put(id, fields) do
    Agent.update(__MODULE__, fn state ->
      base = %{id: id, password_hash: "hash", email_confirmed_at: nil, locked_at: nil, display_name: nil, username: nil}
      put_in(state.users[id], Map.merge(Map.get(state.users, id, base), Map.new(fields)))
    end)
  end

  @doc "From now on the database is away."
  def fail, do: Agent.update(__MODULE__, &%{&1 | failing?: true})

  @doc "How many queries there were."
  def queries, do: Agent.get(__MODULE__, & &1.queries)

  @doc "Somebody logs in: the value of his cookie `session`."
  def log_in(id) do
    token = Base.encode16(:crypto.strong_rand_bytes(8))
    Agent.update(__MODULE__, &put_in(&1.sessions[token], id))
    token
  end

  @doc false
  def of_session(token), do: Agent.get(__MODULE__, fn state -> user(state, state.sessions[token]) end)

  # As Ecto: one query for each association, whatever the number of structs.
  @doc false
  def preload(structs, :user), do: preload(structs, [:user])
  def preload(structs, user: :user_privilege_ruleset), do: preload(structs, [:user, :user_privilege_ruleset])

  def preload(structs, associations) do
    if Agent.get(__MODULE__, & &1.failing?), do: raise(DBConnection.ConnectionError)

    Agent.get_and_update(__MODULE__, fn state ->
      loaded = for struct <- structs, do: %{struct | user: user(state, struct.user_id)}
      {loaded, %{state | queries: state.queries + length(associations)}}
    end)
  end

  defp user(state, id) do
    with %{} = row <- state.users[id] do
      rules = struct(Uro.Accounts.UserPrivilegeRuleset, Map.put(row, :user_id, id))
      Map.put(row, :user_privilege_ruleset, if(Map.get(row, :ruleset, rules), do: rules))
    end
  end

  @doc false
  def by_identity(uid), do: Agent.get(__MODULE__, fn state -> user(state, state.identities[uid]) end)

  @doc false
  def upsert(%{id: id}, uid) do
    Agent.get_and_update(__MODULE__, fn state ->
      case state.identities do
        %{^uid => other} when other != id -> {{:error, {:bound_to_different_user, :changeset}}, state}
        _free -> {{:ok, :identity}, put_in(state.identities[uid], id)}
      end
    end)
  end

  @doc false
  def identities(%{id: id}) do
    Agent.get(__MODULE__, fn state ->
      for {uid, ^id} <- state.identities, do: %{provider: "discord", uid: uid, user_id: id}
    end)
  end

  @doc false
  def delete(uid),
    do: Agent.get_and_update(__MODULE__, &{{:ok, uid}, %{&1 | identities: Map.delete(&1.identities, uid)}})
end
