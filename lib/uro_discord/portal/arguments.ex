defmodule UroDiscord.Portal.Arguments do
  @moduledoc false
  # What the functions of `UroDiscord.Portal` are called with: as it is used, or an error that says what it may be.

  alias UroDiscord.{Config, Error, Snowflake}
  alias UroDiscord.Config.Portal.Open

  @spec id(term()) :: {:ok, String.t()} | {:error, Error.t()}
  def id(id), do: if(Open.id?(id), do: {:ok, id}, else: {:error, not_an_id(id)})

  defp not_an_id(id), do: Error.invalid("id", id, Open.an_id())

  @doc "The options of `UroDiscord.Portal.open/2` for this channel."
  @spec options(term(), Config.t(), Snowflake.t()) ::
          {:ok, %{id: String.t(), world: String.t() | nil, bots: boolean()}} | {:error, Error.t()}
  def options(options, config, channel_id) do
    case Keyword.keyword?(options) && Keyword.split(options, [:id, :world, :shard, :bots]) do
      {given, []} ->
        check(%{
          id: Keyword.get_lazy(given, :id, fn -> usual_id(config, channel_id) end),
          world: Keyword.get(given, :world, given[:shard]),
          bots: Keyword.get(given, :bots, false)
        })

      {_given, [{unknown, _} | _]} ->
        {:error, Error.invalid("options", "#{inspect(unknown)} is not an option: there are id, world, shard and bots")}

      false ->
        {:error, Error.invalid("options", options, "a keyword list")}
    end
  end

  defp check(%{id: id, world: world, bots: bots} = options) do
    cond do
      not Open.id?(id) -> {:error, not_an_id(id)}
      not Open.world?(world) -> {:error, Error.invalid("world", world, "the id of a shard, or nil")}
      not is_boolean(bots) -> {:error, Error.invalid("bots", bots, "true or false")}
      true -> {:ok, %{options | world: world && to_string(world)}}
    end
  end

  # As the configuration calls its portal to this channel, or the channel, if that can be the name of a portal.
  defp usual_id(config, channel_id) do
    portals = for %{channel: ^channel_id, id: id} <- config.portal.open, do: id
    names = for {name, ^channel_id} <- Enum.sort(config.channels), do: Atom.to_string(name)
    Enum.find(portals ++ names, channel_id, &Open.id?/1)
  end

  @doc "Whose camera: of a peer itself, and not of one whom it forwards."
  @spec camera(term()) :: {:ok, String.t() | nil} | {:error, Error.t()}
  def camera(nil), do: {:ok, nil}

  def camera(who) do
    if participant?(who) and match?("world:" <> _, who) and not String.contains?(who, "/"),
      do: {:ok, who},
      else: {:error, Error.invalid("camera", who, ~s("world:" and whom a token was made for, or nil))}
  end

  @doc "Whose publishing: of a peer itself, as tokens call him."
  @spec publisher(term()) :: {:ok, String.t()} | {:error, Error.t()}
  def publisher(who) do
    with true <- who != nil, {:ok, "world:" <> name} <- camera(who) do
      {:ok, name}
    else
      _no -> {:error, Error.invalid("who", who, ~s("world:" and whom a token was made for))}
    end
  end

  @spec participant(term()) :: {:ok, String.t()} | {:error, Error.t()}
  def participant(participant) do
    if participant?(participant),
      do: {:ok, participant},
      else:
        {:error,
         Error.invalid(
           "participant",
           participant,
           ~s("discord:" and a user's id, or "world:" and whom a token was made for)
         )}
  end

  defp participant?("discord:" <> id), do: match?({:ok, ^id}, Snowflake.cast(id))
  defp participant?("world:" <> who), do: byte_size(who) in 1..160 and String.printable?(who)
  defp participant?(_other), do: false
end
