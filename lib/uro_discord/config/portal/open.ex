defmodule UroDiscord.Config.Portal.Open do
  @moduledoc false
  # The portals that open by themselves (`portal: [open:]`), and what a portal may be called.

  import UroDiscord.Config.Checks
  alias UroDiscord.{Error, Snowflake}

  @typedoc "The channel is an id once the configuration is whole."
  @type t :: %{
          id: String.t(),
          channel: atom() | Snowflake.t(),
          world: String.t() | nil,
          when: :always | :people,
          bots: boolean()
        }

  @most 100
  @fields [:id, :channel, :world, :when, :bots]

  @doc "How many there may be."
  @spec most() :: pos_integer()
  def most, do: @most

  @doc "Whether this can be a portal's id: it stands in addresses."
  @spec id?(term()) :: boolean()
  def id?(id), do: is_binary(id) and id =~ ~r/\A[a-z0-9][a-z0-9_-]{0,63}\z/

  @doc "What an id may be."
  @spec an_id() :: String.t()
  def an_id, do: "1 to 64 of a to z, 0 to 9, _ and -, the first a letter or a digit"

  @doc "Whether this can be the id of a shard."
  @spec world?(term()) :: boolean()
  def world?(world),
    do:
      world == nil or is_integer(world) or (is_binary(world) and byte_size(world) in 1..64 and String.printable?(world))

  @spec check(term()) :: {:ok, [t()]} | {:error, String.t()}
  def check([{key, _value} | _] = value) when is_atom(key),
    do: is_no_list(value, "a list of portals: put one more pair of brackets around this one")

  def check(value) when is_list(value) and length(value) <= @most do
    with {:ok, portals} <- each(value, &portal/1) do
      ids = Enum.map(portals, & &1.id)

      case ids -- Enum.uniq(ids) do
        [] -> {:ok, portals}
        [twice | _] -> {:error, "#{inspect(twice)} is there twice"}
      end
    end
  end

  def check(value) when is_list(value), do: {:error, "has #{length(value)}"}
  def check(value), do: is_no_list(value, "a list")

  defp portal(given) do
    with true <- Keyword.keyword?(given),
         [] <- Keyword.keys(given) -- @fields,
         portal = Map.merge(%{id: nil, channel: nil, world: nil, when: :always, bots: false}, Map.new(given)),
         :ok <- field(portal),
         do: {:ok, %{portal | world: portal.world && to_string(portal.world)}},
         else:
           (
             false -> is_no_list(given, "a keyword list of #{Enum.join(@fields, ", ")}")
             [unknown | _] -> {:error, "#{inspect(unknown)} is none of #{Enum.join(@fields, ", ")}"}
             {:error, wrong} -> {:error, wrong}
           )
  end

  defp field(portal) do
    cond do
      not id?(portal.id) -> wrong("id", portal.id, an_id())
      not channel?(portal.channel) -> wrong("channel", portal.channel, "a name of `channels:`, or a channel's id")
      not world?(portal.world) -> wrong("world", portal.world, "the id of a shard, or nil")
      portal.when not in [:always, :people] -> wrong("when", portal.when, ":always or :people")
      not is_boolean(portal.bots) -> wrong("bots", portal.bots, "true or false")
      true -> :ok
    end
  end

  defp channel?(nil), do: false
  defp channel?(channel), do: is_atom(channel) or match?({:ok, _id}, Snowflake.cast(channel))

  defp wrong(key, value, allowed), do: {:error, "#{key}: #{Error.may_be(value, allowed)}"}

  @doc "These with the ids of their channels; or the first whose channel is unknown, or which another has already."
  @spec refer([t()], (atom() | String.t() -> {:ok, Snowflake.t()} | :error)) ::
          {:ok, [t()]}
          | {:error, String.t(), :unknown, atom() | String.t()}
          | {:error, String.t(), :taken, String.t()}
  def refer(open, id) do
    Enum.reduce_while(open, {:ok, []}, fn portal, {:ok, portals} ->
      with {:ok, channel_id} <- id.(portal.channel),
           nil <- Enum.find(portals, &(&1.channel == channel_id)) do
        {:cont, {:ok, portals ++ [%{portal | channel: channel_id}]}}
      else
        :error -> {:halt, {:error, portal.id, :unknown, portal.channel}}
        other -> {:halt, {:error, portal.id, :taken, other.id}}
      end
    end)
  end
end
