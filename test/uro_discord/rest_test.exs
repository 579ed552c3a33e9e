defmodule UroDiscord.RestTest do
  use ExUnit.Case, async: true
  alias UroDiscord.{Config, Error, HTTPServer, Rest}

  @routes [
    {{:create_message, "10"}, "POST", "/channels/10/messages"},
    {{:create_typing_trigger, "10"}, "POST", "/channels/10/typing"},
    {{:crosspost_message, "10", "11"}, "POST", "/channels/10/messages/11/crosspost"},
    {{:delete_message, "10", "11"}, "DELETE", "/channels/10/messages/11"},
    {{:execute_webhook, "10", "aA0-._~=+:"}, "POST", "/webhooks/10/aA0-._~=+:"},
    {{:get_channel, "18446744073709551615"}, "GET", "/channels/18446744073709551615"},
    {:get_current_user_application_info, "GET", "/applications/@me"},
    {:get_gateway_bot, "GET", "/gateway/bot"},
    {{:get_global_commands, "10"}, "GET", "/applications/10/commands"},
    {{:get_member, "10", "11"}, "GET", "/guilds/10/members/11"},
    {{:get_message, "10", "11"}, "GET", "/channels/10/messages/11"},
    {{:get_messages, "10", nil, 100}, "GET", "/channels/10/messages?limit=100"},
    {{:get_messages, "10", "11", 5}, "GET", "/channels/10/messages?before=11&limit=5"},
    {{:interaction_callback, "10", "t"}, "POST", "/interactions/10/t/callback"},
    {{:set_global_commands, "10"}, "PUT", "/applications/10/commands"},
    {{:update_current_user_voice_state, "10"}, "PATCH", "/guilds/10/voice-states/@me"},
    {{:update_interaction_original, "10", "t"}, "PATCH", "/webhooks/10/t/messages/@original"},
    {{:update_message, "10", "11"}, "PATCH", "/channels/10/messages/11"},
    {{:raw, :put, {:channel, "10"}, "voice-status"}, "PUT", "/channels/10/voice-status"},
    {{:raw, :get, {:guild, "10"}, "a/b"}, "GET", "/guilds/10/a/b"},
    {{:raw, :get, nil, "users/@me"}, "GET", "/users/@me"}
  ]

  defp start! do
    server = HTTPServer.start!(fn _request -> {200, [], "{}"} end)

    {:ok, config} =
      Config.new(
        enabled: true,
        token: "MTIzNDU2Nzg5MDEyMzQ1Njc4.abcdef.s3cret-t0ken-of-the-bot-xyz",
        api_url: server.url <> "/api"
      )

    {:ok, rest} = Rest.client(config)
    {server, rest}
  end

  test "a route goes where Discord has it" do
    {server, rest} = start!()

    for {route, method, target} <- @routes do
      assert {:ok, %{status: 200, body: %{}}} = Rest.call(rest, route, retry: :safe)
      [request | _] = Enum.reverse(HTTPServer.requests(server))
      uri = URI.parse("/api" <> target)
      assert {method, uri.path, URI.decode_query(uri.query || "")} == {request.method, request.path, request.query}
    end
  end

  test "a token of the path's own stands in for the bot's" do
    {server, rest} = start!()
    for route <- [{:execute_webhook, "10", "t"}, :get_gateway_bot], do: {:ok, _} = Rest.call(rest, route, retry: :safe)

    assert [nil, "Bot MTIzNDU2Nzg5MDEyMzQ1Njc4.abcdef.s3cret-t0ken-of-the-bot-xyz"] =
             for(%{headers: headers} <- HTTPServer.requests(server), do: headers["authorization"])
  end

  test "a form goes out as one, and in whose name it is said" do
    {server, rest} = start!()
    token = {:raw, :post, nil, "oauth2/token"}
    {:ok, _} = Rest.call(rest, token, form: [grant_type: "refresh_token", refresh_token: "a b&c"], auth: :none)
    {:ok, _} = Rest.call(rest, {:raw, :get, nil, "users/@me"}, auth: {:bearer, "t0ken"})
    [post, get] = Enum.sort_by(HTTPServer.requests(server), & &1.method, :desc)
    assert {post.headers["content-type"], post.headers["authorization"]} == {"application/x-www-form-urlencoded", nil}
    assert URI.decode_query(post.body) == %{"grant_type" => "refresh_token", "refresh_token" => "a b&c"}
    assert get.headers["authorization"] == "Bearer t0ken"
  end

  test "what is no route is an error that says why, and is not sent" do
    {server, rest} = start!()

    for {route, why} <- [
          {nil, "a route"},
          {"channels/10", "an atom, or a tuple that begins with one"},
          {{}, "an atom, or a tuple that begins with one"},
          {{"create_message", "10"}, "an atom, or a tuple that begins with one"},
          {:create_mesage, "create_mesage: with 0 fields, is no route"},
          {{:create_message, "10", "11"}, "create_message: with 2 fields, is no route"},
          {{:create_message, 10}, "the channel: it must be an id"},
          {{:create_message, ""}, "the channel: it must be an id"},
          {{:create_message, "0"}, "the channel: it must be an id"},
          {{:create_message, "01"}, "the channel: it must be an id"},
          {{:create_message, "+1"}, "the channel: it must be an id"},
          {{:create_message, "1/../2"}, "the channel: it must be an id"},
          {{:create_message, "18446744073709551616"}, "the channel: it must be an id"},
          {{:create_message, String.duplicate("1", 1_000_000)}, "the channel: it must be an id"},
          {{:get_messages, "10", nil, -1}, "the limit must be a number"},
          {{:get_messages, "10", "x", 1}, "before: it must be an id"},
          {{:raw, :head, nil, "x"}, "the method must be :get"},
          {{:raw, :get, {:user, "10"}, "x"}, "it is within nil, {:channel, id} or {:guild, id}"},
          {{:raw, :get, nil, "a/../b"}, "path: it must be names"},
          {{:raw, :get, nil, "a?b"}, "path: it must be names"}
        ] do
      assert {:error, %Error{kind: :invalid, message: message}} = Rest.call(rest, route)
      assert message =~ why
    end

    assert [] = HTTPServer.requests(server)
  end

  test "a token is one segment of the path, or is refused without being shown" do
    {server, rest} = start!()

    for token <- [
          "",
          ".",
          "..",
          "s3cret/..",
          "s3cret?x",
          "s3cret%2f",
          "s3cret x",
          "s3crét",
          String.duplicate("s3cret", 200)
        ],
        route <- [{:interaction_callback, "10", token}, {:execute_webhook, "10", token}] do
      assert {:error, %Error{kind: :invalid} = error} = Rest.call(rest, route)
      assert Exception.message(error) =~ "the token must be"
      refute inspect(error) =~ "s3cr"
    end

    assert [] = HTTPServer.requests(server)
  end
end
