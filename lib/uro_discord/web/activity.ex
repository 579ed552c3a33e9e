defmodule UroDiscord.Web.Activity do
  @moduledoc false
  # GET and POST /activity, for World TV in Discord: what the application is called there, and a token for whoever is in a portal's voice channel. Discord's
  # client gives the page a code, by which Discord says who it is that watches.

  @behaviour UroDiscord.Web.Route

  require Logger

  alias UroDiscord.Accounts.OAuth
  alias UroDiscord.{Error, JSON}
  alias UroDiscord.Portal.{Members, Visitors}
  alias UroDiscord.Web.{RateLimit, Request, Response, Waits}

  # A page asks for another one when it is over.
  @good_s 3_600
  # In a minute of one address, of those that are no codes of Discord's. How many are judged at once, `Waits` limits.
  @bad_of_one 60
  @longest_code 512

  @impl true
  def open(_request, _params, %{config: config} = runtime) do
    if config.portal.activity do
      {:ok, runtime}
    else
      message = "there is no Activity here; `config :uro_discord, portal: [activity: true]` says that there is"
      Response.error(404, "not_configured", message)
    end
  end

  # Counted before Discord is asked, as the client may go before it has answered; and only now that the body is there.
  @impl true
  def handle(%{method: "POST", body: body} = request, runtime) do
    address = Request.address(request)

    case RateLimit.take("activity " <> address, @bad_of_one) do
      :ok -> judge(JSON.decode(body), address, runtime)
      {:error, seconds} -> Response.too_fast("rate_limited", "Too many begin to watch just now. Try again.", seconds)
      :unavailable -> Response.later("uro_discord is just being started again")
    end
  end

  def handle(_get, runtime), do: Response.json(200, %{client_id: OAuth.client_id(runtime)})

  defp judge({:ok, %{"code" => code}}, address, runtime) when is_binary(code) and byte_size(code) in 1..@longest_code do
    case Waits.wait(:activity, address, fn -> pass(runtime, code) end) do
      :bad_code ->
        Response.error(400, "bad_code", "Discord does not say who you are. Close the Activity and open it again.")

      good ->
        RateLimit.give_back("activity " <> address)
        if good == :many, do: Response.later("Too many begin to watch just now. Try again in a moment."), else: good
    end
  end

  defp judge(_other, _address, _runtime),
    do: Response.bad_request(~s(send {"code": …} with what Discord's client gave the Activity))

  # The access token is not revoked: Discord would end with it all that it has given this application for that person, also the tokens of his link, and ask him
  # anew at the next code, an hour later. It is kept nowhere, and ends by itself.
  defp pass(runtime, code) do
    with {:ok, tokens} <- OAuth.exchange(runtime, code),
         {:ok, account} <- OAuth.account(runtime, tokens.access),
         {:ok, portal} <- Visitors.portal(account.id, nil),
         who = {Visitors.who(account.id), name(portal, account)},
         {:ok, token} <- Visitors.token(portal, :watch, who, @good_s) do
      Response.json(200, %{portal: portal.id, token: token, expires_in: @good_s})
    else
      {:none, []} ->
        Response.error(404, "no_portal", "No portal to a world is open.")

      {:none, _portals} ->
        Response.error(403, "not_in_call", "Join the voice channel of the world first, then try again.")

      {:error, error} ->
        refused(error)
    end
  end

  # As he is called in the server.
  defp name(portal, %{id: id, username: username}) do
    with %{^id => %{name: name}} <- Members.fetch(portal.guild_id, [id]), do: name, else: (_unknown -> username)
  end

  # It is read by people.
  defp refused(%Error{} = error) do
    cond do
      OAuth.unknown_client?(error) ->
        Logger.error(
          "portal: [activity:]: Discord does not know this application or its secret: compare client_id and client_secret of `accounts:` with the OAuth2 page of the Developer Portal " <>
            "(#{Exception.message(error)})"
        )

        message =
          "World TV is not set up right on this server, so nobody can watch it here. Tell whoever runs the bot; its log says what to change."

        Response.error(500, "not_set_up", message)

      # Whatever else Discord says of a code. Of one that it does not know it says the same as where the application has no redirect.
      error.status == 400 ->
        Logger.info(
          "portal: [activity:]: Discord does not take a code (#{Exception.message(error)}). If it takes none at all: has the application a redirect on the OAuth2 page of the Developer Portal?"
        )

        :bad_code

      true ->
        Logger.warning("somebody could not be let in to World TV: #{Exception.message(error)}")
        Response.later("Discord does not answer just now. Try again in a moment.")
    end
  end
end
