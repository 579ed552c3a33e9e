defmodule Mix.Tasks.UroDiscord.Keys.Rotate do
  @shortdoc "Makes another key of a name, while the old one is good for a while"
  @moduledoc """
  Makes another key of a name, for the same channels, and shows it once. The old one is good for a while more.

      mix uro_discord.keys.rotate ci --overlap 24h

    * `--overlap`: how long, as in `90s`, `30m`, `24h` or `7d` (24h).
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias Mix.UroDiscord.Arguments
  alias UroDiscord.Keys

  @impl true
  def run(arguments) do
    {[name], options} =
      Arguments.read!(arguments, 1, [overlap: :string], "mix uro_discord.keys.rotate NAME [--overlap 24h]")

    overlap_ms = options |> Keyword.get(:overlap, "24h") |> duration_ms()
    key = result!(Keys.rotate(name, [overlap_ms: overlap_ms], open!()))
    Mix.shell().info("the key #{name}, which is not shown again:\n#{key}")
  end

  defp duration_ms(text) do
    units = %{"s" => 1_000, "m" => 60_000, "h" => 3_600_000, "d" => 86_400_000}

    case Integer.parse(text) do
      {count, unit} when count >= 0 and is_map_key(units, unit) -> count * units[unit]
      _ -> Mix.raise("--overlap #{text} is not a time such as 90s, 30m, 24h or 7d")
    end
  end
end
