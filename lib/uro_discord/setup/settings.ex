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

  # Nobody is asked anything without a token. What is missing cannot be left out, so that what asks for it goes as a whole.
  defp drop(options, problems) do
    wrong = for %{key: key} <- problems, do: key |> to_string() |> String.split(".") |> hd()

    case Keyword.reject(options, fn {key, _value} -> Atom.to_string(key) in wrong end) do
      ^options -> Keyword.put(options, :enabled, false)
      others -> if "token" in wrong, do: Keyword.put(others, :enabled, false), else: others
    end
  end
end
