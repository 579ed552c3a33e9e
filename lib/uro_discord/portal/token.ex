defmodule UroDiscord.Portal.Token do
  @moduledoc false
  # JSON Web Tokens (RFC 7519) with HMAC-SHA-256, for the peers of portals. Who asks for one is Uro; the bridge checks them, so
  # that nobody asks Elixir for a peer.

  alias UroDiscord.{Error, JSON, Secret}
  alias UroDiscord.Config.Portal, as: Config
  alias UroDiscord.Shards.Text

  @roles [:publish, :watch, :peer]
  @longest_s 86_400
  @usual_s 3_600
  @who 128
  @name 64

  @type option ::
          {:role, :publish | :watch | :peer} | {:who, term()} | {:name, String.t()} | {:expires_in, pos_integer()}

  @doc "`now` is in Unix seconds."
  @spec mint(Config.t(), String.t(), [option()], integer()) :: {:ok, String.t()} | {:error, Error.t()}
  def mint(config, portal, options, now) do
    with {:ok, key} <- key(config),
         {:ok, claims} <- claims(portal, options, now),
         {:ok, header} <- JSON.encode(%{"alg" => "HS256", "typ" => "JWT"}),
         {:ok, claims} <- JSON.encode(claims) do
      signed = base64(header) <> "." <> base64(claims)
      {:ok, signed <> "." <> base64(:crypto.mac(:hmac, :sha256, Secret.reveal(key), signed))}
    end
  end

  defp key(config) do
    case Config.keys_of(config) do
      [key | _others] -> {:ok, key}
      [] -> {:error, without_key()}
    end
  end

  @doc "There are no portals."
  @spec without_key() :: Error.t()
  def without_key,
    do:
      Error.invalid(
        "portal",
        "there are none without `config :uro_discord, portal: [key: …]`; if that is there, it is nil: is the environment variable set that it is read from?"
      )

  defp claims(portal, options, now) do
    with :ok <- known(options),
         {:ok, role} <- role(options[:role]),
         {:ok, who} <- who(options[:who]),
         {:ok, name} <- name(options[:name] || who),
         {:ok, seconds} <- seconds(Keyword.get(options, :expires_in, @usual_s)) do
      {:ok,
       %{
         "iss" => "uro_discord",
         "portal" => portal,
         "role" => role,
         "sub" => who,
         "name" => name,
         "iat" => now,
         "exp" => now + seconds,
         "jti" => base64(:crypto.strong_rand_bytes(16))
       }}
    end
  end

  defp known(options) do
    case Keyword.keyword?(options) && Keyword.drop(options, [:role, :who, :name, :expires_in]) do
      [] -> :ok
      false -> {:error, Error.invalid("options", options, "a keyword list")}
      [{unknown, _} | _] -> {:error, Error.invalid("options", "#{inspect(unknown)} is not an option: #{what()}")}
    end
  end

  defp what, do: "there are role, who, name and expires_in"

  defp role(role) when role in @roles, do: {:ok, Atom.to_string(role)}
  defp role(role), do: {:error, Error.invalid("role", role, Enum.map_join(@roles, " or ", &inspect/1))}

  # By it a peer is muted, and counted.
  defp who(who) when is_integer(who), do: who |> Integer.to_string() |> who()

  defp who(who) when is_binary(who) and byte_size(who) in 1..@who do
    # What follows a slash is a player whom a peer forwards.
    if String.printable?(who) and not String.contains?(who, "/"),
      do: {:ok, who},
      else: {:error, Error.invalid("who", who, "printable text without a slash")}
  end

  defp who(who),
    do:
      {:error, Error.invalid("who", who, "the id of the player or server that it is for: a text of 1 to #{@who} bytes")}

  # It is shown to others.
  defp name(name) when is_binary(name) do
    case String.valid?(name) && Text.clean(name, @name) do
      text when text in [false, ""] -> {:error, Error.invalid("name", name, "a text that one can read")}
      text -> {:ok, text}
    end
  end

  defp name(name), do: {:error, Error.invalid("name", name, "a text")}

  defp seconds(seconds) when is_integer(seconds) and seconds in 1..@longest_s, do: {:ok, seconds}

  defp seconds(seconds),
    do: {:error, Error.invalid("expires_in", seconds, "a number of seconds, from 1 to #{@longest_s}")}

  defp base64(bytes), do: Base.url_encode64(bytes, padding: false)
end
