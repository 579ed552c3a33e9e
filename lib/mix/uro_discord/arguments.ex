defmodule Mix.UroDiscord.Arguments do
  @moduledoc false
  # What a task is given. Tasks have the name of the function that they call: `mix uro_discord.keys.new` is `UroDiscord.Keys.new/2`.

  @doc "So many words, and the options; anything else ends the task with its usage."
  @spec read!([String.t()], non_neg_integer(), keyword(atom()), String.t()) :: {[String.t()], keyword()}
  def read!(arguments, count, strict, usage) do
    case OptionParser.parse(arguments, strict: strict) do
      {_options, _words, [{wrong, _} | _]} -> Mix.raise("#{wrong} is not understood. usage: #{usage}")
      {options, words, []} when length(words) == count -> {words, options}
      _else -> Mix.raise("usage: #{usage}")
    end
  end
end
