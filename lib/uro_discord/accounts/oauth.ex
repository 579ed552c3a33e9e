defmodule UroDiscord.Accounts.OAuth do
  @moduledoc false
  # Discord's OAuth2: the code flow with PKCE. Tokens are wrapped as soon as they are here (`UroDiscord.Secret`).
  # https://discord.com/developers/docs/topics/oauth2

  alias UroDiscord.Accounts.Member
  alias UroDiscord.{Config, Error, Rest, Runtime, Secret, Snowflake}

  # A person waits for it in front of a browser.
  @deadline_ms 8_000
  # Discord does not take a user's token for this, or any more.
  @refused [50_025, 50_026]
  @invalid_token 50_014
  # With a wrong secret Discord is asked once in so long whether it is right: each answer counts against the bot, and so would one for each user.
  @wrong_ms 10_000
  # A year: what lasts longer is asked for anew.
  @longest_s 366 * 86_400

  @type tokens :: %{access: Secret.t(), refresh: Secret.t() | nil, expires_at: DateTime.t(), scopes: [String.t()]}
  @type account :: %{id: Snowflake.t(), username: String.t()}

  @doc "The page at Discord where a user agrees."
  @spec authorize_url(Runtime.t(), String.t(), String.t()) :: String.t()
  def authorize_url(%{config: config} = runtime, state, verifier) do
    query = [
      response_type: "code",
      client_id: client_id(runtime),
      scope: config |> scopes() |> Enum.join(" "),
      state: state,
      redirect_uri: redirect_uri(config),
      prompt: "consent",
      code_challenge: challenge(verifier),
      code_challenge_method: "S256"
    ]

    config.accounts.oauth_url <> "?" <> URI.encode_query(query, :rfc3986)
  end

  @doc "What is asked of the user."
  @spec scopes(Config.t()) :: [String.t()]
  def scopes(%{accounts: accounts}) do
    ["identify"] ++
      if(accounts.guilds == [], do: [], else: ["guilds.join"]) ++
      if accounts.linked_roles == [], do: [], else: ["role_connections.write"]
  end

  @doc "Where Discord sends the user back to; it must be on the OAuth2 page of the developer portal as it is."
  @spec redirect_uri(Config.t()) :: String.t()
  def redirect_uri(%{accounts: accounts}), do: accounts.public_url <> "/link/callback"

  # Of PKCE.
  defp challenge(verifier), do: :crypto.hash(:sha256, verifier) |> Base.url_encode64(padding: false)

  @spec client_id(Runtime.t()) :: Snowflake.t()
  def client_id(%{config: %{accounts: accounts}, bot_id: bot_id}), do: accounts.client_id || bot_id

  @doc "The tokens for the code that came back."
  @spec exchange(Runtime.t(), String.t(), String.t()) :: {:ok, tokens()} | {:error, Error.t()}
  def exchange(%{config: config} = runtime, code, verifier) do
    token(runtime,
      grant_type: "authorization_code",
      code: code,
      redirect_uri: redirect_uri(config),
      code_verifier: verifier
    )
  end

  @doc "The same for a code that an Activity was given by Discord's client, in which there is no page to come back to."
  @spec exchange(Runtime.t(), String.t()) :: {:ok, tokens()} | {:error, Error.t()}
  def exchange(runtime, code), do: token(runtime, grant_type: "authorization_code", code: code)

  @doc "New tokens for old ones, which are good no longer."
  @spec refresh(Runtime.t(), Secret.t()) :: {:ok, tokens()} | {:error, Error.t()}
  def refresh(runtime, refresh_token),
    do: token(runtime, grant_type: "refresh_token", refresh_token: Secret.reveal(refresh_token))

  @doc "Ends what the user has agreed to, with all of its tokens."
  @spec revoke(Runtime.t(), Secret.t()) :: :ok | {:error, Error.t()}
  def revoke(runtime, token) do
    with {:ok, _} <- post(runtime, "oauth2/token/revoke", token: Secret.reveal(token)), do: :ok
  end

  @doc "Whether Discord does not take the user's token that a request of the bot's brings."
  @spec refused?(Error.t()) :: boolean()
  def refused?(%Error{code: code}), do: code in @refused

  @doc "Whether Discord says that a code or a refresh token is good no longer, which no retry mends. A wrong secret of the application's is not that."
  @spec grant_over?(Error.t()) :: boolean()
  def grant_over?(%Error{status: status, message: message}), do: status == 400 and message =~ "invalid_grant"

  @doc "Whether Discord does not know the application as it is configured here: its id, its secret, or where it sends people back to. Only its admin mends that."
  @spec misconfigured?(Error.t()) :: boolean()
  def misconfigured?(%Error{message: message} = error), do: unknown_client?(error) or message =~ "redirect_uri"

  @doc "Whether Discord does not know the application's id, or its secret."
  @spec unknown_client?(Error.t()) :: boolean()
  def unknown_client?(%Error{message: message}), do: message =~ "invalid_client"

  @doc "The same of the access token that a request was made with."
  @spec token_over?(Error.t()) :: boolean()
  def token_over?(%Error{code: code}) when code in [@invalid_token | @refused], do: true
  def token_over?(%Error{status: status, kind: kind}), do: status == 401 and kind in [:api, :unauthorized]

  @doc "Whose access token it is."
  @spec account(Runtime.t(), Secret.t()) :: {:ok, account()} | {:error, Error.t()}
  def account(%{rest: rest}, access) do
    options = [auth: {:bearer, Secret.reveal(access)}, priority: :high, retry: :safe, deadline_ms: @deadline_ms]
    with {:ok, %{body: user}} <- Rest.call(rest, {:raw, :get, nil, "users/@me"}, options), do: read_account(user)
  end

  @doc "A user as Discord tells of him."
  @spec read_account(term()) :: {:ok, account()} | {:error, Error.t()}
  def read_account(%{"id" => id} = user) do
    with {:ok, id} <- Snowflake.cast(id), name when is_binary(name) <- Member.username(user) do
      {:ok, %{id: id, username: name}}
    else
      _neither -> unreadable()
    end
  end

  def read_account(_other), do: unreadable()

  defp token(runtime, form) do
    with {:ok, %{body: body}} <- post(runtime, "oauth2/token", form), do: read_tokens(body)
  end

  defp read_tokens(%{"access_token" => access, "expires_in" => seconds} = body)
       when is_binary(access) and is_integer(seconds) and seconds > 0 do
    refresh = body["refresh_token"]

    {:ok,
     %{
       access: Secret.wrap(access),
       refresh: if(is_binary(refresh), do: Secret.wrap(refresh)),
       expires_at: DateTime.add(DateTime.utc_now(), min(seconds, @longest_s)),
       scopes: body |> Map.get("scope", "") |> to_string() |> String.split()
     }}
  end

  defp read_tokens(_other), do: unreadable()

  defp unreadable, do: {:error, %Error{kind: :response, message: "Discord's answer is not what its documentation says"}}

  # A code is good once, so that this is not sent twice.
  defp post(%{rest: rest, config: config} = runtime, path, form) do
    secret = Secret.reveal(config.accounts.client_secret)
    hash = :crypto.hash(:sha256, secret)

    with nil <- wrong(hash) do
      form = form ++ [client_id: client_id(runtime), client_secret: secret]
      options = [form: form, auth: :none, priority: :high, deadline_ms: @deadline_ms]

      with {:error, %Error{message: message} = error} <- Rest.call(rest, {:raw, :post, nil, path}, options) do
        if message =~ "invalid_client",
          do: Runtime.put(:accounts_wrong_secret, %{hash: hash, error: error, until: now() + @wrong_ms})

        {:error, error}
      end
    end
  end

  defp wrong(hash) do
    case Runtime.lookup(:accounts_wrong_secret) do
      %{hash: ^hash, error: error, until: until} -> if until > now(), do: {:error, error}
      _right -> nil
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
