defmodule UroDiscord.Shards.Board.Portals do
  @moduledoc false
  # What boards say of portals. `UroDiscord.Portal` says of each how it is by a fact of `UroDiscord.Runtime`, and of changes by the topic `:portal_shown`.
  # What people call themselves is made inert.

  alias UroDiscord.{Runtime, Shards}
  alias UroDiscord.Shards.Text

  @type summary :: %{
          :id => String.t(),
          :channel_id => String.t(),
          :world => String.t() | nil,
          :state => atom(),
          :peers => [String.t()],
          :members => [String.t()],
          :speakers => [String.t()],
          optional(atom()) => term()
        }

  @name 32
  # In a message, of each side, and in a voice channel's status, which has 500 characters.
  @portals 5
  @names 8
  @speakers 5

  @doc "Those that are open, by their ids."
  @spec open() :: [summary()]
  def open, do: for({_id, %{state: :open} = portal} <- Enum.sort(Runtime.all(:portal)), do: portal)

  @doc "The picture of the first of them that has one, and whose it is."
  @spec picture([summary()]) :: {id :: String.t(), jpeg :: binary()} | nil
  def picture(portals) do
    Enum.find_value(portals, fn %{id: id} ->
      with jpeg when jpeg != nil <- Runtime.lookup({:portal_still, id}), do: {id, jpeg}
    end)
  end

  @doc """
  Who of the world speaks in a channel, for its status; nil if nobody does.

      iex> alias UroDiscord.Shards.Board.Portals
      iex> portal = %{channel_id: "1", speakers: ["Ada", "*Bob*"]}
      iex> {Portals.speaking([portal], "1"), Portals.speaking([portal], "2"), Portals.speaking([%{portal | speakers: []}], "1")}
      {"speaking: Ada, *Bob*", nil, nil}
  """
  @spec speaking([summary()], String.t()) :: String.t() | nil
  def speaking(portals, channel_id) do
    case for(%{channel_id: ^channel_id, speakers: speakers} <- portals, speaker <- speakers, do: speaker) do
      [] -> nil
      speakers -> "speaking: " <> names(speakers, @speakers, &Text.plain(&1, @name))
    end
  end

  @doc """
  A line for each, for a message.

      iex> portal = %{channel_id: "1", world: "7", peers: ["Ada"], members: []}
      iex> UroDiscord.Shards.Board.Portals.lines([portal], [%{id: "7", name: "Plaza"}])
      ["Voices between Plaza (Ada) and <#1> (nobody)"]
  """
  @spec lines([summary()], [Shards.shard()]) :: [String.t()]
  def lines(portals, worlds) do
    {shown, more} = Enum.split(portals, @portals)
    rest = if more == [], do: [], else: ["… and #{length(more)} more"]
    Enum.map(shown, &line(&1, worlds)) ++ rest
  end

  defp line(portal, worlds) do
    "Voices between #{world(portal.world, worlds)} (#{people(portal.peers)}) and <##{portal.channel_id}> (#{people(portal.members)})"
  end

  defp world(id, worlds) do
    with %{name: name} <- Enum.find(worlds, &(&1.id == id)),
         text when text != "" <- Text.markdown(name, @name),
         do: text,
         else: (_ -> "the world")
  end

  defp people([]), do: "nobody"
  defp people(people), do: names(people, @names, &Text.markdown(&1, @name))

  defp names(people, most, inert) do
    {shown, more} = people |> Enum.map(inert) |> Enum.reject(&(&1 == "")) |> Enum.uniq() |> Enum.split(most)
    Enum.join(shown ++ if(more == [], do: [], else: ["#{length(more)} more"]), ", ")
  end
end
