defmodule UroDiscord.Web.LinkPages do
  @moduledoc false
  # What the pages under /link say: what happened, and what to do next.

  alias UroDiscord.Accounts.{Directory, Guilds, Link, Linking, States}
  alias UroDiscord.{Config, Length, Runtime}
  alias UroDiscord.Web.{Page, Response}

  @typedoc """
  What a page tells: an outcome of `UroDiscord.Accounts.Linking`, or what `UroDiscord.Web.Link` has found. `:has_none`: whether he can log in by Discord;
  `:not_logged_in`: the path to go on with; `:login_over`: the link that he has all the same.
  """
  @type told ::
          Linking.outcome()
          | {:has_none, boolean()}
          | {:not_logged_in, String.t()}
          | {:login_over, Link.t() | nil}
          | :not_from_here
          | :may_not_add_bot

  @spec response(told(), Config.t()) :: Response.t()
  def response(outcome, config) do
    {status, page} = page(outcome, config)
    Page.response(status, page)
  end

  defp page({:linked, how, link, joined, return_to}, config) do
    title = if how == :new, do: "Your Discord account is linked", else: "Your Discord account is still linked"
    servers = Enum.map(joined, fn {guild_id, outcome} -> joined(outcome, name(guild_id)) end)

    {200,
     %{
       title: title,
       text: ["You are #{both(link, config)}."] ++ if(servers == [], do: [], else: [servers]) ++ next(joined),
       acts: back(return_to) ++ [{:link, "Your link", at(config, "/link/done")}]
     }}
  end

  defp page({:has_link, %Link{} = link}, config) do
    again =
      if config.accounts.guilds == [],
        do: [],
        else: [{:link, "Join the Discord server again", at(config, "/link?again=1")}]

    {200,
     %{
       title: "Your Discord account is linked",
       text: ["You are #{both(link, config)}, since #{Calendar.strftime(link.linked_at, "%d %B %Y")}."],
       acts: again ++ [{:post, "Unlink #{link.username}", at(config, "/link/delete?account=#{link.discord_id}")}]
     }}
  end

  defp page({:has_none, login?}, config) do
    {200,
     %{
       title: "No Discord account is linked",
       text:
         ["Link yours, and you get your roles and your name in our Discord server."] ++
           if(login?, do: ["You can still log in here by Discord."], else: []),
       acts: [{:link, "Link my Discord account", at(config, "/link")}]
     }}
  end

  defp page({:not_logged_in, path}, config) do
    {401,
     %{
       title: "Log in first",
       text: [
         "Your Discord account is linked to your account here, so you have to be logged in here.",
         "Log in, and then come back to this page and go on."
       ],
       acts: [{:link, "Log in", "/"}, {:link, "I am logged in: go on", at(config, path)}]
     }}
  end

  defp page({:clash, :user, link}, config) do
    {409,
     %{
       title: "You have another Discord account linked",
       text: [
         "#{link.username} is linked to your account here, and an account here has one in Discord. Nothing was changed.",
         "To link this one instead, unlink the other first. Or log out of Discord, log in there as #{link.username}, and try again."
       ],
       acts: [{:link, "Your link", at(config, "/link/done")}]
     }}
  end

  defp page({:clash, :account, username}, config) do
    {409,
     %{
       title: "This Discord account is linked to somebody else",
       text: [
         "#{username} belongs to another account here, and a Discord account can belong to one only. Nothing was changed.",
         "If that other account is yours too, log in with it and unlink #{username} there. If it is not, tell an admin."
       ],
       acts: [{:link, "Try another Discord account", at(config, "/link")}]
     }}
  end

  defp page({:other_account, username}, config) do
    {403,
     %{
       title: "This link was made for another Discord account",
       text: [
         "You are logged in at Discord as #{username}, and it was somebody else who asked for this link. Nothing was changed.",
         "If somebody sent it to you: that was not meant for you. If you have several Discord accounts, log in at Discord as the one in which you typed /link, and type it again."
       ],
       acts: [{:link, "Link #{username} instead", at(config, "/link")}]
     }}
  end

  defp page({:other_login, username}, config) do
    {409,
     %{
       title: "You log in here by another Discord account",
       text: [
         "An account here has one in Discord, and yours is the one by which you log in. Nothing was changed.",
         "Log out of Discord, log in there with that one, and try again. To link #{username} instead, end your login by the other one here first."
       ],
       acts: [{:link, "Try again", at(config, "/link")}]
     }}
  end

  defp page({:missing_scopes, _scopes}, config) do
    again(403, "Discord did not give us what is needed", config, [
      "You are asked for all of it when you try again; nothing was changed."
    ])
  end

  defp page(:denied, config) do
    again(200, "You have not linked an account", config, ["You said no at Discord, so nothing was changed."])
  end

  defp page({:login_over, nil}, config) do
    again(400, "This login is over", config, [
      "A login at Discord is good once, for #{div(States.login_seconds(), 60)} minutes, in the browser and for the account here that began it. Nothing was changed."
    ])
  end

  # He has loaded the page again, or was quicker in another tab.
  defp page({:login_over, link}, config) do
    {status, page} = page({:has_link, link}, config)
    {status, %{page | text: ["This login is over, and your account is linked."] ++ page.text}}
  end

  defp page(:personal_link_over, config) do
    {400,
     %{
       title: "This link is over",
       text: [
         "A link that /link gives you in Discord is good once, for #{States.personal_minutes()} minutes. Type /link again, or begin here."
       ],
       acts: [{:link, "Link my Discord account", at(config, "/link")}]
     }}
  end

  defp page(:code_refused, config) do
    again(400, "Discord did not confirm your login", config, [
      "What your browser brought was used already, or is too old. Nothing was changed."
    ])
  end

  defp page({:refused, _error}, config) do
    again(502, "Discord could not go on", config, [
      "It gave no reason that you could do something about. Nothing was changed."
    ])
  end

  defp page(:locked, _config) do
    {403,
     %{
       title: "Your account here is locked",
       text: ["While it is, no Discord account can be linked to it. Nothing was changed.", "Ask an admin why."]
     }}
  end

  defp page(:unknown_user, _config) do
    {403,
     %{
       title: "Your account here is not known",
       text: ["Perhaps it was deleted. Log out and in again; if that does not help, ask an admin."]
     }}
  end

  defp page(:too_often, config) do
    again(429, "That was too often", config, ["Wait a minute, and try again."])
  end

  defp page(:later, config) do
    again(503, "That does not work just now", config, [
      "Something that is needed did not answer in time. If it was finished meanwhile, you see it when you try again."
    ])
  end

  defp page(:misconfigured, _config) do
    {500,
     %{
       title: "This is not set up right",
       text: [
         "It is not your fault, and trying again does not help: tell an admin. What is wrong is in the server's log."
       ]
     }}
  end

  defp page(:not_from_here, config) do
    {403,
     %{
       title: "That did not come from our page",
       text: [
         "Another site has sent you here to unlink your account, or your browser does not say where you come from. Nothing was changed."
       ],
       acts: [{:link, "Your link", at(config, "/link/done")}]
     }}
  end

  defp page(:may_not_add_bot, config) do
    {403,
     %{
       title: "You may not add the bot",
       text: ["That is for admins. If you are one, log in, and open this page again."],
       acts: [{:link, "Try again", at(config, "/link/bot")}]
     }}
  end

  defp again(status, title, config, text),
    do: {status, %{title: title, text: text, acts: [{:link, "Try again", at(config, "/link")}]}}

  ## Words

  # Who is logged in here as somebody else than he thinks sees it by this.
  defp both(link, config) do
    with {:ok, user} <- Directory.user(config, link.user_id),
         name when name not in [nil, ""] <- user.display_name || user.username do
      "#{link.username} in Discord, and #{Length.cut(name, 100)} here"
    else
      _unknown -> "#{link.username} in Discord"
    end
  end

  defp joined(:joined, name), do: "You are now in #{name}."
  defp joined(:there, name), do: "You were in #{name} already; roles and name follow in a moment."
  defp joined(:banned, name), do: "You are banned from #{name}. Its moderators can undo that."

  defp joined(:full, name),
    do: "You are in as many servers as Discord allows, so you could not join #{name}. Leave one, and join again."

  defp joined(:relink, name), do: "Discord did not let us bring you into #{name}. Try again."

  defp joined(:refused, name),
    do: "Discord does not let the bot bring you into #{name}. An admin finds the reason in the log."

  defp joined(:not_there, name), do: "The bot is not in #{name}. An admin has to add it."

  defp joined(:unlinked, name), do: "You were unlinked meanwhile, so you did not come into #{name}."

  defp joined(:later, name),
    do: "Discord did not answer in time, so you may not be in #{name} yet. Join again in a minute."

  defp next(joined) do
    cond do
      Enum.any?(joined, fn {_guild, outcome} -> outcome in [:joined, :there] end) ->
        ["Open Discord: the server is in your list."]

      joined == [] ->
        []

      true ->
        ["Your account is linked all the same."]
    end
  end

  defp back(nil), do: []
  defp back(path), do: [{:link, "Go back", path}]

  defp name(guild_id) do
    with {:ok, _} <- Runtime.fetch_enabled(),
         {:ok, %{name: name}} <- Guilds.fetch(guild_id),
         do: name,
         else: (_ -> "the server #{guild_id}")
  end

  defp at(%{accounts: %{public_url: url}}, path), do: (URI.parse(url).path || "") <> path
end
