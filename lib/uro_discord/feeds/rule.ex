defmodule UroDiscord.Feeds.Rule do
  @moduledoc false
  # What of a feed goes to which channel. A rule without a condition takes everything but what comes from forks: anybody can
  # make a fork, and call its branch as he likes.

  alias UroDiscord.Feeds.Event

  @enforce_keys [:channel]
  defstruct [:channel, :project, :branch, :kinds, :states, forks: false]

  @type t :: %__MODULE__{
          channel: atom() | String.t(),
          project: Regex.t() | nil,
          branch: Regex.t() | nil,
          kinds: [atom()] | nil,
          states: [Event.state()] | nil,
          forks: boolean()
        }

  @doc """
  What a rule does with an event: `:post` it, only `:follow` it (edit its message if there is one: a failed build that
  passes later is told, a build that passed all along is not), or nothing.

      iex> alias UroDiscord.Feeds.{Event, Rule}
      iex> rule = %Rule{channel: :builds, branch: Rule.pattern("main"), states: [:failed]}
      iex> event = %Event{key: "1", position: 1, kind: :build, state: :failed, project: "V-Sekai/uro", branch: "main", title: "CI"}
      iex> Rule.apply(rule, event)
      :post
      iex> Rule.apply(rule, %{event | state: :passed})
      :follow
      iex> Rule.apply(rule, %{event | branch: "topic"})
      nil
      iex> {Rule.apply(rule, %{event | fork: true}), Rule.apply(%{rule | forks: true}, %{event | fork: true})}
      {nil, :post}
      iex> Rule.apply(rule, %{event | correction: true})
      :follow
  """
  @spec apply(t(), Event.t()) :: :post | :follow | nil
  def apply(rule, event) do
    cond do
      event.fork and not rule.forks -> nil
      not matches?(rule.project, event.project) -> nil
      not matches?(rule.branch, event.branch) -> nil
      rule.kinds != nil and event.kind not in rule.kinds -> nil
      rule.states != nil and event.state not in rule.states -> :follow
      event.correction -> :follow
      true -> :post
    end
  end

  defp matches?(nil, _text), do: true
  defp matches?(_pattern, nil), do: false
  defp matches?(pattern, text), do: text =~ pattern

  @doc """
  A pattern as the configuration has it: `*` is anything.

      iex> "V-Sekai/uro" =~ UroDiscord.Feeds.Rule.pattern("V-Sekai/*")
      true
      iex> "v.sekai/uro" =~ UroDiscord.Feeds.Rule.pattern("v-sekai/*")
      false
  """
  @spec pattern(String.t()) :: Regex.t()
  def pattern(text) do
    parts = text |> String.split("*") |> Enum.map_join(".*", &Regex.escape/1)
    Regex.compile!("\\A#{parts}\\z", "su")
  end
end
