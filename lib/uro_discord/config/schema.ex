defmodule UroDiscord.Config.Schema do
  @moduledoc false
  # The options as data: `UroDiscord.Config` applies them, `mix uro_discord.config` prints them. A check takes what was
  # given and returns it in the form the rest of the code uses, or says what is wrong with it (without a secret's value).

  alias UroDiscord.{Secret, Snowflake}

  # https://discord.com/developers/docs/events/gateway#gateway-intents
  @intents [
    guilds: 0,
    guild_members: 1,
    guild_moderation: 2,
    guild_expressions: 3,
    guild_integrations: 4,
    guild_webhooks: 5,
    guild_invites: 6,
    guild_voice_states: 7,
    guild_presences: 8,
    guild_messages: 9,
    guild_message_reactions: 10,
    guild_message_typing: 11,
    direct_messages: 12,
    direct_message_reactions: 13,
    direct_message_typing: 14,
    message_content: 15,
    guild_scheduled_events: 16,
    auto_moderation_configuration: 20,
    auto_moderation_execution: 21,
    guild_message_polls: 24,
    direct_message_polls: 25
  ]

  # Discord's limit for the text of a custom status.
  @status_length 128

  @type option :: %{
          key: atom(),
          required: boolean(),
          default: term(),
          check: (term() -> {:ok, term()} | {:error, String.t()}),
          doc: String.t(),
          allowed: String.t(),
          example: String.t()
        }

  @doc "The bits of a list of intents, as IDENTIFY wants them."
  @spec intent_bits([atom()]) :: non_neg_integer()
  def intent_bits(intents) do
    Enum.reduce(intents, 0, fn intent, bits ->
      Bitwise.bor(bits, Bitwise.bsl(1, Keyword.fetch!(@intents, intent)))
    end)
  end

  @spec options() :: [option()]
  def options do
    [
      option(:enabled, &boolean/1,
        default: true,
        doc: "false starts nothing: no token is needed, and notifications are accepted and dropped",
        allowed: "true or false",
        example: "enabled: config_env() != :test"
      ),
      option(:token, &token/1,
        required: true,
        doc: "the bot's token, from the Bot page of the Discord developer portal",
        allowed: "the token as Discord shows it: three parts with dots between them",
        example: ~s|token: System.fetch_env!("DISCORD_BOT_TOKEN")|
      ),
      option(:channels, &channels/1,
        default: %{},
        doc: "names for channels, for `UroDiscord.notify/2`",
        allowed:
          "name: id, where the id is 17 to 20 digits (in Discord: Developer Mode on, right-click a channel, Copy Channel ID)",
        example: ~s|channels: [announcements: "1100000000000000001"]|
      ),
      option(:intents, &intents/1,
        default: [:guilds],
        doc:
          "the gateway events that Discord sends; guild_members, guild_presences and message_content must be allowed in the portal",
        allowed: @intents |> Keyword.keys() |> Enum.join(", "),
        example: "intents: [:guilds, :guild_messages]"
      ),
      option(:presence, &status_text/1,
        default: "{players:player|players} in {shards:world|worlds}",
        doc:
          "the bot's status while worlds are open: {players} is a number, {players:player|players} \"1 player\" or \"3 players\"; nil for none",
        allowed: "a text of at most #{@status_length} characters, or nil",
        example: ~s(presence: "{players:player|players} in {shards:world|worlds}")
      ),
      option(:presence_idle, &status_text/1,
        default: "no world is open",
        doc: "the bot's status while no world is open; nil for none",
        allowed: "a text of at most #{@status_length} characters, or nil",
        example: ~s|presence_idle: "no world is open"|
      ),
      option(:repo, &repo/1,
        doc:
          "the host's Ecto Repo (PostgreSQL, CockroachDB), to keep notifications in; `mix uro_discord.gen.migration` writes its migration",
        allowed: "a module with query/3 and transaction/2",
        example: "repo: Uro.Repo"
      ),
      option(:database, &path/1,
        default: "uro_discord.sqlite3",
        doc: "the SQLite file in which notifications are kept when there is no :repo; it must outlive a restart",
        allowed: "a path; the folder is made when it is missing",
        example: ~s|database: "/var/lib/uro/uro_discord.sqlite3"|
      ),
      option(:api_url, &url(&1, ["https", "http"]),
        doc: "where Discord's REST API is, when not at Discord (discord-sim prints its own)",
        allowed: "a http or https URL that ends in /api/v10",
        example: ~s|api_url: "http://127.0.0.1:8080/api/v10"|
      ),
      option(:gateway_url, &url(&1, ["wss", "ws"]),
        doc: "where Discord's gateway is, when not at Discord",
        allowed: "a ws or wss URL",
        example: ~s|gateway_url: "ws://127.0.0.1:8080"|
      ),
      option(:rest_proxy, &url(&1, ["https", "http"]),
        doc: "a twilight http-proxy that keeps the rate limits of several nodes together",
        allowed: "a http or https URL",
        example: ~s|rest_proxy: "http://127.0.0.1:3000"|
      ),
      option(:ca_file, &file/1,
        doc: "certificates (PEM) to trust for the REST API besides the usual ones",
        allowed: "the path of a file that exists",
        example: ~s|ca_file: "/etc/uro/ca.pem"|
      ),
      option(:bridge_executable, &file/1,
        doc: "the bridge, when it is not the one that was built into priv/native",
        allowed: "the path of a file that exists",
        example: ~s|bridge_executable: "/usr/lib/uro/uro-discord-bridge"|
      ),
      option(:bridge_restart, &restart/1,
        default: {100, 30_000},
        doc:
          "the first and the longest pause before a bridge that ended is started again, in ms; it doubles in between",
        allowed: "two positive integers, the second not smaller than the first",
        example: "bridge_restart: {100, 30_000}"
      )
    ]
  end

  defp option(key, check, fields) do
    %{key: key, check: check, required: false, default: nil, doc: nil, allowed: nil, example: nil}
    |> Map.merge(Map.new(fields))
  end

  defp boolean(value) when is_boolean(value), do: {:ok, value}
  defp boolean(value), do: is_not(value, "a boolean")

  # The first part is the application's id in Base64; the rest is opaque. https://discord.com/developers/docs/reference
  defp token(value) when is_binary(value) do
    with [id, _time, _hmac] <- String.split(value, "."),
         {:ok, id} <- Base.decode64(id, padding: false),
         {:ok, _id} <- Snowflake.cast(id),
         true <- value =~ ~r/\A[A-Za-z0-9_.=-]+\z/ do
      {:ok, Secret.wrap(value)}
    else
      _ -> {:error, "has not the shape of a bot token (#{byte_size(value)} bytes, not shown)"}
    end
  end

  defp token(_value), do: {:error, "is not a string (not shown)"}

  defp channels(value) when is_map(value), do: value |> Map.to_list() |> channels()

  defp channels(value) when is_list(value) do
    Enum.reduce_while(value, {:ok, %{}}, fn
      {name, id}, {:ok, channels} when is_atom(name) ->
        case Snowflake.cast(id) do
          {:ok, id} -> {:cont, {:ok, Map.put(channels, name, id)}}
          :error -> {:halt, {:error, "#{name} is #{inspect(id)}, which is not a channel's id"}}
        end

      other, _channels ->
        {:halt, {:error, "#{inspect(other)} is not a name with an id"}}
    end)
  end

  defp channels(value), do: is_not(value, "a keyword list or a map")

  defp intents(value) when is_list(value) do
    case Enum.reject(value, &(is_atom(&1) and Keyword.has_key?(@intents, &1))) do
      [] -> {:ok, value}
      [unknown | _] -> {:error, "#{inspect(unknown)} is not an intent"}
    end
  end

  defp intents(value), do: is_not(value, "a list")

  defp status_text(nil), do: {:ok, nil}

  defp status_text(value) when is_binary(value) do
    cond do
      not String.valid?(value) -> {:error, "is not valid UTF-8"}
      String.length(value) in 1..@status_length -> {:ok, value}
      true -> {:error, "has #{String.length(value)} characters"}
    end
  end

  defp status_text(value), do: is_not(value, "a string")

  defp url(nil, _schemes), do: {:ok, nil}

  defp url(value, schemes) when is_binary(value) do
    case URI.new(value) do
      {:ok, %URI{scheme: scheme, host: host}} when is_binary(host) and host != "" ->
        if scheme in schemes,
          do: {:ok, String.trim_trailing(value, "/")},
          else: {:error, "#{inspect(value)} does not begin with #{Enum.join(schemes, ":// or ")}://"}

      _ ->
        {:error, "#{inspect(value)} is not a URL"}
    end
  end

  defp url(value, _schemes), do: is_not(value, "a string")

  defp repo(nil), do: {:ok, nil}

  defp repo(value) when is_atom(value) do
    if Code.ensure_loaded?(value) and function_exported?(value, :query, 3) and
         function_exported?(value, :transaction, 2),
       do: {:ok, value},
       else: is_not(value, "a Repo")
  end

  defp repo(value), do: is_not(value, "a module")

  defp path(value) when is_binary(value) and value != "" do
    if String.valid?(value) and not String.contains?(value, <<0>>), do: {:ok, value}, else: is_not(value, "a path")
  end

  defp path(value), do: is_not(value, "a path")

  defp file(nil), do: {:ok, nil}

  defp file(value) when is_binary(value) do
    if File.regular?(value),
      do: {:ok, value},
      else: {:error, "there is no file #{inspect(value)}"}
  end

  defp file(value), do: is_not(value, "a string")

  defp restart({first, longest})
       when is_integer(first) and is_integer(longest) and first > 0 and longest >= first,
       do: {:ok, {first, longest}}

  defp restart(value), do: is_not(value, "two such integers")

  defp is_not(value, expected),
    do: {:error, "#{inspect(value, limit: 5, printable_limit: 100)} is not #{expected}"}
end
