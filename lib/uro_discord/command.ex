defmodule UroDiscord.Command do
  @moduledoc """
  What people can ask for in Discord: a slash command, the buttons and menus of a message, or both.

      defmodule MyApp.Roll do
        @behaviour UroDiscord.Command

        @impl true
        def command, do: %{name: "roll", description: "Roll a die"}

        @impl true
        def handle(_interaction), do: {:ok, "You rolled \#{:rand.uniform(6)}."}
      end

      config :uro_discord, commands: [MyApp.Roll]

  `handle/1` runs in a process of its own. If it takes longer than two seconds, Discord is asked for more time, and the answer
  appears when it is there, for up to a quarter of an hour. If it crashes, the user is told that something went wrong, and the
  log why.
  """

  alias UroDiscord.{Interaction, Notify}

  @typedoc """
    * `{:ok, message}`: what `UroDiscord.notify/2` takes; `answers/1` says who sees it;
    * `{:error, text}`: why not, for the user alone;
    * `{:choices, choices}`: for an option with `autocomplete: true`, at most 25 strings or `{name, value}`.
  """
  @type answer :: {:ok, Notify.Message.input()} | {:error, String.t()} | {:choices, [String.t() | {String.t(), term()}]}

  @doc """
  The command as [Discord has it](https://discord.com/developers/docs/interactions/application-commands#application-command-object):
  `name`, `description`, `options`, `default_member_permissions` and so on. A host's command stands for ours of the same name.
  """
  @callback command() :: map()

  @doc """
  The first part of the `custom_id`, up to a colon, of the buttons, menus and modals that come here: `"roll"` for `"roll:again"`.
  """
  @callback component() :: String.t()

  @doc """
  Who sees the answer, asked before it is there: `:private` (the default) is for the user alone, `:public` for everybody in
  the channel, and `:update` replaces the message that the component is on.
  """
  @callback answers(Interaction.t()) :: :private | :public | :update

  @callback handle(Interaction.t()) :: answer()

  @optional_callbacks command: 0, component: 0, answers: 1
end
