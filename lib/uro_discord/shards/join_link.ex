defmodule UroDiscord.Shards.JoinLink do
  @moduledoc false
  # The link by which one joins a world: the template of the configuration, filled in for a shard. A shard's own words come
  # into it percent-encoded, and never into its host.

  alias UroDiscord.{Error, Shards}

  @placeholder ~r/\{([^}]*)\}/
  @names ~w(id name map address port)
  # Beyond this it is no link that people follow.
  @longest 512

  @spec names() :: [String.t()]
  def names, do: @names

  @doc """
  A template that can be filled in, or what is wrong with it.

      iex> UroDiscord.Shards.JoinLink.check("https://v-sekai.org/join?shard={id}")
      {:ok, "https://v-sekai.org/join?shard={id}"}
      iex> UroDiscord.Shards.JoinLink.check("https://v-sekai.org/join?shard={shard}")
      {:error, ~s({shard} is not a placeholder)}
      iex> UroDiscord.Shards.JoinLink.check("https://{address}/join")
      {:error, ~s("https://{address}/join" has a placeholder before its path)}
  """
  @spec check(term()) :: {:ok, String.t() | nil} | {:error, String.t()}
  def check(nil), do: {:ok, nil}

  def check(template) when is_binary(template) do
    unknown = for([_, name] <- Regex.scan(@placeholder, template), name not in @names, do: name)

    cond do
      unknown != [] -> {:error, "{#{hd(unknown)}} is not a placeholder"}
      template =~ ~r/\Ahttps?:\/\/[^\/?#]*\{/ -> {:error, "#{inspect(template)} has a placeholder before its path"}
      not url?(template) -> {:error, Error.may_be(template, "a http or https URL")}
      true -> {:ok, template}
    end
  end

  def check(other), do: {:error, Error.may_be(other, "a string")}

  # No brackets, which would end a masked link.
  defp url?(template) do
    filled = Regex.replace(@placeholder, template, "x")

    with true <- filled =~ ~r/\Ahttps?:\/\/[!-~]+\z/ and not (filled =~ ~r/[()<>\[\]{}\\]/),
         {:ok, %URI{host: host}} when host not in [nil, ""] <- URI.new(filled) do
      byte_size(filled) <= @longest
    else
      _ -> false
    end
  end

  @doc """
  The link for a shard; nil without a template, or where the shard lacks what it asks for.

      iex> shard = %{id: "a/b c", name: "Plaza", map: nil, address: nil, port: nil}
      iex> UroDiscord.Shards.JoinLink.fill("https://v-sekai.org/join?shard={id}&name={name}", shard)
      "https://v-sekai.org/join?shard=a%2Fb%20c&name=Plaza"
      iex> UroDiscord.Shards.JoinLink.fill("https://v-sekai.org/{map}", shard)
      nil
  """
  @spec fill(String.t() | nil, Shards.shard()) :: String.t() | nil
  def fill(nil, _shard), do: nil

  def fill(template, shard) do
    values = Map.new(@names, &{&1, shard[String.to_existing_atom(&1)]})
    wanted = for [_, name] <- Regex.scan(@placeholder, template), do: values[name]

    if nil in wanted do
      nil
    else
      link = Regex.replace(@placeholder, template, fn _, name -> encode(values[name]) end)
      if byte_size(link) <= @longest, do: link
    end
  end

  defp encode(value), do: value |> to_string() |> URI.encode(&URI.char_unreserved?/1)
end
