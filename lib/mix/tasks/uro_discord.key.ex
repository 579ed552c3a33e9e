defmodule Mix.Tasks.UroDiscord.Key do
  @shortdoc "Makes, lists, revokes and rotates keys of the HTTP API"
  @moduledoc """
  The keys with which CI and other programs post to Discord through UroDiscord (see `docs/http.md`).

      mix uro_discord.key new ci --channels builds,releases
      mix uro_discord.key new admin --channels '*' --per-minute 300
      mix uro_discord.key list
      mix uro_discord.key rotate ci --overlap 24h
      mix uro_discord.key revoke ci

  A key is shown once, on a line of its own on stdout. It works at once, in the running UroDiscord too, as both use the store
  that `config :uro_discord` names.

    * `--channels`: aliases of `config :uro_discord, channels:` or ids; `*` for every channel.
    * `--per-minute`: how many requests it may make (60).
    * `--overlap`: how long the old key is still good, as in `90s`, `30m`, `24h` or `7d` (24h).

  In a release, where there is no mix, the same is `bin/uro rpc 'IO.inspect(UroDiscord.Keys.new("ci", channels: ["builds"]))'`.
  """
  use Mix.Task

  import Mix.UroDiscord.Store, only: [open!: 0, result!: 1]
  alias UroDiscord.Keys

  @usage "usage: mix uro_discord.key new NAME --channels A,B [--per-minute N] | list | rotate NAME [--overlap 24h] | revoke NAME"

  @impl true
  def run(arguments) do
    {options, words, wrong} =
      OptionParser.parse(arguments, strict: [channels: :string, per_minute: :integer, overlap: :string])

    if wrong != [], do: Mix.raise("#{wrong |> hd() |> elem(0)} is not understood. #{@usage}")
    act(words, options)
  end

  defp act(["new", name], options) do
    channels = options |> Keyword.get(:channels, "") |> String.split(",", trim: true)
    asked = options |> Keyword.take([:per_minute]) |> Keyword.put(:channels, channels)
    show_key(name, Keys.new(name, asked, open!()))
  end

  defp act(["list"], _options) do
    for key <- result!(Keys.list(open!())) do
      until = if key.expires_at, do: ", until #{key.expires_at}", else: ""
      channels = Enum.join(key.channels, ",")

      Mix.shell().info(
        "#{key.name}: #{key.state}#{until}; #{channels}; #{key.per_minute} a minute; made #{key.created_at}"
      )
    end
  end

  defp act(["rotate", name], options) do
    overlap_ms = options |> Keyword.get(:overlap, "24h") |> duration_ms()
    show_key(name, Keys.rotate(name, [overlap_ms: overlap_ms], open!()))
  end

  defp act(["revoke", name], _options) do
    result!(Keys.revoke(name, open!()))
    Mix.shell().info("#{name} is revoked")
  end

  defp act(_words, _options), do: Mix.raise(@usage)

  defp show_key(name, made) do
    key = result!(made)
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
