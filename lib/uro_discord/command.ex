defmodule UroDiscord.Command do
  @moduledoc ~S"""
  What people can ask for in Discord: a slash command, the buttons and menus of a message, forms, or all of them.

      defmodule MyApp.Roll do
        @behaviour UroDiscord.Command

        @impl true
        def command, do: %{name: "roll", description: "Roll a die"}

        @impl true
        def handle(_interaction), do: {:ok, "You rolled #{:rand.uniform(6)}."}
      end

      config :uro_discord, commands: [MyApp.Roll]

  `handle/1` runs in a process of its own. If it takes longer than two seconds, Discord is asked for more time, and the answer
  appears when it is there, for up to a quarter of an hour. If it crashes, the user is told that something went wrong, and the
  log why.

  ## Buttons, menus and forms

  A message's components come to the command whose `component/0` their `custom_id` begins with, and so does what is entered into a modal:

      def component, do: "feedback"

      def handle(%{kind: :command}) do
        field = %{type: 4, custom_id: "text", style: 2, max_length: 500}
        {:modal, custom_id: "feedback:new", title: "Feedback", components: [%{type: 18, label: "What is it?", component: field}]}
      end

      def handle(%{kind: :modal, custom_id: "feedback:new", options: %{"text" => text}}) do
        {:ok, "Thank you for #{String.length(text)} characters."}
      end

  A modal, and an Activity, must be answered with at once: after two seconds, when Discord has been asked for more time, it takes neither.
  """

  alias UroDiscord.{Interaction, Notify}

  @typedoc """
    * `{:ok, message}`: what `UroDiscord.notify/2` takes; `answers/1` says who sees it;
    * `{:error, text}`: why not, for the user alone;
    * `{:choices, choices}`: for an option with `autocomplete: true`, at most 25 strings or `{name, value}`;
    * `{:modal, modal}`: to a command or a component, a form: `custom_id`, `title` (45 characters) and one to five `components`, which are
      text displays and labels, each label with one field of
      [Discord's](https://discord.com/developers/docs/components/reference#label): text input, a select, file upload, radio group, checkbox
      group, checkbox. It is checked against Discord's limits; what is wrong is in the log, and the user is told that something went wrong;
    * `:launch_activity`: opens the application's Activity. Discord takes it from applications that have one.
  """
  @type answer ::
          {:ok, Notify.Message.input()}
          | {:error, String.t()}
          | {:choices, [String.t() | {String.t(), term()}]}
          | {:modal, map() | keyword()}
          | :launch_activity

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
  the channel, and `:update` replaces the message that the component is on (or that the modal was opened from; it is `:private` where
  there is none).
  """
  @callback answers(Interaction.t()) :: :private | :public | :update

  @callback handle(Interaction.t()) :: answer()

  @optional_callbacks command: 0, component: 0, answers: 1

  @doc false
  # Whether this module can be in `config :uro_discord, commands:`.
  @spec command?(term()) :: boolean()
  def command?(module) do
    is_atom(module) and Code.ensure_loaded?(module) and function_exported?(module, :handle, 1) and
      (function_exported?(module, :command, 0) or function_exported?(module, :component, 0))
  end
end
