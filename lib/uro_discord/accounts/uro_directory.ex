defmodule UroDiscord.Accounts.UroDirectory do
  @moduledoc """
  Who is who in V-Sekai's Uro, for `accounts: [directory:]`, and who is logged in there, for `current_user:` and `may_add_bot:`.

  Attributes: `"email_confirmed"`, `"is_admin"`, `"can_upload_avatars"`, `"can_upload_maps"`, `"can_upload_props"`, `"can_upload_shared_files"`,
  `"hosts_shard"` (a shard of his is open), each true or false. Uro has no groups. While it is not known which shards there are, as in a Mix task or before their
  source has answered, `"hosts_shard"` is `:unknown`, and roles that go by it stay as they are.
  """

  # Uro's, Pow's and Plug's: called by name, so that UroDiscord compiles without them.
  @compile {:no_warn_undefined, [Pow.Plug, Plug.Conn, Uro.Repo, Uro.UserIdentities, Uro.Plug.Authentication]}

  @behaviour UroDiscord.Accounts.Directory

  require Logger
  alias UroDiscord.Accounts.{User, Visitor}
  alias UroDiscord.Shards

  @ruleset Uro.Accounts.UserPrivilegeRuleset
  @privileges [:is_admin, :can_upload_avatars, :can_upload_maps, :can_upload_props, :can_upload_shared_files]
  @provider "discord"

  @impl true
  def get(id) do
    with {:ok, users} <- get_many([id]) do
      case users do
        %{^id => user} -> {:ok, user}
        %{} -> :not_found
      end
    end
  end

  @impl true
  def get_many(ids) do
    # Ecto's queries are macros, and the id of a user that is asked for is one of any host's: rulesets that are nowhere stored are
    # given their users, which is two queries for any number of them.
    asked = for id <- ids, uuid?(id), do: struct!(@ruleset, user_id: id)
    hosts = hosts()

    users =
      for %{user: %{id: id} = user} <- Uro.Repo.preload(asked, user: :user_privilege_ruleset),
          into: %{},
          do: {id, user(user, hosts)}

    {:ok, users}
  end

  defp user(user, hosts) do
    rules = user.user_privilege_ruleset || %{}
    attributes = for privilege <- @privileges, into: %{}, do: {"#{privilege}", Map.get(rules, privilege) == true}

    %User{
      id: user.id,
      display_name: user.display_name,
      username: user.username,
      locked?: user.locked_at != nil,
      attributes:
        Map.merge(attributes, %{
          "email_confirmed" => user.email_confirmed_at != nil,
          "hosts_shard" => if(hosts == :unknown, do: :unknown, else: user.id in hosts)
        })
    }
  end

  defp hosts do
    if Shards.known?(),
      do: for(%{host_id: host} <- Shards.visible(), host != nil, into: MapSet.new(), do: host),
      else: :unknown
  end

  @impl true
  def changes do
    %{
      telemetry_prefix: [:uro, :repo],
      tables: %{"users" => "id", "user_privilege_rulesets" => "user_id", "user_identities" => "user_id"}
    }
  end

  ## Logins at Uro by Discord

  @impl true
  def discord_identity(discord_id) do
    case Uro.UserIdentities.get_user_by_provider_uid(@provider, discord_id) do
      nil -> :error
      user -> {:ok, user.id}
    end
  end

  @impl true
  def discord_identities(id) do
    case uro_user(id) do
      {:ok, user} -> {:ok, for(%{provider: @provider, uid: uid} <- Uro.UserIdentities.all(user), do: uid)}
      :not_found -> {:ok, []}
    end
  end

  @impl true
  def put_identity(id, discord_id) do
    with {:ok, user} <- uro_user(id) do
      case Uro.UserIdentities.upsert(user, %{"provider" => @provider, "uid" => discord_id}) do
        {:ok, _identity} -> :ok
        {:error, {:bound_to_different_user, _changeset}} -> {:error, :taken}
        {:error, reason} -> {:error, reason}
      end
    end
  end

  # This one and no other: he may log in by another Discord account, too. `Uro.UserIdentities.delete/2` would delete all.
  @impl true
  def delete_identity(id, discord_id) do
    with {:ok, user} <- uro_user(id) do
      case Enum.split_with(Uro.UserIdentities.all(user), &(&1.provider == @provider and &1.uid == discord_id)) do
        {[], _others} -> :ok
        {_this, []} when user.password_hash == nil -> {:error, :needed}
        {[identity], _others} -> with {:ok, _deleted} <- Uro.Repo.delete(identity), do: :ok
      end
    else
      :not_found -> :ok
    end
  end

  defp uro_user(id) do
    case if(uuid?(id), do: Uro.Repo.preload([struct!(@ruleset, user_id: id)], :user), else: []) do
      [%{user: %{id: ^id} = user}] -> {:ok, user}
      _none -> :not_found
    end
  end

  defp uuid?(id), do: is_binary(id) and id =~ ~r/\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\z/

  ## Who is logged in

  @doc "The user of Pow's session, for `current_user:`."
  @spec current_user(struct()) :: {:ok, String.t()} | :error
  def current_user(conn) do
    case pow_user(conn) do
      %{id: id} -> {:ok, id}
      nil -> :error
    end
  end

  @doc "Whether that is an admin who is not locked, for `may_add_bot:`."
  @spec admin?(struct()) :: boolean()
  def admin?(conn) do
    with {:ok, id} <- current_user(conn), {:ok, user} <- get(id) do
      user.attributes["is_admin"] and not user.locked?
    else
      _nobody -> false
    end
  end

  defp pow_user(%Visitor{}) do
    Logger.error(
      "accounts: Uro's session is Phoenix's: mount UroDiscord.Plug there, or give `accounts: [current_user:]` a function that knows who is " <>
        "logged in by the headers of a UroDiscord.Accounts.Visitor"
    )

    nil
  end

  # Above the router, Uro has not looked yet who it is. What its plug would answer with goes with this conn.
  defp pow_user(%{private: %{pow_config: _config}} = conn), do: Pow.Plug.current_user(conn)

  defp pow_user(conn) do
    conn
    |> Plug.Conn.fetch_cookies()
    |> Uro.Plug.Authentication.call(Uro.Plug.Authentication.init(otp_app: :uro))
    |> Pow.Plug.current_user()
  end
end
