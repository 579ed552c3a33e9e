defmodule UroDiscord.Notify.Message do
  @moduledoc """
  A message for `UroDiscord.notify/2`: a string, or a keyword list or map of these fields.

    * `:content`: the text, at most 2000 characters. A character is a Unicode code point here.
    * `:embeds`: at most 10 [embeds](https://discord.com/developers/docs/resources/message#embed-object), with at most
      6000 characters together. A timestamp may be a `DateTime`.
    * `:components`: [components](https://discord.com/developers/docs/components/reference) as Discord's JSON has them.
      With any other than an action row at the top this is a message of Components V2: it has no content and no embeds,
      and shows only those files that its components name (`attachment://name`).
    * `:files`: at most 10 of a path, `{name, data}`, or `%{name:, data: or path:, content_type:, description:}`; each at
      most 10 MiB, and 25 MiB for the whole request. A path is read at once. A name of other characters than ASCII letters, digits, `.`, `-`
      and `_` is shown as the file's title, and the file gets one that Discord would not change; `attachment://name` may use either.
    * `:reply_to`: the id of a message in the channel. If it is gone, this becomes a message like any other.
    * `:allowed_mentions`: who may be pinged. Nobody by default; `[:users, :roles, :everyone]` or some of them; or parse,
      users, roles and replied_user as
      [Discord has them](https://discord.com/developers/docs/resources/message#allowed-mentions-object).
    * `:crosspost`: publish it to the followers of an announcement channel, once it is there. Discord allows ten an hour: what is above that is
      published later.
    * `:silent`: no push and no desktop notification.
    * `:suppress_embeds`: no previews of links.
    * `:tts`: have it read aloud.
    * `:expires_in`: how long it is worth sending, in ms, at most a year.
    * `:overflow`: what to do with content that is too long: `:error` (the default), `:split` into several messages (at
      most 100,000 characters; embeds, components and files go with the last), or `:truncate`. See
      `UroDiscord.Notify.Split`.

  Embeds, components and the rest have the keys of Discord's JSON, as atoms or strings. An unknown key is an error.
  """

  alias UroDiscord.{Error, Length}
  alias UroDiscord.Notify.Message.{Attachments, Components, Embed, File, Mentions, Shape}
  alias UroDiscord.Notify.Split

  @content 2_000
  # About fifty messages, which take a channel most of a minute.
  @split 100_000
  @year_ms 365 * 24 * 60 * 60 * 1000

  # https://discord.com/developers/docs/resources/message#message-object-message-flags
  @suppress_embeds 0x4
  @suppress_notifications 0x1000
  @components_v2 0x8000

  @enforce_keys [:body]
  defstruct [:body, files: [], crosspost: false, expires_in: nil]

  @type input :: String.t() | keyword() | %{optional(atom() | String.t()) => term()}

  @typedoc """
    * `body`: what [Create Message](https://discord.com/developers/docs/resources/message#create-message) takes as JSON,
      without a nonce;
    * `files`: what goes beside it, in the order of the body's attachments;
    * `crosspost`: whether to publish it once it is there;
    * `expires_in`: for how many ms to try.
  """
  @type t :: %__MODULE__{
          body: %{required(String.t()) => term()},
          files: [%{name: String.t(), content_type: String.t() | nil, data: binary()}],
          crosspost: boolean(),
          expires_in: pos_integer() | nil
        }

  @doc """
  The messages that an input stands for: one, or with `overflow: :split` as many as its content needs, in their order.

      iex> {:ok, [message]} = UroDiscord.Notify.Message.new("hello")
      iex> message.body
      %{"content" => "hello", "allowed_mentions" => %{"parse" => []}}

      iex> {:error, error} = UroDiscord.Notify.Message.new(content: "")
      iex> Exception.message(error)
      "content: is empty, and there is nothing else to send"

      iex> {:error, error} = UroDiscord.Notify.Message.new(embeds: [%{title: "Open", fields: [%{name: "Players"}]}])
      iex> Exception.message(error)
      "embeds.0.fields.0.value: is missing"
  """
  @spec new(input()) :: {:ok, [t(), ...]} | {:error, Error.t()}
  def new(content) when is_binary(content), do: new(content: content)

  def new(fields) when is_list(fields) or is_map(fields) do
    with {:ok, given} <- Shape.cast(fields, shape(), []),
         v2? = Components.v2?(Map.get(given, "components", [])),
         :ok <- something(given),
         :ok <- only_components(v2?, given),
         {:ok, contents} <- contents(given),
         {messages, [last]} = contents |> messages(given, v2?) |> Enum.split(-1),
         {:ok, body} <- Attachments.fit(last.body, Map.get(given, "files", [])),
         do: {:ok, messages ++ [%{last | body: body}]}
  end

  def new(other), do: Shape.is_not(other, "a string, a keyword list or a map", [])

  @doc """
  A body that takes the place of another message's: without what only a new message can have, and where it becomes one of
  Components V2, without text and embeds.

      iex> UroDiscord.Notify.Message.replacing(%{"flags" => 0x8000, "components" => [], "tts" => true})
      %{"flags" => 0x8000, "components" => [], "content" => nil, "embeds" => nil}
  """
  @spec replacing(map()) :: map()
  def replacing(body) do
    body = Map.drop(body, ["message_reference", "tts"])

    if Bitwise.band(body["flags"] || 0, @components_v2) == 0,
      do: body,
      else: Map.merge(body, %{"content" => nil, "embeds" => nil})
  end

  defp shape do
    {:object, "a message",
     [
       {"content", {:text, 0, :infinity}},
       {"embeds", &Embed.cast_all/2},
       {"components", &Components.cast_all/2},
       {"files", &File.cast_all/2},
       {"reply_to", :snowflake},
       {"allowed_mentions", &Mentions.cast/2},
       {"crosspost", :boolean},
       {"silent", :boolean},
       {"suppress_embeds", :boolean},
       {"tts", :boolean},
       {"expires_in", {:integer, 1, @year_ms}},
       {"overflow", {:one_of, ["error", "split", "truncate"]}}
     ]}
  end

  defp something(given) do
    if content(given) == nil and Enum.all?(["embeds", "components", "files"], &none?(given, &1)),
      do: Shape.invalid(["content"], "is empty, and there is nothing else to send"),
      else: :ok
  end

  defp only_components(true, given) do
    case Enum.find(["content", "embeds"], &(not none?(given, &1))) do
      nil -> :ok
      field -> Shape.invalid([field], "cannot go with Components V2, whose text and media are components")
    end
  end

  defp only_components(false, _given), do: :ok

  defp none?(given, field), do: Map.get(given, field, []) in ["", []]

  # Discord trims content, so white space alone is none.
  defp content(%{"content" => content}), do: if(not Shape.blank?(content), do: content)
  defp content(_given), do: nil

  defp contents(given) do
    content = content(given)
    length = Length.of(content || "")

    case Map.get(given, "overflow", "error") do
      _any when length <= @content -> {:ok, [content]}
      "truncate" -> {:ok, [Split.truncate(content, @content)]}
      "split" when length <= @split -> {:ok, Split.split(content, @content)}
      "split" -> too_long(length, @split, "")
      "error" -> too_long(length, @content, " (overflow: :split or :truncate would send it)")
    end
  end

  defp too_long(length, limit, hint),
    do: Shape.invalid(["content"], "has #{length} characters; #{limit} is the limit#{hint}")

  # What shows below the text goes with the last message, and the reply is the first.
  defp messages(contents, given, v2?) do
    last = length(contents) - 1
    mentions = Map.get(given, "allowed_mentions", Mentions.none())
    every = %{"allowed_mentions" => mentions} |> put("flags", flags(given, v2?)) |> put("tts", given["tts"])

    for {content, index} <- Enum.with_index(contents) do
      body = put(every, "content", content)
      body = if index == 0, do: put(body, "message_reference", reference(given)), else: body
      files = if index == last, do: Map.get(given, "files", []), else: []

      %__MODULE__{
        body: if(index == last, do: below(body, given, files), else: body),
        files: Enum.map(files, &Map.drop(&1, [:description, :given])),
        crosspost: Map.get(given, "crosspost", false),
        expires_in: given["expires_in"]
      }
    end
  end

  defp below(body, given, files) do
    body
    |> put("embeds", given["embeds"])
    |> put("components", given["components"])
    |> put("attachments", Attachments.of(files))
  end

  defp put(body, _field, nothing) when nothing in [nil, false, 0, []], do: body
  defp put(body, field, value), do: Map.put(body, field, value)

  defp reference(%{"reply_to" => id}), do: %{"message_id" => id, "fail_if_not_exists" => false}
  defp reference(_given), do: nil

  defp flags(given, v2?) do
    bit(given["suppress_embeds"], @suppress_embeds) +
      bit(given["silent"], @suppress_notifications) + bit(v2?, @components_v2)
  end

  defp bit(true, bit), do: bit
  defp bit(_not, _bit), do: 0
end
