defmodule UroDiscord.Interactions.Commands.Portal do
  @moduledoc false
  # /portal open, close, who, mute, camera, stop: voice between the server's channels and the worlds, for those who may manage channels, if it is a server of ours.

  @behaviour UroDiscord.Command

  alias UroDiscord.{Error, Interaction, Length, Portal}
  alias UroDiscord.Interactions.Admins
  alias __MODULE__.Meant
  alias UroDiscord.Shards.Text

  @voice [2, 13]

  @name 48
  @shown 20

  @impl true
  def command do
    portal = %{
      type: 3,
      name: "portal",
      description: "Which, where there are several",
      autocomplete: true,
      max_length: 64
    }

    channel = %{
      type: 7,
      name: "channel",
      description: "The voice channel; without it, the one whose chat this is",
      channel_types: @voice
    }

    world = %{type: 3, name: "world", description: "The world it belongs to", autocomplete: true, max_length: 100}

    who = %{
      type: 3,
      name: "who",
      description: "Who is not to be heard on the other side",
      required: true,
      autocomplete: true,
      max_length: 200
    }

    off = %{type: 5, name: "off", description: "Let them be heard again"}

    camera = %{
      type: 3,
      name: "camera",
      description: "Whose; without it, that of whoever came first",
      autocomplete: true,
      max_length: 200
    }

    publisher = %{
      type: 3,
      name: "who",
      description: "Who is to show and play nothing here for a day",
      required: true,
      autocomplete: true,
      max_length: 200
    }

    allow = %{type: 5, name: "off", description: "Let them publish again"}

    Map.merge(Admins.definition(:manage_channels), %{
      name: "portal",
      description: "Voice between this server and a world",
      options: [
        %{type: 1, name: "open", description: "Open one to a voice channel", options: [channel, world]},
        %{type: 1, name: "close", description: "Close it", options: [portal]},
        %{type: 1, name: "who", description: "Who is on its two sides", options: [portal]},
        %{
          type: 1,
          name: "mute",
          description: "Let somebody not be heard on the other side",
          options: [who, off, portal]
        },
        %{type: 1, name: "camera", description: "Choose whose picture its viewers see", options: [camera, portal]},
        %{type: 1, name: "stop", description: "End what somebody shows or plays", options: [publisher, allow, portal]}
      ]
    })
  end

  @impl true
  def handle(%Interaction{kind: :autocomplete} = interaction) do
    with :ok <- Admins.check(interaction, :manage_channels),
         do: {:choices, Meant.choices(interaction)},
         else: (_no -> {:choices, []})
  end

  def handle(%Interaction{command: ["portal", what], options: options} = interaction) do
    with :ok <- Admins.check(interaction, :manage_channels) do
      case answer(what, options, interaction) do
        {:error, %Error{} = error} -> {:error, told(error, options)}
        answer -> answer
      end
    end
  end

  # In Discord's words: an option that is missing, and channels by their names.
  defp told(%Error{kind: :invalid, field: "channel"}, options) when not is_map_key(options, "channel"),
    do: "I see no voice channel here. Say which one: `/portal open channel:`"

  defp told(%Error{message: message}, _options),
    do: ~r/channel (\d{17,20})/ |> Regex.replace(message, "<#\\1>") |> Length.cut(1_500)

  defp answer("open", options, interaction) do
    channel_id = options["channel"] || interaction.channel_id

    with {:ok, world} <- Meant.world(options["world"]),
         {:ok, id} <- Portal.open(channel_id, world: world && world.id) do
      between = if world, do: "**#{Text.markdown(world.name, @name)}**", else: "the worlds"
      {:ok, "A portal is open between <##{channel_id}> and #{between} (`#{id}`). `/portal who` tells who is there."}
    end
  end

  defp answer("close", options, interaction) do
    with {:ok, portal} <- Meant.portal(options["portal"], interaction), :ok <- Portal.close(portal.id) do
      {:ok, "The portal `#{portal.id}` to <##{portal.channel_id}> is closed."}
    end
  end

  defp answer("who", options, interaction) do
    with {:ok, portal} <- Meant.portal(options["portal"], interaction) do
      summary = Enum.find(Portal.overview().open, %{peers: [], members: []}, &(&1.id == portal.id))

      {:ok,
       Enum.join(
         [
           "**Portal `#{portal.id}`** to <##{portal.channel_id}>: #{state(portal)}",
           "World: #{people(world(portal, summary.peers))}",
           "Discord: #{people(summary.members)}"
         ] ++ on_air(portal) ++ publishing(portal) ++ muted(portal) ++ stopped(portal),
         "\n"
       )}
    end
  end

  defp answer("mute", %{"who" => who} = options, interaction) do
    muted? = options["off"] != true

    with {:ok, portal} <- Meant.portal(options["portal"], interaction),
         {:ok, participant} <- Meant.participant(portal, who),
         :ok <- Portal.mute(portal.id, participant.id, muted?) do
      name = "**#{Text.markdown(participant.name, @name)}**"

      {:ok,
       if(muted?,
         do: "#{name} is not heard on the other side any more.",
         else: "#{name} is heard on the other side again."
       )}
    end
  end

  defp answer("stop", %{"who" => who} = options, interaction) do
    stopped? = options["off"] != true

    with {:ok, portal} <- Meant.portal(options["portal"], interaction),
         {:ok, who, ids} <- Meant.publisher(portal, who),
         :ok <- stop(portal, ids, stopped?) do
      name = called(who)

      {:ok,
       if(stopped?,
         do: "What #{name} publishes is ended, and nothing of theirs is let in for a day.",
         else: "#{name} may publish again."
       )}
    end
  end

  defp answer("camera", options, interaction) do
    with {:ok, portal} <- Meant.portal(options["portal"], interaction),
         {:ok, camera} <- Meant.camera(portal, options["camera"]),
         :ok <- Portal.camera(portal.id, camera && camera.id) do
      {:ok,
       if(camera,
         do: "Viewers see **#{Text.markdown(camera.name, @name)}** as soon as that picture comes.",
         else: "Viewers see whoever came first with a picture."
       )}
    end
  end

  defp answer(_other, _options, _interaction),
    do: {:error, "I do not know this any more. Please try the command again."}

  defp stop(portal, ids, stopped?),
    do:
      Enum.reduce_while(ids, :ok, fn id, :ok ->
        case Portal.stop(portal.id, id, stopped?) do
          :ok -> {:cont, :ok}
          error -> {:halt, error}
        end
      end)

  defp state(%{state: :open, opened_at: opened_at}), do: "open since <t:#{DateTime.to_unix(opened_at)}:R>"
  defp state(%{reason: nil, state: state}), do: "#{state}"
  defp state(%{reason: reason, state: state}), do: "#{state}, #{Text.markdown(reason, 300)}"

  # Who only watches, or publishes by a page or OBS, is in no world.
  defp world(%{peers: peers}, names) do
    {there, others} = Enum.split_with(peers, &(&1.kind == :peer))

    Enum.reject(names, fn name -> Enum.any?(others, &(&1.name == name)) and not Enum.any?(there, &(&1.name == name)) end)
  end

  defp people([]), do: "nobody"
  defp people(names), do: listed(names, &Text.markdown(&1, @name))

  defp listed(all, word) do
    {shown, more} = Enum.split(all, @shown)
    rest = if more == [], do: [], else: ["#{length(more)} more"]
    Enum.join(Enum.map(shown, word) ++ rest, ", ")
  end

  defp on_air(%{cameras: []}), do: []

  defp on_air(%{cameras: cameras, viewers: viewers}) do
    on_air = for %{on_air?: true, name: name} <- cameras, do: name
    others = length(cameras) - length(on_air)
    more = if others > 0, do: ", of #{length(cameras)} cameras", else: ""
    ["On air: #{people(on_air)}#{more}, seen by #{Enum.count(viewers, & &1.camera)}"]
  end

  # By WHIP, or with a picture.
  defp publishing(%{peers: peers, cameras: cameras}) do
    shown = Map.new(cameras, &{&1.peer, &1.on_air?})
    publishers = Enum.filter(peers, &(&1.kind == :whip or is_map_key(shown, &1.peer)))
    words = %{true => "on air", false => "a picture that is not on air", nil => "sound"}
    word = fn peer -> "#{Text.markdown(peer.name, @name)} (#{words[shown[peer.peer]]})" end
    if publishers == [], do: [], else: ["Publishing: #{listed(publishers, word)}"]
  end

  defp stopped(%{stopped: []}), do: []

  defp stopped(%{stopped: stopped} = portal) do
    names = Meant.names(portal)
    word = fn %{who: who, until: until} -> "#{called_by_id(who, names)} until <t:#{DateTime.to_unix(until)}:f>" end
    ["Stopped: #{listed(stopped, word)}"]
  end

  # Who shared by Discord is known by his account, there or not.
  defp called_by_id("world:discord:" <> user_id, _names), do: "<@#{user_id}>"
  defp called_by_id(id, names), do: called(%{name: names[id] || id})

  defp called(%{mention: mention}), do: mention
  defp called(%{id: "world:discord:" <> user_id = id, name: id}), do: "<@#{user_id}>"
  defp called(%{name: name}), do: "**#{Text.markdown(name, @name)}**"

  defp muted(%{settings: settings} = portal) do
    case for(%{participant: id, muted: true} <- settings, do: id) do
      [] ->
        []

      ids ->
        names = Meant.names(portal)
        ["Not heard on the other side: #{people(Enum.map(ids, &Map.get(names, &1, &1)))}"]
    end
  end
end
