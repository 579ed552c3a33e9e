defmodule UroDiscord.Setup.Settings do
  @moduledoc false
  # The configuration as a server would start with it, whether one runs here or not, and what is wrong with it. What is wrong is left out, so that the
  # rest can be looked at.

  alias UroDiscord.{Config, ConfigError, Runtime}

  @spec read(keyword()) :: {Config.t(), [ConfigError.problem()]}
  def read(options) do
    case Runtime.fetch() do
      {:ok, %{config: %{enabled: true} = config}} when options == [] ->
        {config, []}

      _ ->
        :uro_discord
        |> Application.get_all_env()
        |> Keyword.merge(options)
        |> Keyword.put(:enabled, true)
        |> without_what_is_wrong([])
    end
  end

  defp without_what_is_wrong(options, problems) do
    case Config.new(options) do
      {:ok, config} -> {config, problems}
      {:error, error} -> options |> drop(error.problems) |> without_what_is_wrong(problems ++ error.problems)
    end
  end

  # What lacks another option is told of that one, which may be as it should: then what may lack something goes, and at last
  # there is nothing that Discord could be asked with.
  @needy [:accounts, :portal, :interactions]

  defp drop(options, problems) do
    wrong = for %{key: key} <- problems, do: key |> to_string() |> String.split(".") |> hd()
    found = for {key, _value} <- options, Atom.to_string(key) in wrong, do: key

    cond do
      "token" in wrong -> options |> Keyword.drop(found) |> Keyword.put(:enabled, false)
      found != [] -> Keyword.drop(options, found)
      Keyword.take(options, @needy) != [] -> Keyword.drop(options, @needy)
      true -> Keyword.put(options, :enabled, false)
    end
  end
end
