defmodule UroDiscord.Config.Checks do
  @moduledoc false
  # The checks of `UroDiscord.Config.Schema`: each takes what was given and returns it in the form the rest of the code uses,
  # or says what is wrong with it (without a secret's value).

  alias UroDiscord.{Command, Error, Length, Secret, Snowflake}
  alias UroDiscord.Shards.Template

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

  @type result :: {:ok, term()} | {:error, String.t()}

  @doc "The bits of a list of intents, as IDENTIFY wants them."
  @spec intent_bits([atom()]) :: non_neg_integer()
  def intent_bits(intents) do
    Enum.reduce(intents, 0, fn intent, bits ->
      Bitwise.bor(bits, Bitwise.bsl(1, Keyword.fetch!(@intents, intent)))
    end)
  end

  @spec intent_names() :: [atom()]
  def intent_names, do: Keyword.keys(@intents)

  @spec status_length() :: pos_integer()
  def status_length, do: @status_length

  @doc "All of a list, each by the same check; or what is wrong with the first that is not right."
  @spec each([term()], (term() -> result())) :: result()
  def each(values, check) do
    Enum.reduce_while(values, {:ok, []}, fn value, {:ok, checked} ->
      case check.(value) do
        {:ok, value} -> {:cont, {:ok, checked ++ [value]}}
        error -> {:halt, error}
      end
    end)
  end

  def enabled(value) when value in [:auto, true, false], do: {:ok, value}
  def enabled(value), do: is_not(value, ":auto, true or false")

  def boolean(value) when is_boolean(value), do: {:ok, value}
  def boolean(value), do: is_not(value, "true or false")

  # The first part is the application's id in Base64; the rest is opaque. https://discord.com/developers/docs/reference
  def token(value) when is_binary(value) do
    with [id, _time, _hmac] <- String.split(value, "."),
         {:ok, id} <- Base.decode64(id, padding: false),
         {:ok, _id} <- Snowflake.cast(id),
         true <- value =~ ~r/\A[A-Za-z0-9_.=-]+\z/ do
      {:ok, Secret.wrap(value)}
    else
      _ -> {:error, "has not the shape of a bot token (#{byte_size(value)} bytes, not shown)"}
    end
  end

  def token(_value), do: {:error, "is not a string (not shown)"}

  def channels(value) when is_map(value), do: value |> Map.to_list() |> channels()

  def channels(value) when is_list(value) do
    Enum.reduce_while(value, {:ok, %{}}, fn
      {name, id}, {:ok, channels} when is_atom(name) ->
        case Snowflake.cast(id) do
          {:ok, id} -> {:cont, {:ok, Map.put(channels, name, id)}}
          :error -> {:halt, {:error, "#{name} #{Error.may_be(id, "a channel's id")}"}}
        end

      other, _channels ->
        {:halt, {:error, "#{inspect(other)} is not a name with an id"}}
    end)
  end

  def channels(value), do: is_not(value, "a keyword list or a map")

  def intents(value) when is_list(value) do
    case Enum.reject(value, &(is_atom(&1) and Keyword.has_key?(@intents, &1))) do
      [] -> {:ok, value}
      [unknown | _] -> {:error, "#{inspect(unknown)} is not an intent"}
    end
  end

  def intents(value), do: is_not(value, "a list")

  def status_text(nil), do: {:ok, nil}

  def status_text(value) when is_binary(value) do
    cond do
      not String.valid?(value) -> {:error, "is not valid UTF-8"}
      Length.of(value) in 1..@status_length -> {:ok, value}
      true -> {:error, "has #{Length.of(value)} characters"}
    end
  end

  def status_text(value), do: is_not(value, "a string")

  @doc "A text about shards, or what makes one of them."
  def shards_text(function) when is_function(function, 1), do: {:ok, function}
  def shards_text(value), do: shards_template(value)

  def shards_template(value) do
    with {:ok, text} when is_binary(text) <- status_text(value) do
      case Template.problem(text) do
        nil -> {:ok, text}
        problem -> {:error, problem}
      end
    end
  end

  def url(nil, _schemes), do: {:ok, nil}

  def url(value, schemes) when is_binary(value) do
    case URI.new(value) do
      {:ok, %URI{userinfo: userinfo}} when userinfo != nil ->
        {:error, without_password()}

      {:ok, %URI{scheme: scheme, host: host}} when is_binary(host) and host != "" ->
        if scheme in schemes,
          do: {:ok, String.trim_trailing(value, "/")},
          else: is_not(value, "a URL that begins with #{Enum.join(schemes, ":// or ")}://")

      _ ->
        is_not(value, "a URL that begins with #{Enum.join(schemes, ":// or ")}://")
    end
  end

  def url(value, _schemes), do: is_not(value, "a string")

  @doc "Of a URL with one; URLs are in logs, and in what is told of processes."
  def without_password,
    do: "it has a user or a password before the @ (not shown), which are not used and would be in logs"

  def repo(nil), do: {:ok, nil}

  def repo(value) when is_atom(value) do
    if Code.ensure_loaded?(value) and function_exported?(value, :query, 3) and
         function_exported?(value, :transaction, 2),
       do: {:ok, value},
       else: is_not(value, "a Repo")
  end

  def repo(value), do: is_not(value, "a module")

  def path(value) when is_binary(value) and value != "" do
    if String.valid?(value) and not String.contains?(value, <<0>>), do: {:ok, value}, else: is_not(value, "a path")
  end

  def path(value), do: is_not(value, "a path")

  def file(nil), do: {:ok, nil}

  def file(value) when is_binary(value) do
    if File.regular?(value),
      do: {:ok, value},
      else: {:error, "there is no file #{inspect(value)}"}
  end

  def file(value), do: is_not(value, "a string")

  @doc "A URL to which `ending` is added, or nil."
  @spec base_url(term(), String.t()) :: result()
  def base_url(value, ending) do
    with {:ok, url} when is_binary(url) <- url(value, ["https", "http"]) do
      case URI.parse(url) do
        %URI{query: nil, fragment: nil, path: path} ->
          if String.ends_with?(path || "", ending),
            do: is_not(value, "a URL without #{ending} at its end"),
            else: {:ok, url}

        _ ->
          is_not(value, "a URL without ? and #")
      end
    end
  end

  def restart({first, longest})
      when is_integer(first) and is_integer(longest) and first > 0 and longest >= first,
      do: {:ok, {first, longest}}

  def restart(value),
    do: is_not(value, "{first, longest}, two positive integers, the second not smaller than the first")

  def media_workers(nil), do: {:ok, nil}
  def media_workers(value), do: integer(value, 1..64)

  def integer(value, first..last//_) when is_integer(value) and value >= first and value <= last, do: {:ok, value}
  def integer(value, first..last//_), do: is_not(value, "an integer from #{first} to #{last}")

  def commands(nil), do: {:ok, nil}

  def commands(value) when is_list(value) do
    case Enum.reject(value, &Command.command?/1) do
      [] -> {:ok, value}
      [other | _] -> is_not(other, "a module of commands")
    end
  end

  def commands(value), do: is_not(value, "a list")

  @doc """
  All of a list of keyword lists with these keys, as `each/2`. The first key is what each is called, and each has another one; what is wrong begins with that
  of the one that is not right.
  """
  @spec entries([term()], [atom()], (keyword() -> result())) :: result()
  def entries(values, [key | _] = keys, check) do
    with {:ok, checked} <- each(values, &entry(&1, keys, check)) do
      called = Enum.map(checked, &Map.fetch!(&1, key))

      case called -- Enum.uniq(called) do
        [] -> {:ok, checked}
        [twice | _] -> {:error, "#{twice} is there twice"}
      end
    end
  end

  defp entry(value, [key | _] = keys, check) do
    if Keyword.keyword?(value) do
      result =
        case Keyword.keys(value) -- keys do
          [] -> check.(value)
          [unknown | _] -> {:error, "#{inspect(unknown)} is not one of #{Enum.join(keys, ", ")}"}
        end

      with {:error, wrong} <- result, do: {:error, "#{inspect(value[key])}: #{wrong}"}
    else
      is_no_list(value)
    end
  end

  @doc "A text that is not empty, within one of Discord's limits; `what` it is begins what is wrong."
  @spec text(term(), pos_integer(), String.t()) :: result()
  def text(value, most, what) do
    if is_binary(value) and String.valid?(value) and Length.of(value) in 1..most,
      do: {:ok, value},
      else: {:error, "#{what} " <> Error.may_be(value, "a text of 1 to #{most} characters")}
  end

  def one_of(value, allowed) do
    if value in allowed, do: {:ok, value}, else: is_not(value, Enum.map_join(allowed, " or ", &inspect/1))
  end

  def public_key(nil), do: {:ok, nil}

  def public_key(value) when is_binary(value) do
    with true <- byte_size(value) == 64, {:ok, key} <- Base.decode16(value, case: :mixed) do
      {:ok, key}
    else
      _ -> is_not(value, "64 hexadecimal digits")
    end
  end

  def public_key(value), do: is_not(value, "a string")

  @spec is_not(term(), String.t()) :: {:error, String.t()}
  def is_not(value, allowed), do: {:error, Error.may_be(value, allowed)}

  @doc """
  The same of what stands where a keyword list belongs. Where texts are in it one of them may be a secret, and none is shown.

      iex> UroDiscord.Config.Checks.is_no_list(%{client_secret: "hunter2"})
      {:error, "is a map (not shown); it may be a keyword list"}
      iex> UroDiscord.Config.Checks.is_no_list(4001)
      {:error, "is 4001; it may be a keyword list"}
  """
  @spec is_no_list(term(), String.t()) :: {:error, String.t()}
  def is_no_list(value, allowed \\ "a keyword list") do
    if plain?(value),
      do: is_not(value, allowed),
      else: {:error, "is #{kind(value)} (not shown); it may be #{allowed}"}
  end

  # A list of numbers may be a text, too.
  defp plain?(value) when is_list(value), do: Enum.all?(value, &(plain?(&1) and not is_integer(&1)))
  defp plain?(value), do: is_atom(value) or is_number(value)

  defp kind(value) when is_binary(value), do: "a string"
  defp kind(value) when is_map(value), do: "a map"
  defp kind(value) when is_tuple(value), do: "a tuple"
  defp kind(value) when is_list(value), do: "a list"
  defp kind(_value), do: "a term"
end
