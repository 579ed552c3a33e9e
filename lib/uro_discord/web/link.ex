defmodule UroDiscord.Web.Link do
  @moduledoc false
  # The pages under /link, for people with a browser: linking and unlinking a Discord account, and adding the bot to a server.
  #
  # Who it is, the host says (`accounts: [current_user:]`). That a login at Discord goes on where it began is what a cookie of ours is for. What changes
  # something without Discord asking first is a POST from our own page.

  @behaviour UroDiscord.Web.Route

  require Logger

  alias UroDiscord.Accounts.{Directory, Linking, Links, Running, States, Unlinking}
  alias UroDiscord.Config
  alias UroDiscord.Setup.Invite
  alias UroDiscord.Web.{LinkPages, Page, Request, Response}

  @longest_path 512

  @impl true
  def open(request, _params, %{config: config} = runtime) do
    cond do
      not Config.Accounts.on?(config) ->
        message = "accounts are off here; `config :uro_discord, accounts: [directory: …]` turns them on"
        Response.error(404, "not_configured", message)

      # A browser that looks ahead would use up what is good once. It asks again when somebody comes.
      ahead?(request) ->
        Response.later("this page is not to be fetched ahead")

      request.method == "HEAD" ->
        Response.error(405, "method_not_allowed", "what is good once is not looked at: this path takes GET",
          headers: [{"allow", "GET"}]
        )

      request.method == "POST" and not from_here?(request, config) ->
        LinkPages.response(:not_from_here, config)

      true ->
        {:ok, runtime}
    end
  end

  # Browsers of today, Safari, Firefox of old, and what shows previews.
  defp ahead?(request) do
    Enum.any?(["sec-purpose", "purpose", "x-purpose", "x-moz"], fn name ->
      request
      |> Request.header(name)
      |> to_string()
      |> String.downcase()
      |> String.contains?(["prefetch", "prerender", "preview"])
    end)
  end

  @impl true
  def handle(%{path: ["link", "bot"]} = request, %{config: config}) do
    case may_add_bot(request, config) do
      true -> Page.redirect(Invite.url(config, Invite.application_id(config), guild_id: guild_id(request)))
      false -> LinkPages.response(:may_not_add_bot, config)
      :error -> LinkPages.response(:misconfigured, config)
    end
  end

  def handle(request, %{config: config} = runtime) do
    case who(request, config) do
      {:ok, user_id} -> answer(request.path, request, user_id, runtime)
      :error -> LinkPages.response({:not_logged_in, here(request)}, config)
      :misconfigured -> LinkPages.response(:misconfigured, config)
    end
  end

  defp answer(["link"], request, user_id, runtime) do
    cookie = cookie(request, runtime.config) || States.random()

    options = %{
      personal: request.query["for"],
      return_to: path(request.query["return_to"]),
      again?: request.query["again"] == "1"
    }

    case Linking.begin(runtime, user_id, Linking.session(cookie), options) do
      {:redirect, url} -> Page.redirect(url, [{"set-cookie", set_cookie(cookie, runtime.config)}])
      outcome -> LinkPages.response(outcome, runtime.config)
    end
  end

  defp answer(["link", "callback"], request, user_id, runtime) do
    session = with cookie when is_binary(cookie) <- cookie(request, runtime.config), do: Linking.session(cookie)

    case session && Linking.finish(runtime, user_id, session, request.query) do
      over when over in [nil, :login_over] -> LinkPages.response({:login_over, link(runtime, user_id)}, runtime.config)
      outcome -> LinkPages.response(outcome, runtime.config)
    end
  end

  defp answer(["link", "done"], _request, user_id, runtime) do
    case Links.get(runtime.store, user_id) do
      {:ok, link} -> LinkPages.response({:has_link, link}, runtime.config)
      :error -> LinkPages.response({:has_none, login?(runtime.config, user_id)}, runtime.config)
      {:error, _away} -> LinkPages.response(:later, runtime.config)
    end
  end

  # The page that has the button may be an old one.
  defp answer(["link", "delete"], request, user_id, runtime) do
    account = request.query["account"]

    result =
      with {:ok, %{discord_id: ^account}} <- Links.get(runtime.store, user_id),
           {:ok, result} <- Running.to_its_end(fn -> Unlinking.unlink(user_id, :user) end),
           do: result

    case result do
      :later -> LinkPages.response(:later, runtime.config)
      {:error, _away} -> LinkPages.response(:later, runtime.config)
      _done_or_another -> Page.redirect(runtime.config.accounts.public_url <> "/link/done")
    end
  end

  defp link(%{store: store}, user_id),
    do: with({:ok, link} <- Links.get(store, user_id), do: link, else: (_none -> nil))

  ## What the host says

  defp login?(config, user_id), do: match?({:ok, [_ | _]}, Directory.identities(config, user_id))

  defp who(request, config) do
    case ask(config.accounts.current_user, request) do
      {:ok, id} when is_binary(id) and byte_size(id) in 1..255 ->
        if(String.valid?(id), do: {:ok, id}, else: wrong(config))

      :error ->
        :error

      :raised ->
        :misconfigured

      _other ->
        wrong(config)
    end
  end

  defp wrong(%{accounts: %{current_user: {module, function}}}) do
    Logger.error(
      "accounts: #{inspect(module)}.#{function}/1 (current_user:) answered neither {:ok, id}, with a text of 1 to 255 bytes, nor :error"
    )

    :misconfigured
  end

  defp may_add_bot(_request, %{accounts: %{may_add_bot: nil}}), do: false

  defp may_add_bot(request, %{accounts: %{may_add_bot: function}}) do
    case ask(function, request) do
      true -> true
      :raised -> :error
      _anything_else -> false
    end
  end

  # What it raises may have the session in it.
  defp ask({module, function}, request) do
    apply(module, function, [Request.visitor(request)])
  rescue
    exception ->
      Logger.error(
        "accounts: #{inspect(module)}.#{function}/1 raised #{inspect(exception.__struct__)}\n" <>
          Exception.format_stacktrace(
            for {m, f, a, place} <- __STACKTRACE__, do: {m, f, if(is_list(a), do: length(a), else: a), place}
          )
      )

      :raised
  catch
    # As where the host's database is away.
    kind, _reason ->
      Logger.error(
        "accounts: #{inspect(module)}.#{function}/1 ended with an #{kind}: what it asks is not there, or did not answer"
      )

      :raised
  end

  ## The cookie that a login goes on with

  defp cookie(request, config) do
    with value when is_binary(value) <- request |> Request.cookies() |> Map.get(cookie_name(config)),
         do: if(States.random?(value), do: value)
  end

  defp set_cookie(value, config) do
    secure = if secure?(config), do: "; Secure", else: ""
    "#{cookie_name(config)}=#{value}; Path=/; Max-Age=#{States.login_seconds()}; HttpOnly; SameSite=Lax#{secure}"
  end

  # With this prefix no other host of the domain can set it.
  defp cookie_name(config), do: if(secure?(config), do: "__Host-uro_discord_link", else: "uro_discord_link")

  defp secure?(%{accounts: %{public_url: url}}), do: String.starts_with?(url, "https:")

  ## What browsers say of where a request comes from

  defp from_here?(request, %{accounts: %{public_url: url}}) do
    case Request.header(request, "origin") do
      nil -> Request.header(request, "sec-fetch-site") == "same-origin"
      origin -> origin == origin(URI.parse(url))
    end
  end

  defp origin(%URI{} = uri) do
    port = if uri.port == URI.default_port(uri.scheme), do: "", else: ":#{uri.port}"
    host = String.downcase(uri.host)
    "#{uri.scheme}://#{if host =~ ":", do: "[#{host}]", else: host}#{port}"
  end

  # A path on this host, of the signs that one is made of. With two slashes it would be another host's, and with a backslash to browsers.
  defp path(text) do
    if is_binary(text) and byte_size(text) <= @longest_path and text =~ ~r{\A/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/?#-]*\z},
      do: text
  end

  # Where he goes on after he has logged in.
  defp here(%{path: ["link"], query: query}),
    do: "/link" <> with_query(for {key, value} <- Map.take(query, ["for", "return_to", "again"]), do: {key, value})

  defp here(_request), do: "/link"

  defp with_query([]), do: ""
  defp with_query(query), do: "?" <> URI.encode_query(query)

  defp guild_id(request) do
    with {:ok, id} <- UroDiscord.Snowflake.cast(request.query["guild_id"]), do: id, else: (:error -> nil)
  end
end
