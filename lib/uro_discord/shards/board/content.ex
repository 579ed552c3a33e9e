defmodule UroDiscord.Shards.Board.Content do
  @moduledoc false
  # What a board says, as an embed. Pure: the worlds and the time are arguments.

  alias UroDiscord.{Length, Shards}
  alias UroDiscord.Shards.{JoinLink, Text}
  alias UroDiscord.Shards.Board.Portals

  @typedoc """
    * `{:current, worlds}`: what is open now;
    * `{:unreachable, worlds, since}`: Uro does not answer since then (Unix seconds), and this was open;
    * `:unreachable`: it has not answered yet;
    * `:offline`: nobody will change the board from now on.
  """
  @type view ::
          {:current, [Shards.shard()]}
          | {:unreachable, [Shards.shard()], since :: integer()}
          | :unreachable
          | :offline

  # https://discord.com/developers/docs/resources/message#embed-object-embed-limits
  @characters 6_000
  @fields 25
  # For what is said about the worlds that are not listed.
  @more 100

  # The longest texts of a world, so that many of them fit.
  @name 80
  @map 60
  @host 40

  @address ~r/\A[A-Za-z0-9.:-]{1,80}\z/

  @green 0x23A55A
  @yellow 0xF0B232
  @grey 0x80848E

  @doc """
  The embed of a board of this title. `now` is in Unix seconds.

      iex> plaza = %{id: "7", name: "Plaza", map: "plaza", players: 3, max_players: 16, host: nil, address: nil, port: nil}
      iex> embed = UroDiscord.Shards.Board.Content.embed({:current, [plaza]}, "Worlds", nil, 1_700_000_000)
      iex> {embed["description"], embed["fields"]}
      {"**3 players in 1 world**\\nupdated <t:1700000000:R>",
       [%{"name" => "Plaza", "value" => "**3/16** players\\nmap plaza", "inline" => true}]}
  """
  @spec embed(view(), title :: String.t(), join_link :: String.t() | nil, now :: integer(), [Portals.summary()]) ::
          map()
  def embed(view, title, join_link, now, portals \\ []) do
    {color, description, worlds} = say(view, now)
    description = Enum.join([description | if(view == :offline, do: [], else: Portals.lines(portals, worlds))], "\n")
    room = @characters - Length.of(title) - Length.of(description)
    embed = %{"title" => title, "description" => description, "color" => color}
    if worlds == [], do: embed, else: Map.put(embed, "fields", fields(worlds, join_link, room))
  end

  defp say({:current, []}, now), do: {@grey, "No world is open.\nupdated #{ago(now)}", []}
  defp say({:current, worlds}, now), do: {@green, "**#{summary(worlds)}**\nupdated #{ago(now)}", worlds}

  defp say({:unreachable, worlds, since}, now) do
    was = if worlds == [], do: "No world was open then.", else: "Then there were **#{summary(worlds)}**."
    {@yellow, "Uro has not answered since #{ago(since)}. #{was}\nupdated #{ago(now)}", worlds}
  end

  defp say(:unreachable, now),
    do: {@yellow, "Uro does not answer, so it is not known which worlds are open.\nupdated #{ago(now)}", []}

  defp say(:offline, now),
    do: {@grey, "This board went offline #{ago(now)}. Which worlds are open is not known here until it is back.", []}

  defp ago(unix), do: "<t:#{unix}:R>"

  @doc """
  The worlds in a few words.

      iex> UroDiscord.Shards.Board.Content.summary([%{players: 1}])
      "1 player in 1 world"
      iex> UroDiscord.Shards.Board.Content.summary([%{players: 7}, %{players: nil}])
      "at least 7 players in 2 worlds"
      iex> UroDiscord.Shards.Board.Content.summary([%{players: nil}, %{players: nil}])
      "2 worlds"
  """
  @spec summary([%{players: non_neg_integer() | nil}]) :: String.t()
  def summary(worlds) do
    case players(worlds) do
      nil -> count(length(worlds), "world")
      players -> "#{players} in #{count(length(worlds), "world")}"
    end
  end

  # In words; nil where nobody knows.
  defp players(worlds) do
    case for(%{players: players} when players != nil <- worlds, do: players) do
      [] -> nil
      known when length(known) < length(worlds) -> "at least #{count(Enum.sum(known), "player")}"
      known -> count(Enum.sum(known), "player")
    end
  end

  defp count(1, what), do: "1 #{what}"
  defp count(number, what), do: "#{number} #{what}s"

  ## The list

  defp fields(worlds, join_link, room) do
    most = if length(worlds) <= @fields, do: @fields, else: @fields - 1

    case worlds |> Enum.sort_by(&order/1) |> take(join_link, most, room - @more) do
      {shown, []} -> shown
      {shown, rest} -> shown ++ [more(rest)]
    end
  end

  # The fullest first, and those of which it is not known last.
  defp order(world), do: {if(world.players, do: -world.players, else: 1), world.name, world.id}

  defp take([world | rest] = worlds, join_link, most, room) when most > 0 do
    field = field(world, join_link)
    room = room - Length.of(field["name"]) - Length.of(field["value"])

    if room >= 0 do
      {shown, left} = take(rest, join_link, most - 1, room)
      {[field | shown], left}
    else
      {[], worlds}
    end
  end

  defp take(worlds, _join_link, _most, _room), do: {[], worlds}

  defp more(worlds) do
    # A value must not be empty; this one has no width.
    %{"name" => "and #{count(length(worlds), "more world")}", "value" => players(worlds) || "\u200B"}
  end

  defp field(world, join_link) do
    link = JoinLink.fill(join_link, world)

    lines = [
      crowd(world),
      labelled("map", world.map, @map),
      labelled("host", world.host, @host),
      address(world),
      link && "[Join](#{link})"
    ]

    %{"name" => name(world), "value" => lines |> Enum.reject(&is_nil/1) |> Enum.join("\n"), "inline" => true}
  end

  @doc "A world's name as Discord may show it."
  @spec name(Shards.shard()) :: String.t()
  def name(world) do
    case Text.markdown(world.name, @name) do
      "" -> "a world without a name"
      name -> name
    end
  end

  defp crowd(%{players: nil, max_players: nil}), do: "players not known"
  defp crowd(%{players: nil, max_players: max}), do: "**?/#{max}** players"

  defp crowd(%{players: players, max_players: nil}),
    do: "**#{players}** #{if players == 1, do: "player", else: "players"}"

  defp crowd(%{players: players, max_players: max}), do: "**#{players}/#{max}** players"

  @doc "A word of a shard with what it is; nil where there is none to show."
  @spec labelled(String.t(), String.t() | nil, pos_integer()) :: String.t() | nil
  def labelled(_label, nil, _limit), do: nil

  def labelled(label, text, limit) do
    case Text.markdown(text, limit) do
      "" -> nil
      text -> "#{label} #{text}"
    end
  end

  # As code, for people to copy; what is no address is not shown.
  defp address(%{address: nil}), do: nil

  defp address(%{address: address, port: port}) do
    cond do
      not (address =~ @address) -> nil
      port == nil -> "`#{address}`"
      String.contains?(address, ":") -> "`[#{address}]:#{port}`"
      true -> "`#{address}:#{port}`"
    end
  end
end
