defmodule UroDiscord.Accounts.SelfRoles.Clicks do
  @moduledoc false
  # Gives and takes the roles that somebody clicks on. What a click says is believed as little as anything from outside: the configuration says which roles
  # there are, and Discord whether they may be given.

  @behaviour UroDiscord.Command

  require Logger

  alias UroDiscord.{Accounts, Channels, Error, Interaction, Rest, Runtime}
  alias UroDiscord.Accounts.{Directory, Guilds, Links}
  alias UroDiscord.Accounts.SelfRoles.{Content, Grants}
  alias UroDiscord.Gateway.Leader

  @deadline_ms 10_000
  @reason "taken or given back by a click on the message of self_roles: "

  @unknown "I do not know this any more. An admin of this server may have changed it just now."
  @later "Discord, or Uro, does not answer just now. Please try again in a moment."

  @impl true
  def component, do: Content.prefix()

  @impl true
  def handle(%Interaction{kind: :component} = interaction) do
    with {:ok, runtime} <- Runtime.fetch_enabled(),
         {:ok, message, wanted} <- clicked(interaction, runtime.config),
         {:ok, guild} <- guild(message, interaction, runtime),
         {:ok, roles} <- resolve(message, guild),
         [] <- wanted -- for({_label, id} <- roles, do: id),
         :ok <- may(message, interaction, runtime) do
      change(%{
        message: message,
        wanted: wanted,
        roles: roles,
        guild: guild,
        interaction: interaction,
        rest: runtime.rest
      })
    else
      {:error, text} when is_binary(text) -> {:error, text}
      {:error, error} -> {:error, later(error, interaction)}
      {:ok, answer} -> {:ok, answer}
      [_ | _] -> {:error, @unknown}
    end
  end

  defp clicked(interaction, config) do
    with {name, [_ | _] = wanted} <- Content.clicked(interaction.custom_id, interaction.values),
         %{} = message <- Enum.find(config.accounts.self_roles, &(&1.name == name)) do
      {:ok, message, wanted}
    else
      _none -> {:error, @unknown}
    end
  end

  # A message that was made for one server gives nothing in another.
  defp guild(%{channel: channel_id}, %{guild_id: guild_id}, runtime) do
    case Channels.fetch(channel_id, runtime.rest) do
      # The node that holds the gateway hears of it when a role changes, and no other.
      {:ok, %{guild_id: ^guild_id}} when is_binary(guild_id) ->
        if Leader.held?(), do: Guilds.fetch(guild_id), else: Guilds.fetch_now(guild_id)

      {:ok, _other} ->
        {:error, @unknown}

      {:error, error} ->
        {:error, error}
    end
  end

  defp resolve(message, guild) do
    with {:error, error} <- Grants.resolve(message, guild) do
      Logger.error("the message #{message.name} of self_roles gives nothing now: #{Exception.message(error)}")
      {:error, "These roles cannot be taken just now. Please tell an admin of this server: the log of Uro says why."}
    end
  end

  defp may(%{only: nil}, _interaction, _runtime), do: :ok

  defp may(%{only: :linked}, %{user: %{id: id}}, runtime) do
    with {:ok, link} <- Links.by_discord(runtime.store, id),
         {:ok, %{locked?: false}} <- Directory.user(runtime.config, link.user_id) do
      :ok
    else
      {:ok, %{locked?: true}} -> {:error, "Your account is locked, so you cannot take this."}
      {:error, error} -> {:error, error}
      _not_linked -> ask_to_link(id)
    end
  end

  defp ask_to_link(id) do
    with {:ok, url} <- Accounts.link_url(id) do
      button = %{type: 2, style: 5, label: "Link your account", url: url}

      {:ok,
       content: "This is for those whose Uro account is linked with Discord. Link yours, then click again.",
       components: [%{type: 1, components: [button]}]}
    end
  end

  ## Which roles he gets and gives back

  # Two clicks at once must not leave two roles of which one may have only one: one click after the other, and as the member is by then.
  defp change(%{message: %{rule: :one}} = click) do
    lock = {{__MODULE__, click.guild.id, click.interaction.user.id}, self()}

    :global.trans(lock, fn ->
      with {:ok, %{body: %{"roles" => has}}} when is_list(has) <-
             call(click, {:get_member, click.guild.id, click.interaction.user.id}, []) do
        # Of a menu too, only one can be chosen.
        one = hd(click.wanted)
        others = for {_label, id} <- click.roles, id != one, id in has, do: id
        if one in has, do: apply_all(click, [], [one]), else: apply_all(click, [one], others)
      else
        {:ok, _nothing} -> {:error, @later}
        {:error, error} -> {:error, refused(error, click)}
      end
    end)
  end

  # As he had them when he clicked.
  defp change(click) do
    has = get_in(click.interaction.data, ["member", "roles"])
    has = if is_list(has), do: has, else: []
    {take, give} = Enum.split_with(click.wanted, &(&1 in has))
    apply_all(click, give, take)
  end

  # What is given comes first: who is refused it keeps what he has.
  defp apply_all(click, give, take) do
    steps = for(id <- give, do: {:add_member_role, id}) ++ for(id <- take, do: {:remove_member_role, id})

    result =
      Enum.reduce_while(steps, :ok, fn {how, role}, :ok ->
        case call(click, {how, click.guild.id, click.interaction.user.id, role}, reason: @reason <> click.message.name) do
          {:ok, _} -> {:cont, :ok}
          {:error, error} -> {:halt, {:error, refused(error, click)}}
        end
      end)

    with :ok <- result, do: {:ok, said(give, take)}
  end

  defp call(click, route, options),
    do: Rest.call(click.rest, route, [retry: :safe, priority: :high, deadline_ms: @deadline_ms] ++ options)

  defp said(give, take) do
    given = if give == [], do: [], else: ["You have #{mentions(give)} now."]
    taken = if take == [], do: [], else: ["You no longer have #{mentions(take)}."]
    Enum.join(given ++ taken, " ")
  end

  defp mentions(ids), do: Enum.map_join(ids, ", ", &"<@&#{&1}>")

  ## What went wrong

  defp refused(%Error{kind: :api} = error, click) do
    Logger.error(
      "a click on the message #{click.message.name} of self_roles, by user #{click.interaction.user.id}, was refused by Discord: " <>
        Exception.message(error)
    )

    "Discord does not let me do that. Please tell an admin of this server: the log of Uro says why."
  end

  defp refused(error, click), do: later(error, click.interaction)

  defp later(error, interaction) do
    Logger.warning(
      "a click of user #{interaction.user.id} on #{interaction.custom_id} waits: #{Exception.message(error)}"
    )

    @later
  end
end
