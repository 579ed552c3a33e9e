defmodule UroDiscord.Interactions.Commands.Portal do
  @moduledoc false
  # /portal open, close, who, mute, camera: voice between the server's channels and the worlds, for those who may manage channels, if it is a server of ours.

  @behaviour UroDiscord.Command

  alias UroDiscord.{Error, Interaction, Length, Portal}
  alias UroDiscord.Interactions.{Admins, Choices}
  alias UroDiscord.Portal.Members
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
        %{type: 1, name: "camera", description: "Choose whose picture its viewers see", options: [camera, portal]}
      ]
    })
  end

  @impl true
  def handle(%Interaction{kind: :autocomplete} = interaction) do
    with :ok <- Admins.check(interaction, :manage_channels),
         do: {:choices, choices(interaction)},
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

    with {:ok, world} <- world(options["world"]),
         {:ok, id} <- Portal.open(channel_id, world: world && world.id) do
      between = if world, do: "**#{Text.markdown(world.name, @name)}**", else: "the worlds"
      {:ok, "A portal is open between <##{channel_id}> and #{between} (`#{id}`). `/portal who` tells who is there."}
    end
  end

  defp answer("close", options, interaction) do
    with {:ok, portal} <- portal(options["portal"], interaction), :ok <- Portal.close(portal.id) do
      {:ok, "The portal `#{portal.id}` to <##{portal.channel_id}> is closed."}
    end
  end

  defp answer("who", options, interaction) do
    with {:ok, portal} <- portal(options["portal"], interaction) do
      summary = Enum.find(Portal.overview().open, %{peers: [], members: []}, &(&1.id == portal.id))

      {:ok,
       Enum.join(
         [
           "**Portal `#{portal.id}`** to <##{portal.channel_id}>: #{state(portal)}",
           "World: #{people(summary.peers)}",
           "Discord: #{people(summary.members)}"
         ] ++ on_air(portal) ++ muted(portal),
         "\n"
       )}
    end
  end

  defp answer("mute", %{"who" => who} = options, interaction) do
    muted? = options["off"] != true

    with {:ok, portal} <- portal(options["portal"], interaction),
         {:ok, participant} <- participant(portal, who),
         :ok <- Portal.mute(portal.id, participant.id, muted?) do
      name = "**#{Text.markdown(participant.name, @name)}**"

      {:ok,
       if(muted?,
         do: "#{name} is not heard on the other side any more.",
         else: "#{name} is heard on the other side again."
       )}
    end
  end

  defp answer("camera", options, interaction) do
    with {:ok, portal} <- portal(options["portal"], interaction),
         {:ok, camera} <- camera(portal, options["camera"]),
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

  defp state(%{state: :open, opened_at: opened_at}), do: "open since <t:#{DateTime.to_unix(opened_at)}:R>"
  defp state(%{reason: nil, state: state}), do: "#{state}"
  defp state(%{reason: reason, state: state}), do: "#{state}, #{Text.markdown(reason, 300)}"

  defp people([]), do: "nobody"

  defp people(names) do
    {shown, more} = Enum.split(names, @shown)
    rest = if more == [], do: [], else: ["#{length(more)} more"]
    Enum.join(Enum.map(shown, &Text.markdown(&1, @name)) ++ rest, ", ")
  end

  defp on_air(%{cameras: []}), do: []

  defp on_air(%{cameras: cameras, viewers: viewers}) do
    on_air = for %{on_air?: true, name: name} <- cameras, do: name
    others = length(cameras) - length(on_air)
    more = if others > 0, do: ", of #{length(cameras)} cameras", else: ""
    ["On air: #{people(on_air)}#{more}, seen by #{length(viewers)}"]
  end

  defp muted(%{settings: settings} = portal) do
    case for(%{participant: id, muted: true} <- settings, do: name(portal, id)) do
      [] -> []
      names -> ["Not heard on the other side: #{people(names)}"]
    end
  end

  ## What is meant

  defp world(nil), do: {:ok, nil}

  defp world(wanted), do: Choices.world(wanted)

  # Of this server.
  defp portal(wanted, interaction) do
    with {:ok, portals} <- Portal.list() do
      here = Enum.filter(portals, &(&1.guild_id == interaction.guild_id))

      case {wanted, here} do
        {_any, []} -> {:error, "No portal is open here. `/portal open` opens one."}
        {nil, [portal | _]} -> {:ok, portal}
        {id, _} -> find(here, id)
      end
    end
  end

  defp find(portals, id) do
    case Enum.find(portals, &(&1.id == id)) do
      nil -> {:error, "No such portal is open here; there is #{Enum.map_join(portals, ", ", &"`#{&1.id}`")}."}
      portal -> {:ok, portal}
    end
  end

  # One who is there, by what was chosen or by the name; or one who is muted and has gone.
  defp participant(portal, wanted) do
    known = known(portal)

    named = Enum.filter(known, &(String.downcase(&1.name) == String.downcase(wanted)))

    case {Enum.find(known, &(&1.id == wanted)), named} do
      {nil, []} -> {:error, "Nobody of that name is there. `/portal who` tells who is."}
      {nil, [participant]} -> {:ok, participant}
      # In a world anybody may call himself as somebody else.
      {nil, [_ | _]} -> {:error, "Several are called that. Please take one of the names that are offered as you type."}
      {participant, _named} -> {:ok, participant}
    end
  end

  # One who shows a picture, or a peer who may yet.
  defp camera(_portal, nil), do: {:ok, nil}

  defp camera(portal, wanted) do
    with {:ok, %{id: "world:" <> who} = camera} <- participant(portal, wanted),
         false <- String.contains?(who, "/") do
      {:ok, camera}
    else
      {:error, why} -> {:error, why}
      _of_discord_or_forwarded -> {:error, "That one shows no picture here."}
    end
  end

  defp known(portal) do
    peers = for peer <- portal.peers, do: %{id: "world:#{peer.who}", name: peer.name}
    heard = for %{id: id, name: name} when is_binary(name) <- portal.participants, do: %{id: id, name: name}
    members = for {id, name} <- Members.names(portal.guild_id, portal.users), do: %{id: "discord:#{id}", name: name}
    gone = for %{participant: id} <- portal.settings, do: %{id: id, name: id}
    Enum.uniq_by(peers ++ heard ++ members ++ gone, & &1.id)
  end

  defp name(portal, id), do: Enum.find(known(portal), %{name: id}, &(&1.id == id)).name

  defp choices(%{focused: "world"} = interaction), do: Choices.worlds(interaction)

  defp choices(%{focused: "portal"} = interaction) do
    portals = with {:ok, portals} <- Portal.list(), do: portals, else: (_ -> [])

    Choices.matching(
      for(%{guild_id: id} = portal <- portals, id == interaction.guild_id, do: {portal.id, portal.id}),
      interaction
    )
  end

  defp choices(%{focused: "who", options: options} = interaction) do
    case portal(options["portal"], interaction) do
      {:ok, portal} ->
        known = known(portal)
        named = Enum.frequencies_by(known, &String.downcase(&1.name))

        choices =
          for who <- known, byte_size(who.id) <= 100, do: {label(who, named[String.downcase(who.name)] > 1), who.id}

        Choices.matching(choices, interaction)

      _none ->
        []
    end
  end

  defp choices(%{focused: "camera", options: options} = interaction) do
    case portal(options["portal"], interaction) do
      {:ok, %{cameras: cameras}} ->
        named = Enum.frequencies_by(cameras, &String.downcase(&1.name))

        choices =
          for camera <- Enum.uniq_by(cameras, & &1.id), byte_size(camera.id) <= 100 do
            {label(camera, named[String.downcase(camera.name)] > 1), camera.id}
          end

        Choices.matching(choices, interaction)

      _none ->
        []
    end
  end

  defp choices(_interaction), do: []

  # By the id too, where several are called so.
  defp label(%{id: id, name: name}, several?) do
    [side, who] = String.split(id, ":", parts: 2)
    side = if side == "discord", do: "Discord", else: "world"
    "#{Text.plain(name, @name)} (#{side}#{if several?, do: ", " <> who})"
  end
end
