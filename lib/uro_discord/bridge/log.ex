defmodule UroDiscord.Bridge.Log do
  @moduledoc false
  # The lines of the bridge's log, to Logger.

  require Logger

  @type level :: :error | :warning | :info | :debug

  @doc "Logs a line; its target and fields are in the metadata `bridge:` too."
  @spec write(level(), String.t(), String.t(), map()) :: :ok
  def write(level, target, message, fields),
    do: Logger.log(level, fn -> "bridge: " <> text(message, fields) end, bridge: %{target: target, fields: fields})

  @doc """
      iex> UroDiscord.Bridge.Log.text("refused a part", %{"part" => "presence", "shard" => 3})
      "refused a part part=presence shard=3"
  """
  @spec text(String.t(), map()) :: String.t()
  def text(message, fields), do: message <> Enum.map_join(Enum.sort(fields), &field/1)

  defp field({name, value}) when is_binary(value), do: " #{name}=#{value}"
  defp field({name, value}), do: " #{name}=#{inspect(value)}"
end
