defmodule UroDiscord.Accounts.LinkedRoles do
  @moduledoc false
  # What Discord is told of a linked user, for a server's admins to make Linked Roles of. It is told again when it is something else: the link has a hash of
  # what was said last.
  # https://discord.com/developers/docs/resources/application-role-connection-metadata

  require Logger

  alias UroDiscord.Accounts.{Directory, Links, OAuth, Running, Tokens, Turns, User}
  alias UroDiscord.Config.Accounts.LinkedRoles, as: Records
  alias UroDiscord.{Config, Error, Length, Rest, Runtime, Secret}

  @deadline_ms 15_000

  @doc """
  Brings what Discord knows of a user to what he is, and sees to it that his tokens do not run out; nothing where he is not linked, or has given none.
  """
  @spec push(String.t()) :: :ok | {:error, Error.t()}
  def push(user_id) do
    with {:ok, %{config: config, store: store} = runtime} <- Running.fetch(),
         true <- config.accounts.linked_roles != [],
         {:ok, link} <- Links.get(store, user_id),
         {:ok, %{} = kept, told} <- Links.tokens(store, link.discord_id),
         {:ok, user} <- user(config, user_id),
         true <- told?(config, user) do
      body = body(config, user)
      hash = hash(body)

      if hash == told and not Tokens.ending?(kept),
        do: :ok,
        else: Turns.run("tokens/#{link.discord_id}", fn -> tell(runtime, link, body, hash) end)
    else
      {:error, error} -> {:error, error}
      _nothing_to_tell -> :ok
    end
  end

  # What is not known just now stays as it is, with all the rest.
  defp told?(_config, nil), do: true

  defp told?(config, user),
    do: user.locked? or Enum.all?(config.accounts.linked_roles, &(user.attributes[&1.attribute] != :unknown))

  defp user(config, id) do
    case Directory.user(config, id) do
      :not_found -> {:ok, nil}
      other -> other
    end
  end

  defp tell(%{rest: rest, store: store} = runtime, link, body, hash) do
    with {:ok, access} <- Tokens.access(runtime, link),
         {:ok, %{}, told} when told != hash <- Links.tokens(store, link.discord_id) do
      options = [
        auth: {:bearer, Secret.reveal(access)},
        json: body,
        retry: :safe,
        priority: :low,
        deadline_ms: @deadline_ms
      ]

      case Rest.call(rest, {:raw, :put, nil, path(runtime)}, options) do
        {:ok, _said} ->
          Links.put_connection(store, link.discord_id, hash)

        {:error, error} ->
          if OAuth.token_over?(error), do: over(runtime, link), else: {:error, error}
      end
    else
      {:error, error} -> {:error, error}
      _told_or_no_tokens -> :ok
    end
  end

  defp path(runtime), do: "users/@me/applications/#{OAuth.client_id(runtime)}/role-connection"

  # He stays linked, and gives new tokens when he links again.
  defp over(%{store: store} = runtime, link) do
    with {:ok, %{} = kept, _told} <- Links.tokens(store, link.discord_id),
         :none <- Tokens.forget(runtime, link, kept) do
      Logger.info(
        "accounts: Discord takes the tokens of #{link.discord_id} no longer; his Linked Roles stay as they are until he links again"
      )

      :ok
    else
      {:ok, nil, _told} -> :ok
      {:error, error} -> {:error, error}
    end
  end

  @doc "What is said of a user; of one who is locked, or gone, nothing."
  @spec body(Config.t(), User.t() | nil) :: map()
  def body(%{accounts: accounts}, user) do
    base = %{platform_name: accounts.platform_name, metadata: %{}}

    if user == nil or user.locked? do
      base
    else
      metadata =
        for record <- accounts.linked_roles, {:ok, text} <- [value(user, record)], into: %{}, do: {record.key, text}

      name = user.display_name || user.username
      base = if name in [nil, ""], do: base, else: Map.put(base, :platform_username, Length.cut(name, 100))
      %{base | metadata: metadata}
    end
  end

  # As text, as Discord has it; what does not fit its type is not said.
  defp value(user, %{type: type, attribute: attribute}) do
    case {Records.kind(type), Map.get(user.attributes, attribute)} do
      {:boolean, value} when is_boolean(value) -> {:ok, if(value, do: "1", else: "0")}
      {:integer, value} when is_integer(value) and abs(value) <= 0x7FFF_FFFF -> {:ok, Integer.to_string(value)}
      {:datetime, %DateTime{} = value} -> {:ok, DateTime.to_iso8601(value)}
      _nothing -> :error
    end
  end

  defp hash(body),
    do: :crypto.hash(:sha256, :erlang.term_to_binary(body, [:deterministic])) |> Base.encode16(case: :lower)

  ## The records, which the application has once

  @doc """
  Tells Discord which values there are, if it knows others. What users were told of before that, it may not have kept: it is told again.
  """
  @spec register(Runtime.t()) :: :ok | {:error, Error.t()}
  def register(%{rest: rest, store: store, config: config} = runtime) do
    path = "applications/#{OAuth.client_id(runtime)}/role-connections/metadata"
    wanted = records(config)

    with {:ok, %{body: there}} <- Rest.call(rest, {:raw, :get, nil, path}, retry: :safe, deadline_ms: @deadline_ms) do
      if same?(there, wanted) do
        :ok
      else
        with {:ok, _} <-
               Rest.call(rest, {:raw, :put, nil, path}, json: wanted, retry: :safe, deadline_ms: @deadline_ms),
             do: Links.forget_connections(store)
      end
    end
  end

  defp records(config) do
    for record <- config.accounts.linked_roles,
        do: %{
          "key" => record.key,
          "name" => record.name,
          "description" => record.description,
          "type" => Records.number(record.type)
        }
  end

  defp same?(there, wanted) when is_list(there),
    do: Enum.map(there, &Map.take(&1, ["key", "name", "description", "type"])) == wanted

  defp same?(_there, _wanted), do: false
end
