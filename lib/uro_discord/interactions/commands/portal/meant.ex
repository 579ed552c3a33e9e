defmodule UroDiscord.Interactions.Commands.Portal.Meant do
  @moduledoc false
  # Which portal, world or person is meant by what somebody typed or chose in an option of /portal, and what is offered there.

  alias UroDiscord.Accounts.Directory
  alias UroDiscord.{Config, Error, Interaction, Portal, Runtime}
  alias UroDiscord.Interactions.Choices
  alias UroDiscord.Interactions.Commands.Share
  alias UroDiscord.Portal.{Members, Visitors}
  alias UroDiscord.Shards.Text

  @name 48
  # Of those who have gone, so many who were stopped last, and others, have a name still; the directory is waited for only so long, as Discord waits for 3 s.
  @named 10
  @directory_ms 150

  @typedoc "As `UroDiscord.Portal.status/1` has him."
  @type who :: %{required(:id) => String.t(), required(:name) => String.t(), optional(atom()) => term()}

  @doc "A world that was named, if one was."
  @spec world(String.t() | nil) :: {:ok, map() | nil} | {:error, String.t()}
  def world(nil), do: {:ok, nil}

  def world(wanted), do: Choices.world(wanted)

  @doc "A portal of this server: the one that is named, or the first."
  @spec portal(String.t() | nil, Interaction.t()) :: {:ok, Portal.status()} | {:error, String.t() | Error.t()}
  def portal(wanted, interaction) do
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

  @doc "One who is there, by what was chosen or by the name; or one who is muted or stopped, and has gone."
  @spec participant(Portal.status(), String.t()) :: {:ok, who()} | {:error, String.t()}
  def participant(portal, wanted), do: among(known(portal), wanted)

  defp among(known, wanted) do
    named = Enum.filter(known, &(shown(&1.name) == shown(wanted)))

    case {Enum.find(known, &(&1.id == wanted)), named} do
      {nil, []} -> {:error, "Nobody of that name is there. `/portal who` tells who is."}
      {nil, [participant]} -> {:ok, participant}
      # In a world anybody may call himself as somebody else.
      {nil, [_ | _]} -> {:error, "Several are called that. Please take one of the names that are offered as you type."}
      {participant, _named} -> {:ok, participant}
    end
  end

  # As others read it: `/portal who` shows no more of a name.
  defp shown(name), do: name |> Text.plain(@name) |> String.downcase()

  @doc "One who publishes, or did, as his tokens are good still, by all the names that he publishes under; or an account of Discord, of whom it is not known."
  @spec publisher(Portal.status(), String.t()) :: {:ok, who(), ids :: [String.t()]} | {:error, String.t() | Error.t()}
  def publisher(portal, wanted) do
    case Regex.run(~r/\A<@!?(\d{17,20})>\z/, wanted) do
      # `@user`, as Discord writes it.
      [_all, user_id] ->
        account(portal, user_id)

      nil ->
        case camera(portal, wanted) do
          {:ok, who} -> {:ok, who, [who.id]}
          {:error, "That one" <> _} -> {:error, "That one publishes nothing here."}
          {:error, why} -> {:error, why}
        end
    end
  end

  # As whom he would share now, and as whom he may share still: as a guest, since before he was linked, or before everybody had to be.
  defp account(portal, user_id) do
    guest = "world:" <> Visitors.who(user_id)
    now = Share.who(user_id)
    before = if Enum.any?(known(portal), &(&1.id == guest)), do: [guest], else: []

    case {before ++ for({:ok, who} <- [now], do: "world:" <> who), now} do
      {[], {:error, why}} -> {:error, why}
      {[id | _] = ids, _now} -> {:ok, %{id: id, name: id, mention: "<@#{user_id}>"}, Enum.uniq(ids)}
    end
  end

  @doc "One who shows a picture, or a peer who may yet."
  @spec camera(Portal.status(), String.t() | nil) :: {:ok, who() | nil} | {:error, String.t()}
  def camera(_portal, nil), do: {:ok, nil}

  def camera(portal, wanted) do
    known = known(portal)

    # Whoever shares is in the voice channel too, by the same name.
    with {:error, _why} <- known |> Enum.filter(&own?/1) |> among(wanted),
         {:ok, _of_discord_or_forwarded} <- among(known, wanted),
         do: {:error, "That one shows no picture here."}
  end

  defp own?(%{id: "world:" <> who}), do: not String.contains?(who, "/")
  defp own?(_of_discord), do: false

  @doc "Everybody who can be meant."
  @spec known(Portal.status()) :: [who()]
  def known(portal) do
    peers = for peer <- portal.peers, do: %{id: "world:#{peer.who}", name: peer.name}
    heard = for %{id: id, name: name} when is_binary(name) <- portal.participants, do: %{id: id, name: name}
    members = for {id, name} <- Members.names(portal.guild_id, portal.users), do: %{id: "discord:#{id}", name: name}
    there = Enum.uniq_by(peers ++ heard ++ members, & &1.id)
    there ++ gone(portal, for(%{id: id} <- there, do: id))
  end

  # Of whoever is muted or stopped and has gone only the id is kept. His name is in Discord, or at Uro.
  defp gone(portal, there) do
    stopped = Enum.sort_by(portal.stopped, & &1.until, {:desc, DateTime})
    ids = Enum.uniq(for(%{who: id} <- stopped, do: id) ++ for(%{participant: id} <- portal.settings, do: id)) -- there
    {named, others} = Enum.split(ids, @named)
    accounts = for id <- named, [_all, user] <- [Regex.run(~r/\A(?:world:)?discord:(\d{17,20})\z/, id)], do: {id, user}
    names = Map.new(Members.names(portal.guild_id, Enum.map(accounts, &elem(&1, 1))))
    members = for {id, user} <- accounts, names[user] != user, into: %{}, do: {id, names[user]}

    for(id <- named, do: %{id: id, name: members[id] || user(id) || id}) ++ for(id <- others, do: %{id: id, name: id})
  end

  # As what a user of Uro's would share now.
  defp user("world:discord:" <> _account), do: nil

  defp user("world:" <> who) do
    with {:ok, %{config: config}} <- Runtime.fetch_enabled(),
         true <- Config.Accounts.on?(config),
         {:ok, user} <- Directory.user(config, who, @directory_ms) do
      user.display_name || user.username
    else
      _unknown -> nil
    end
  end

  defp user(_of_discord), do: nil

  @doc "What those are called who can be meant, by their ids."
  @spec names(Portal.status()) :: %{String.t() => String.t()}
  def names(portal), do: Map.new(known(portal), &{&1.id, &1.name})

  @doc "What is offered as one types."
  @spec choices(Interaction.t()) :: [{String.t(), String.t()}]
  def choices(%{focused: "world"} = interaction), do: Choices.worlds(interaction)

  def choices(%{focused: "portal"} = interaction) do
    portals = with {:ok, portals} <- Portal.list(), do: portals, else: (_ -> [])

    Choices.matching(
      for(%{guild_id: id} = portal <- portals, id == interaction.guild_id, do: {portal.id, portal.id}),
      interaction
    )
  end

  def choices(%{focused: "who", options: options, command: command} = interaction) do
    case portal(options["portal"], interaction) do
      {:ok, portal} ->
        known = portal |> known() |> offered(command, portal)
        named = Enum.frequencies_by(known, &String.downcase(&1.name))

        choices =
          for who <- known, byte_size(who.id) <= 100, do: {label(who, named[String.downcase(who.name)] > 1), who.id}

        Choices.matching(choices, interaction)

      _none ->
        []
    end
  end

  def choices(%{focused: "camera", options: options} = interaction) do
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

  def choices(_interaction), do: []

  # Whom one can stop, and who is stopped.
  defp offered(known, ["portal", "stop"], portal) do
    peers = for %{kind: :whip, who: who} <- portal.peers, do: "world:" <> who
    wanted = peers ++ for(camera <- portal.cameras, do: camera.id) ++ for(%{who: who} <- portal.stopped, do: who)
    Enum.filter(known, &(&1.id in wanted))
  end

  defp offered(known, _mute, _portal), do: known

  # By the id too, where several are called so.
  defp label(%{id: id, name: name}, several?) do
    [side, who] = String.split(id, ":", parts: 2)
    side = if side == "discord", do: "Discord", else: "world"
    "#{Text.plain(name, @name)} (#{side}#{if several?, do: ", " <> who})"
  end
end
