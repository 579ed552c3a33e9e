defmodule UroDiscord.Accounts.Linking do
  @moduledoc false
  # How a Uro user and a Discord account come to belong together: the login at Discord is begun (`begin/3`), and finished by what comes back (`finish/4`).
  # What happened is an outcome, which `UroDiscord.Web.LinkPages` tells.
  #
  # A login goes on only where it was begun: in the same browser (a cookie of ours), by the same Uro user, once, within ten minutes. So nobody can finish
  # another's login, or have his own finished by another.

  require Logger

  alias UroDiscord.Accounts.{Directory, Joining, Link, Links, OAuth, Running, States, Sync, Tokens, Unlinking, Vanished}
  alias UroDiscord.{Error, Events, Runtime, Snowflake, Store}
  alias UroDiscord.Web.{RateLimit, Waits}

  # Logins of one user that begin in a minute.
  @begins 10

  @type outcome ::
          {:redirect, url :: String.t()}
          | {:linked, :new | :again, Link.t(), [{Snowflake.t(), Joining.outcome()}], return_to :: String.t() | nil}
          | {:has_link, Link.t()}
          | {:clash, :user, Link.t()}
          | {:clash, :account, username :: String.t()}
          | {:other_account, username :: String.t()}
          | {:other_login, username :: String.t()}
          | {:missing_scopes, [String.t()]}
          | :locked
          | :unknown_user
          | :personal_link_over
          | :login_over
          | :denied
          | :code_refused
          | {:refused, String.t()}
          | :misconfigured
          | :too_often
          | :later

  @typedoc "`personal`: what a personal link has in it. `again?`: also for who is linked already, to join the servers."
  @type options :: %{personal: String.t() | nil, return_to: String.t() | nil, again?: boolean()}

  @doc "The way to Discord's page for this user, in the browser with this session (a hash)."
  @spec begin(Runtime.t(), String.t(), String.t(), options()) :: outcome()
  def begin(%{store: store} = runtime, user_id, session, options) do
    with :ok <- may_link(runtime, user_id),
         :ok <- unlinked(store, user_id, options),
         :ok <- slowly(user_id),
         {:ok, discord_id} <- personal(store, options.personal) do
      verifier = States.random()

      login = %{
        session: session,
        user_id: user_id,
        discord_id: discord_id,
        verifier: verifier,
        return_to: options.return_to
      }

      case States.begin(store, login) do
        {:ok, state} -> {:redirect, OAuth.authorize_url(runtime, state, verifier)}
        {:error, _away} -> :later
      end
    else
      {:error, %Error{} = error} -> failed(error)
      outcome -> outcome
    end
  end

  # A user who has a link and comes by a personal one goes on to the login, which shows whether it is the same account.
  defp unlinked(_store, _user_id, %{again?: true}), do: :ok
  defp unlinked(_store, _user_id, %{personal: token}) when token != nil, do: :ok

  defp unlinked(store, user_id, _options) do
    case Links.get(store, user_id) do
      {:ok, link} -> {:has_link, link}
      :error -> :ok
      error -> error
    end
  end

  defp slowly(user_id) do
    case RateLimit.take("link " <> user_id, @begins) do
      :ok -> :ok
      {:error, _seconds} -> :too_often
      :unavailable -> :later
    end
  end

  defp personal(_store, nil), do: {:ok, nil}

  defp personal(store, token) do
    with true <- States.random?(token), {:ok, discord_id} <- States.take_personal(store, token) do
      {:ok, discord_id}
    else
      {:error, error} -> {:error, error}
      _over -> :personal_link_over
    end
  end

  defp may_link(%{config: config}, user_id) do
    case Directory.user(config, user_id) do
      {:ok, %{locked?: true}} -> :locked
      {:ok, _user} -> :ok
      :not_found -> :unknown_user
      {:error, error} -> {:error, error}
    end
  end

  @doc """
  What Discord's redirect brings, in the browser with this session, while this user is logged in. What is begun then is finished, also when the browser goes.
  """
  @spec finish(Runtime.t(), String.t(), String.t(), %{String.t() => String.t()}) :: outcome()
  def finish(%{store: store} = runtime, user_id, session, params) do
    with true <- States.random?(params["state"]),
         {:ok, login} <- States.take(store, params["state"], session, user_id) do
      finish_login(runtime, login, params)
    else
      {:error, error} -> failed(error)
      _over -> :login_over
    end
  end

  defp finish_login(_runtime, _login, %{"error" => "access_denied"}), do: :denied
  defp finish_login(_runtime, _login, %{"error" => error}), do: {:refused, error}

  defp finish_login(runtime, login, %{"code" => code}) when byte_size(code) in 1..512 do
    with {:ok, outcome} <- Running.to_its_end(fn -> login(runtime, login, code) end), do: outcome
  end

  defp finish_login(_runtime, _login, _neither), do: :code_refused

  defp login(%{config: config} = runtime, login, code) do
    # He may have been locked since it began.
    with :ok <- may_link(runtime, login.user_id),
         {:ok, tokens} <- Waits.wait(:link, login.user_id, fn -> OAuth.exchange(runtime, code, login.verifier) end),
         [] <- OAuth.scopes(config) -- tokens.scopes,
         {:ok, account} <- OAuth.account(runtime, tokens.access) do
      outcome =
        with :ok <- wanted(login, account),
             {:ok, login?} <- free(runtime, login.user_id, account),
             do: link(runtime, login, account, tokens, login?)

      # Nothing comes of these tokens, so they are revoked. Not those of an account that is somebody else's: he may be linking it just now, and revoking
      # these would end his too.
      unless match?({:linked, _, _, _, _}, outcome) or match?({:clash, :account, _}, outcome),
        do: Tokens.discard(runtime, account.id, tokens)

      with {:error, %Error{} = error} <- outcome, do: failed(error)
    else
      [_ | _] = missing -> {:missing_scopes, missing}
      :many -> :later
      {:error, %Error{} = error} -> failed(error)
      outcome -> outcome
    end
  end

  defp wanted(%{discord_id: id}, %{id: id}), do: :ok
  defp wanted(%{discord_id: nil}, _account), do: :ok
  defp wanted(_personal, account), do: {:other_account, account.username}

  # An account that is somebody's login at Uro is his. Whether this one is the user's login already.
  defp free(%{config: config} = runtime, user_id, account) do
    case Directory.identity(config, account.id) do
      {:ok, ^user_id} -> {:ok, true}
      {:ok, _other} -> {:clash, :account, account.username}
      :error -> only(runtime, user_id, account)
      {:error, error} -> {:error, error}
    end
  end

  # Who logs in by another one has an account. That it is linked already is said first.
  defp only(%{config: config, store: store}, user_id, account) do
    with {:ok, [_ | _]} <- Directory.identities(config, user_id),
         :error <- Links.get(store, user_id) do
      {:other_login, account.username}
    else
      {:ok, _none_or_linked} -> {:ok, false}
      {:error, error} -> {:error, error}
    end
  end

  # That a login is made here is stored with the link, before it is made: whoever ends the link at any moment knows of it.
  defp link(runtime, login, account, tokens, login?) do
    kept = Tokens.seal(runtime.config, tokens, account.id)

    case put(runtime, login.user_id, account, kept, identity: not login?) do
      {:ok, how, link} ->
        with :ok <- identity(runtime, how, link, login?) do
          if how == :new, do: Events.publish(:accounts, {:linked, %{link: link}})
          joined = Joining.join(runtime, link, tokens.access)
          {:linked, how, link, joined, login.return_to}
        end

      {:clash, :user, link} ->
        {:clash, :user, link}

      {:clash, :account, _others} ->
        {:clash, :account, account.username}

      {:error, error} ->
        failed(error)
    end
  end

  # An account that is linked with somebody whom the directory does not know any more is free.
  defp put(%{store: store} = runtime, user_id, account, kept, options) do
    with {:clash, :account, link} = clash <- Links.put(store, user_id, account.id, account.username, kept, options) do
      case Vanished.make_way(runtime, link) do
        :ok -> Links.put(store, user_id, account.id, account.username, kept, options)
        :taken -> clash
        {:error, error} -> {:error, error}
      end
    end
  end

  # From now on the user logs in at Uro by this account. Two things may have happened since it was looked at: the account is somebody else's login (`:taken`);
  # or the link has ended, and whoever ended it took the login away before it was made here, so that nobody else takes it away.
  defp identity(%{config: config, store: store} = runtime, how, link, login?) do
    case Directory.add_identity(config, link.user_id, link.discord_id) do
      :ok when login? ->
        :ok

      :ok ->
        with :over <- still_linked(store, link), do: take_back_identity(runtime, link)

      :none ->
        :ok

      :taken ->
        with {:error, error} <- not_his(how, store, link), do: Store.failed(error, "a link was not taken back")
        {:clash, :account, link.username}

      # The link is good without it.
      {:error, error} ->
        Logger.warning("accounts: #{Exception.message(error)}; he cannot log in by Discord through this link")
        :ok
    end
  end

  # Of a link that has just been made nobody was told yet.
  defp not_his(:new, store, link), do: Links.delete(store, link)
  defp not_his(:again, _store, link), do: Unlinking.unlink(link.user_id, :admin)

  # Where the store does not answer, the link counts as there.
  defp still_linked(store, link) do
    case Links.get(store, link.user_id) do
      {:ok, %{discord_id: discord_id}} -> if discord_id == link.discord_id, do: :ok, else: :over
      :error -> :over
      {:error, _error} -> :ok
    end
  end

  defp take_back_identity(%{config: config}, link) do
    with {:error, error} <- Directory.remove_identity(config, link.user_id, link.discord_id),
         do:
           Logger.error(
             "accounts: the login by Discord of #{link.user_id}, who was unlinked while he linked, stays: #{Exception.message(error)}"
           )

    :login_over
  end

  @doc """
  Links the account of a Discord user who already logs in at Uro by it, without asking him again: Discord has said there whose it is. `:error` where nobody
  does.
  """
  @spec adopt(map()) :: {:ok, Link.t()} | :error | :locked | {:clash, :user, Link.t()} | {:error, Error.t()}
  def adopt(discord_user) do
    with {:ok, %{config: config, store: store} = runtime} <- Running.fetch(),
         {:ok, account} <- OAuth.read_account(discord_user),
         :error <- Links.by_discord(store, account.id),
         {:ok, user_id} <- Directory.identity(config, account.id),
         :ok <- may_link(runtime, user_id) do
      case put(runtime, user_id, account, nil, []) do
        {:ok, how, link} ->
          if how == :new, do: Events.publish(:accounts, {:linked, %{link: link}})
          with :ok <- Sync.later(user_id, :linked), do: {:ok, link}

        {:clash, :account, _others} ->
          :error

        other ->
          other
      end
    else
      :unknown_user -> :error
      other -> other
    end
  end

  ## What went wrong

  # What is wrong with the application is for the log, where its owner looks.
  defp failed(%Error{status: status, message: message} = error) do
    cond do
      OAuth.misconfigured?(error) ->
        Logger.error(
          "accounts: Discord does not know this application, its secret or its redirect: compare client_id, client_secret and public_url of " <>
            "`config :uro_discord, accounts:` with the OAuth2 page of the Discord developer portal (#{message})"
        )

        :misconfigured

      OAuth.grant_over?(error) or OAuth.token_over?(error) ->
        :code_refused

      true ->
        if status != nil or error.kind == :directory, do: Logger.warning("accounts: #{Exception.message(error)}")
        :later
    end
  end

  @doc "A cookie's value as the session that a login is bound to."
  @spec session(String.t()) :: String.t()
  def session(cookie), do: States.hash(cookie)
end
