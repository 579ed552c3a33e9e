defmodule UroDiscord.Accounts.SelfRoles do
  @moduledoc """
  Roles that people take themselves: messages of the bot's whose buttons, or whose menu, give a role to whoever clicks, and take it back at the next
  click.

      config :uro_discord,
        accounts: [
          self_roles: [
            [name: "member", channel: :welcome, text: "Read the rules, then click.", roles: [{"Member", "1100000000000000203"}]],
            [
              name: "colour",
              channel: :welcome,
              text: "Which colour is yours?",
              style: :menu,
              rule: :one,
              only: :linked,
              roles: [{"Red", "1100000000000000204"}, {"Blue", {:named, "Blue"}}]
            ]
          ]
        ]

    * `name:` is the message's own, by which it is known again; `channel:` a name of `channels:` or an id.
    * `style:` is `:buttons` (25 at most) or `:menu`.
    * `rule: :one`: whoever takes one of these roles gives back the others.
    * `only: :linked`: only those with a linked Uro account, who is not locked, may take one; it is taken back when the link ends, and from who is locked or
      deleted.

  A member's clicks are done one at a time, 20 a minute at most; one in between is told to click again.

  A message is posted once and edited when the configuration changes; one that was deleted is posted anew, at once with the intent `:guild_messages`, else
  within ten minutes. One that is no longer configured is deleted. Of several nodes, the one that holds the gateway does this.

  A role with which one could do harm is never given: one that may manage something, kick, ban, mention everyone and the like, or has a permission that is
  newer than this. Nor can the bot give a role above its own, or one that Discord or another bot manages; and what the rules of `guilds:` give is theirs. Such a message is not posted: the log, and `UroDiscord.status/0`, say which
  role it is and what to do. A role that becomes so later is not given from then on.

  The bot needs Manage Roles, and in the channel View Channel, Read Message History and Send Messages.
  """

  use Supervisor
  alias UroDiscord.{Config, Domain, Runtime}
  alias UroDiscord.Accounts.SelfRoles.{Keeper, Leftovers}

  @doc false
  @spec start_link(Config.t()) :: Supervisor.on_start()
  def start_link(config), do: Supervisor.start_link(__MODULE__, config, name: __MODULE__)

  @impl true
  def init(%{accounts: %{self_roles: messages}}) do
    keepers = for message <- messages, do: Supervisor.child_spec({Keeper, message}, id: message.name)
    Domain.group([{Leftovers, Enum.map(messages, & &1.name)} | keepers], :one_for_one)
  end

  @doc false
  # As each keeper last said it.
  @spec status() :: [map()]
  def status, do: for({name, status} <- Enum.sort(Runtime.all(:self_roles)), do: Map.put(status, :name, name))
end
