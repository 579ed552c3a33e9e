defmodule UroDiscord.Shards.Board.Message do
  @moduledoc false
  # A board as a message of a text channel. It is posted through the outbox, so that it is there once whatever stops in between,
  # and is edited from then on.

  @behaviour UroDiscord.Shards.Board.Display

  alias UroDiscord.{Delivery, Error, Events, Notify}
  alias UroDiscord.Notify.Outbox
  alias UroDiscord.Shards.Board.{Content, Portals, Store}

  # place: :unknown, what the store knows; :none, nothing; {:sent, delivery}, on its way; {:there, delivery, message};
  # {:gone, delivery}, somebody deleted it. permitted: whether it may be posted, as far as we know.
  @enforce_keys [:channel_id, :title, :join_link]
  defstruct [:channel_id, :title, :join_link, place: :unknown, permitted: :unknown]

  # https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
  @unknown_message 10_008

  # What a portal's picture is called among the files.
  @picture "portal.jpg"

  @impl true
  def new(channel_id, config),
    do: %__MODULE__{channel_id: channel_id, title: config.board.title, join_link: config.join_link}

  @impl true
  def content(surface, view, portals, now) do
    embed = Content.embed(view, surface.title, surface.join_link, now, portals)

    case Portals.picture(portals) do
      nil -> {embed, []}
      {id, jpeg} -> {Map.put(embed, "image", %{"url" => "attachment://" <> @picture}), [file(id, jpeg)]}
    end
  end

  defp file(id, jpeg) do
    %{name: @picture, content_type: "image/jpeg", data: jpeg, description: "What portal #{id} has on air"}
  end

  @impl true
  def ready(%{place: {:there, _delivery, _message}} = surface, _content, _runtime), do: {:ready, surface}

  def ready(%{place: :unknown} = surface, content, runtime) do
    case Store.fetch(runtime.store, surface.channel_id) do
      {:ok, nil} -> post(surface, content, nil)
      {:ok, %{delivery_id: id, message_id: nil}} -> ready(%{surface | place: {:sent, id}}, content, runtime)
      {:ok, %{delivery_id: id, message_id: message_id}} -> {:ready, %{surface | place: {:there, id, message_id}}}
      {:error, error} -> {:error, error, surface}
    end
  end

  def ready(%{place: {:sent, id}} = surface, content, runtime) do
    case Outbox.fetch(runtime.store, id) do
      {:ok, %Delivery{status: :queued}} -> {:wait, surface}
      {:ok, %Delivery{status: :delivered, message_id: message_id}} -> delivered(surface, id, message_id, runtime)
      {:ok, %Delivery{status: :failed, error: error}} -> refused(surface, content, error)
      :error -> post(surface, content, id)
      {:error, error} -> {:error, error, surface}
    end
  end

  def ready(%{place: {:gone, id}} = surface, content, _runtime), do: post(surface, content, id)

  defp delivered(surface, id, message_id, runtime) do
    Events.unsubscribe({:delivery, id})

    case Store.delivered(runtime.store, surface.channel_id, id, message_id) do
      :ok -> {:ready, %{surface | place: {:there, id, message_id}, permitted: :unknown}}
      {:error, error} -> {:error, error, surface}
    end
  end

  # Discord answers a typing indicator as it would a message: there need not be a dead letter for each time that we try.
  defp refused(%{permitted: :unknown} = surface, _content, error), do: {:error, error, %{surface | permitted: false}}

  defp refused(%{permitted: false} = surface, _content, _error),
    do: {:ask, {{:create_typing_trigger, surface.channel_id}, []}, surface}

  defp refused(%{permitted: true, place: {:sent, id}} = surface, content, _error), do: post(surface, content, id)

  defp post(surface, {embed, files}, before) do
    stored = &Store.replace(surface.channel_id, before, &1.id)

    case Notify.notify(surface.channel_id, [embeds: [embed], files: files], producer: :worlds, also: stored) do
      {:ok, delivery} ->
        Events.subscribe({:delivery, delivery.id})
        {:posted, %{surface | place: {:sent, delivery.id}, permitted: :unknown}}

      # Another node was quicker: the store knows. After any other failure only the store knows, too.
      {:error, %Error{} = error} ->
        {:error, error, %{surface | place: :unknown}}
    end
  end

  @impl true
  def write(%{place: {:there, _delivery, message_id}} = surface, {embed, files}) do
    # The files that were there before are not listed, and go.
    attachments =
      for {file, id} <- Enum.with_index(files),
          do: %{"id" => id, "filename" => file.name, "description" => file.description}

    body = %{"embeds" => [embed], "attachments" => attachments, "allowed_mentions" => %{"parse" => []}}
    files = for file <- files, do: Map.take(file, [:name, :content_type, :data])
    {{:update_message, surface.channel_id, message_id}, [json: body, files: files]}
  end

  @impl true
  def answered(surface, :ask, {:ok, _response}), do: {:ok, %{surface | permitted: true}}

  def answered(surface, {:write, _content}, {:error, %Error{code: @unknown_message}}), do: {:lost, lose(surface)}
  def answered(surface, _purpose, {:ok, _response}), do: {:ok, surface}
  def answered(surface, _purpose, {:error, error}), do: {:error, error, surface}

  # Without this intent, the next edit tells.
  @impl true
  def events(config),
    do: if(:guild_messages in config.intents, do: ["MESSAGE_DELETE", "MESSAGE_DELETE_BULK"], else: [])

  @impl true
  def lost?(%{place: {:there, _delivery, message_id}}, "MESSAGE_DELETE", %{"id" => id}), do: id == message_id
  def lost?(%{place: {:there, _delivery, message_id}}, "MESSAGE_DELETE_BULK", %{"ids" => ids}), do: message_id in ids
  def lost?(_surface, _type, _data), do: false

  @impl true
  def lose(%{place: {:there, delivery_id, _message_id}} = surface), do: %{surface | place: {:gone, delivery_id}}
  # Heard of it already.
  def lose(surface), do: surface

  # One that is still on its way may have arrived.
  @impl true
  def farewell(%{place: {:sent, id}} = surface, runtime, now) do
    case Outbox.fetch(runtime.store, id) do
      {:ok, %Delivery{message_id: message_id}} when message_id != nil ->
        farewell(%{surface | place: {:there, id, message_id}}, runtime, now)

      _ ->
        nil
    end
  end

  def farewell(%{place: {:there, _delivery, _message}} = surface, _runtime, now),
    do: write(surface, content(surface, :offline, [], now))

  def farewell(_surface, _runtime, _now), do: nil

  @impl true
  def describe(surface) do
    {"the status board in channel #{surface.channel_id}",
     "The bot needs View Channel, Send Messages and Embed Links there; the id is that of a text channel, in `board: [channels: …]`."}
  end

  @impl true
  def status(%{place: {:there, _delivery, message_id}}), do: %{kind: :message, message_id: message_id}
  def status(%{place: place}), do: %{kind: :message, message_id: nil, on_its_way?: match?({:sent, _delivery}, place)}
end
