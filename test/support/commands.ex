defmodule UroDiscord.TestCommands do
  @moduledoc "Commands that behave as a test wants. `Slow` and `Hung` wait until they are told to go on by `{:go, answer}`."

  alias UroDiscord.Interaction

  defmodule Broken do
    @moduledoc "Whoever asks for its command, or its component, gets a crash."
    @behaviour UroDiscord.Command

    @impl true
    def command, do: raise("this command is broken")

    @impl true
    def component, do: exit(:broken)

    @impl true
    def handle(_interaction), do: {:ok, "never"}
  end

  defmodule Plain do
    @moduledoc false
    @behaviour UroDiscord.Command

    @impl true
    def command,
      do: %{
        name: "plain",
        description: "Says what it is told to",
        options: [%{type: 3, name: "say", description: "What"}]
      }

    @impl true
    def component, do: "plain"

    @impl true
    def answers(%Interaction{options: %{"say" => "public" <> _}}), do: :public
    def answers(%Interaction{options: %{"say" => "answers crash"}}), do: raise("crashed in answers/1: s3cret")
    def answers(%Interaction{kind: kind}) when kind in [:component, :modal], do: :update
    def answers(_interaction), do: :private

    @impl true
    def handle(%Interaction{kind: :component, custom_id: "plain:form"}), do: {:modal, form()}
    def handle(%Interaction{kind: :modal, custom_id: "plain:again"}), do: {:modal, form()}
    def handle(%Interaction{kind: :modal, options: entered}), do: {:ok, inspect(entered)}

    def handle(%Interaction{kind: :component, custom_id: "plain:" <> what, values: values}),
      do: {:ok, Enum.join([what | values], " ")}

    def handle(%Interaction{options: %{"say" => "crash"}}), do: raise("a crash")
    def handle(%Interaction{options: %{"say" => "exit"}}), do: exit(:gone)
    def handle(%Interaction{options: %{"say" => "nonsense"}}), do: :nonsense
    def handle(%Interaction{options: %{"say" => "too long"}}), do: {:ok, String.duplicate("a", 2_001)}
    def handle(%Interaction{options: %{"say" => "refuse"}}), do: {:error, "No."}
    def handle(%Interaction{options: %{"say" => "launch"}}), do: :launch_activity
    def handle(%Interaction{options: %{"say" => "a form"}}), do: {:modal, form()}
    def handle(%Interaction{options: %{"say" => "a form, again"}}), do: {:modal, %{form() | custom_id: "plain:again"}}
    def handle(%Interaction{options: %{"say" => "nobody's form"}}), do: {:modal, %{form() | custom_id: "plan:new"}}
    def handle(%Interaction{options: %{"say" => "a bad form"}}), do: {:modal, %{form() | title: ""}}
    def handle(%Interaction{options: %{"say" => "a file"}}), do: {:ok, content: "here", files: [{"a.txt", "inside"}]}

    def handle(%Interaction{options: %{"say" => "public button"}}) do
      button = %{type: 2, style: 1, label: "Again", custom_id: "plain:pressed"}
      menu = %{type: 3, custom_id: "plain:chosen", options: [%{label: "A", value: "a"}, %{label: "B", value: "b"}]}
      slow = %{type: 2, style: 1, label: "Slowly", custom_id: "slow:pressed"}
      form = %{type: 2, style: 1, label: "Write", custom_id: "plain:form"}

      {:ok,
       content: "press", components: [%{type: 1, components: [button, slow, form]}, %{type: 1, components: [menu]}]}
    end

    def handle(%Interaction{options: %{"say" => text}}), do: {:ok, text}

    # One field of each way to answer.
    defp form do
      options = [%{label: "A", value: "a"}, %{label: "B", value: "b"}]

      %{
        custom_id: "plain:new",
        title: "A form",
        components: [
          %{type: 10, content: "Please:"},
          %{type: 18, label: "Text", component: %{type: 4, custom_id: "text", style: 1}},
          %{type: 18, label: "Menu", component: %{type: 3, custom_id: "menu", options: options, max_values: 2}},
          %{type: 18, label: "One", component: %{type: 21, custom_id: "one", options: options, required: false}},
          %{type: 18, label: "Sure", component: %{type: 23, custom_id: "sure"}}
        ]
      }
    end
  end

  defmodule Slow do
    @moduledoc false
    @behaviour UroDiscord.Command

    @impl true
    def command, do: %{name: "slow", description: "Takes its time"}

    @impl true
    def component, do: "slow"

    @impl true
    def answers(%Interaction{kind: :component}), do: :update
    def answers(_interaction), do: :private

    @impl true
    def handle(interaction) do
      send(UroDiscord.TestCommands, {:slow, self(), interaction})

      receive do
        {:go, answer} -> answer
        :crash -> raise "a late crash"
      end
    end
  end
end
