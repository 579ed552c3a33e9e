defmodule UroDiscord.Accounts.SelfRoles.Clicks do
  @moduledoc false
  # Gives and takes the roles that somebody clicks on. What a click says is believed as little as anything from outside: the configuration says which roles
  # there are, and Discord whether they may be given.

  @behaviour UroDiscord.Command

  require Logger

  alias UroDiscord.{Accounts, Channels, Error, Interaction, Rest, Runtime}
  alias UroDiscord.Accounts.{Guilds, Members, Turns}
  alias UroDiscord.Accounts.SelfRoles.{Content, Grants}
  alias UroDiscord.Gateway.Leader
  alias UroDiscord.Web.RateLimit

  @deadline_ms 10_000
  # So old may be what a request goes by that replaces all his roles: it is sent by then, or there is a new look. One that Discord does not answer in time
  # gets twice as long.
  @at_once_ms 500
  @least_ms 20
  # So often one may click in a minute: what Discord lets the bot do in a server is for all.
  @often 20
  # What Discord refuses of a message is not asked for again for so long, by whomever: each refusal counts against the bot.
  @refused_ms 60_000
  @reason "taken or given back by a click on the message of self_roles: "

  @unknown "I do not know this any more. An admin of this server may have changed it just now."
  @busy "Your last click is still under way. Please click again when it is done."
  @refused "Discord does not let me do that. Please tell an admin of this server: the log of Uro says why."
  @later "Discord, or Uro, does not answer just now. Please try again in a moment."

  @impl true
  def component, do: Content.prefix()

  @impl true
  def handle(%Interaction{kind: :component} = interaction) do
    with {:ok, runtime} <- Runtime.fetch_enabled(),
         {:ok, message, wanted} <- clicked(interaction, runtime.config),
         :ok <- seldom(interaction),
         :ok <- unrefused(message),
         click = %{message: message, wanted: wanted, interaction: interaction, runtime: runtime},
         {:ok, answer} <- Turns.if_free({:click, interaction.user.id}, fn -> click(click) end) do
      {:ok, answer}
    else
      {:error, text} when is_binary(text) -> {:error, text}
      {:error, error} -> {:error, later(error, interaction)}
      [_ | _] -> {:error, @unknown}
      :busy -> {:error, @busy}
    end
  end

  defp seldom(%{user: %{id: id}}) do
    case RateLimit.take("self-role " <> id, @often) do
      :ok -> :ok
      {:error, seconds} -> {:error, "That was often. Please click again in #{seconds} seconds."}
      :unavailable -> {:error, @later}
    end
  end

  defp unrefused(%{name: name}),
    do: if((Runtime.lookup({:self_roles_refused, name}) || now()) > now(), do: {:error, @refused}, else: :ok)

  # One click of a user's at a time: who clicks faster than Discord answers is not waited for, and holds one place of those that interactions have. And it is the
  # member's turn as for a sync, and for what is taken back when his link ends: each of these sees what the others have done, on whatever node.
  defp click(%{message: message, interaction: interaction, runtime: runtime} = click) do
    with {:ok, guild} <- guild(message, interaction, runtime),
         {:ok, roles} <- resolve(message, guild, runtime.config),
         [] <- click.wanted -- for({_label, id} <- roles, do: id) do
      more = %{guild: guild, roles: roles, chosen: nil, until: now() + @deadline_ms, at_once_ms: @at_once_ms}
      click |> Map.merge(more) |> in_turns()
    end
  end

  # Nobody waits for Discord's limits in his turn, with what he had before: others give and take roles meanwhile, and that would be undone.
  defp in_turns(%{guild: guild, interaction: %{user: %{id: id}}} = click) do
    with {:wait, ms, click} <- Turns.run("#{guild.id}/#{id}", fn -> change(click) end) do
      Process.sleep(ms)
      in_turns(click)
    end
  end

  defp clicked(interaction, config) do
    with {name, [_ | _] = wanted} <- Content.clicked(interaction.custom_id, interaction.values),
         %{} = message <- Enum.find(config.accounts.self_roles, &(&1.name == name)) do
      {:ok, message, Enum.uniq(wanted)}
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

  defp resolve(message, guild, config) do
    with {:error, error} <- Grants.resolve(message, guild, config.accounts.guilds) do
      Logger.error("the message #{message.name} of self_roles gives nothing now: #{Exception.message(error)}")
      {:error, "These roles cannot be taken just now. Please tell an admin of this server: the log of Uro says why."}
    end
  end

  ## Which roles he gets and gives back

  defp change(click) do
    with {:ok, has} <- has(click),
         {give, take} = chosen = click.chosen || chosen(click, has),
         :ok <- if(give == [], do: :ok, else: may(click)),
         do: apply_all(%{click | chosen: chosen}, has, give, take)
  end

  # For one button, as he was when he clicked. Else as he is by now: of two clicks the second must not leave two roles of which he may have one.
  defp has(%{message: %{rule: nil}, wanted: [_one], interaction: %{data: data}}) do
    roles = get_in(data, ["member", "roles"])
    {:ok, if(is_list(roles), do: roles, else: [])}
  end

  defp has(%{guild: guild, interaction: %{user: %{id: id}}} = click) do
    case Members.fetch(guild.id, id, deadline_ms: @deadline_ms) do
      {:ok, member} -> {:ok, member.roles}
      :left -> {:error, @later}
      {:error, error} -> {:error, refused(error, click)}
    end
  end

  # Of a menu too, only one can be chosen.
  defp chosen(%{message: %{rule: :one}, wanted: [one | _]} = click, has) do
    others = for {_label, id} <- click.roles, id != one, id in has, do: id
    if one in has, do: {[], [one]}, else: {[one], others}
  end

  defp chosen(click, has) do
    {take, give} = Enum.split_with(click.wanted, &(&1 in has))
    {give, take}
  end

  # To give something back nobody needs to be linked.
  defp may(%{message: %{only: nil}}), do: :ok

  defp may(%{message: %{only: :linked}, interaction: %{user: %{id: id}}, runtime: runtime}) do
    case Grants.linked(runtime, id) do
      :ok -> :ok
      :locked -> {:error, "Your account is locked, so you cannot take this."}
      :not_linked -> ask_to_link(id)
      {:error, error} -> {:error, error}
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

  # One role by itself, so that nothing else can get lost; more by one request, which does all or nothing.
  defp apply_all(%{guild: guild, interaction: %{user: %{id: id}}} = click, has, give, take) do
    {route, more} =
      case {give, take} do
        {[role], []} -> {{:add_member_role, guild.id, id, role}, [deadline_ms: @deadline_ms]}
        {[], [role]} -> {{:remove_member_role, guild.id, id, role}, [deadline_ms: @deadline_ms]}
        _several -> {{:update_member, guild.id, id}, replace(click, Enum.uniq((has -- take) ++ give))}
      end

    options = [reason: @reason <> click.message.name, retry: :safe] ++ more

    case Rest.call(click.runtime.rest, route, options) do
      {:ok, _} -> {:ok, said(give, take)}
      {:error, error} -> again(click, route, error)
    end
  end

  defp replace(click, roles),
    do: [json: %{"roles" => roles}, deadline_ms: click.at_once_ms |> min(click.until - now()) |> max(1)]

  defp again(click, {:update_member, _guild_id, _id}, %Error{kind: kind} = error)
       when kind in [:rate_limited, :deadline] do
    ms = max(error.retry_after_ms || 0, @least_ms)
    # It may have been done, but slowly.
    longer = if kind == :deadline, do: 2, else: 1

    if now() + ms < click.until,
      do: {:wait, ms, %{click | at_once_ms: longer * click.at_once_ms}},
      else: {:error, refused(error, click)}
  end

  defp again(click, _route, error), do: {:error, refused(error, click)}

  defp said(give, take) do
    given = if give == [], do: [], else: ["You have #{mentions(give)} now."]
    taken = if take == [], do: [], else: ["You no longer have #{mentions(take)}."]
    Enum.join(given ++ taken, " ")
  end

  defp mentions(ids), do: Enum.map_join(ids, ", ", &"<@&#{&1}>")

  ## What went wrong

  defp refused(%Error{kind: :api} = error, click) do
    if error.status == 403, do: Runtime.put({:self_roles_refused, click.message.name}, now() + @refused_ms)

    Logger.error(
      "a click on the message #{click.message.name} of self_roles, by user #{click.interaction.user.id}, was refused by Discord: " <>
        Exception.message(error)
    )

    @refused
  end

  defp refused(error, click), do: later(error, click.interaction)

  defp later(error, interaction) do
    Logger.warning(
      "a click of user #{interaction.user.id} on #{interaction.custom_id} waits: #{Exception.message(error)}"
    )

    @later
  end

  defp now, do: System.monotonic_time(:millisecond)
end
