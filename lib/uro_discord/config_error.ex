defmodule UroDiscord.ConfigError do
  @moduledoc """
  The configuration cannot be used. It lists every problem at once: the key, the value (never a secret), what is allowed and
  an example. Raised while `UroDiscord` starts, so that a wrong configuration stops the boot.
  """

  defexception [:problems]

  @typedoc """
  A key of `config :uro_discord`, what is wrong with its value, what is allowed, and an example of a good one. A key within a
  group is `"shards.source"`.
  """
  @type problem :: %{key: atom() | String.t(), wrong: String.t(), allowed: String.t(), example: String.t()}

  @type t :: %__MODULE__{problems: [problem()]}

  @impl true
  def message(%__MODULE__{problems: problems}) do
    "config :uro_discord cannot be used:\n" <>
      Enum.map_join(problems, fn problem ->
        """

          #{problem.key}: #{problem.wrong}
            allowed: #{problem.allowed}
            example: #{problem.example}
        """
      end)
  end
end
