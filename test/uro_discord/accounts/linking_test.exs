for adapter <- [:sqlite, :postgres] do
  defmodule Module.concat([UroDiscord.Accounts.LinkingTest, Macro.camelize("#{adapter}")]) do
    @moduledoc false
    # People with browsers, discord-sim's consent page, and those who would have others' accounts.

    use UroDiscord.LinkingCase

    @adapter adapter
    setup_all do: start!(@adapter)

    test "a user links an account, and unlinks it", %{sim: sim, url: url} do
      :ok = UroDiscord.subscribe(:accounts)
      alice = account(sim, "alice")
      begun = "ada" |> browser() |> Browser.get(url <> "/link?return_to=/settings")
      asked = Browser.sent(begun)

      assert %{"response_type" => "code", "scope" => "identify", "code_challenge_method" => "S256"} = asked
      assert asked["redirect_uri"] == url <> "/link/callback"
      # The state is not the cookie, and the store has neither.
      refute asked["state"] in Map.values(begun.cookies["127.0.0.1"])

      linked = begun |> agree("alice") |> Browser.follow()
      assert status(linked) == 200
      assert body(linked) =~ "Your Discord account is linked" and body(linked) =~ "@alice"
      assert body(linked) =~ ~s(href="/settings")
      assert {:ok, %Link{discord_id: ^alice, username: "@alice"} = link} = Accounts.link("ada")
      assert Accounts.by_discord(alice) == {:ok, link}
      assert Accounts.links() == {:ok, [link]}
      assert_receive {:uro_discord, :accounts, {:linked, %{link: ^link}}}
      # It is his login at Uro too.
      assert TestHost.discord_identity(alice) == {:ok, "ada"}

      done = Browser.get(linked, url <> "/link/done")
      assert body(done) =~ "Unlink @alice"
      assert body(Browser.get(linked, url <> "/link")) =~ "Unlink @alice"

      gone = Browser.post(done, url <> "/link/delete?account=#{alice}")
      assert status(gone) == 303
      assert gone |> Browser.follow() |> body() =~ "No Discord account is linked"
      assert_receive {:uro_discord, :accounts, {:unlinked, %{link: ^link, reason: :user}}}
      assert Accounts.link("ada") == :error
      assert TestHost.discord_identity(alice) == :error
    end

    test "an account is one user's, and a user has one account", %{sim: sim, url: url} do
      link(url, "ada", "alice")

      # Another user, the same account.
      taken = "bob" |> browser() |> Browser.get(url <> "/link") |> agree("alice") |> Browser.follow()
      assert status(taken) == 409
      assert body(taken) =~ "linked to somebody else"
      refute body(taken) =~ "ada"
      assert Accounts.link("bob") == :error

      # The same user, another account.
      second = "ada" |> browser() |> Browser.get(url <> "/link?again=1") |> agree("bob") |> Browser.follow()
      assert status(second) == 409
      assert body(second) =~ "@alice"
      assert {:ok, %{username: "@alice"}} = Accounts.link("ada")
      assert Accounts.by_discord(account(sim, "bob")) == :error

      # The same again.
      again = "ada" |> browser() |> Browser.get(url <> "/link?again=1") |> agree("alice") |> Browser.follow()
      assert status(again) == 200
      assert body(again) =~ "still linked"
    end

    test "two tabs finish one after the other", %{url: url} do
      first = "ada" |> browser() |> Browser.get(url <> "/link")
      second = Browser.get(first, url <> "/link")
      assert Browser.sent(first)["state"] != Browser.sent(second)["state"]
      first = agree(first, "alice")
      second = agree(%{second | cookies: first.cookies}, "alice")
      assert first |> Browser.follow() |> status() == 200
      assert second |> Browser.follow() |> body() =~ "still linked"
    end

    test "what came once is not taken again", %{url: url} do
      sent = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice")
      assert sent |> Browser.follow() |> status() == 200
      # He loads the page again: he is told that all is well.
      replayed = Browser.follow(sent)
      assert status(replayed) == 200
      assert body(replayed) =~ "This login is over" and body(replayed) =~ "@alice"

      # The code in another login.
      code = Browser.sent(sent)["code"]
      {:ok, _} = Accounts.unlink("ada")
      begun = "ada" |> browser() |> Browser.get(url <> "/link")
      state = Browser.sent(begun)["state"]
      refused = Browser.get(begun, url <> "/link/callback?" <> URI.encode_query(code: code, state: state))
      assert status(refused) == 400
      assert body(refused) =~ "Discord did not confirm"
      assert Accounts.link("ada") == :error
    end

    test "Discord judges two codes of a user at once, and others meanwhile", %{url: url} do
      [ada, later] = for _ <- 1..2, do: "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice")
      judged = fn fun -> UroDiscord.Web.Waits.wait(:link, "ada", fun) end

      judged.(fn ->
        judged.(fn ->
          assert ada |> Browser.follow() |> status() == 503
          assert Accounts.link("ada") == :error
          link(url, "bob", "bob")
        end)
      end)

      assert later |> Browser.follow() |> status() == 200
    end

    test "a login goes on where it began only", %{url: url} do
      sent = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice")
      back = sent.response.headers["location"]

      # Eve has seen the way back, and goes it in her browser, where she may have begun a login too.
      for eve <- [browser("eve"), "eve" |> browser() |> Browser.get(url <> "/link")] do
        stolen = Browser.get(eve, back)
        assert status(stolen) == 400
        assert body(stolen) =~ "This login is over"
      end

      # Ada herself in another browser; somebody else in Ada's browser; nobody.
      assert "ada" |> browser() |> Browser.get(back) |> status() == 400
      other = put_in(sent.cookies["127.0.0.1"]["uro"], "bob")
      assert other |> Browser.get(back) |> status() == 400
      assert %{sent | cookies: %{}} |> Browser.get(back) |> status() == 401
      for user <- ~w(ada bob eve), do: assert(Accounts.link(user) == :error)

      # None of this has cost Ada her login.
      assert sent |> Browser.follow() |> status() == 200
      assert {:ok, %{username: "@alice"}} = Accounts.link("ada")
    end

    test "nobody is made to finish another's login", %{url: url} do
      # Eve begins one, agrees as bob, and has Ada open what came back: it is in Ada's browser that Eve's account would become Ada's.
      eves = "eve" |> browser() |> Browser.get(url <> "/link") |> agree("bob")
      back = eves.response.headers["location"]
      ada = "ada" |> browser() |> Browser.get(url <> "/link")
      tricked = Browser.get(ada, back)
      assert status(tricked) == 400
      assert Accounts.link("ada") == :error

      # With Ada's own state and Eve's code PKCE is in the way.
      query = URI.encode_query(code: Browser.sent(eves)["code"], state: Browser.sent(ada)["state"])
      assert status(Browser.get(ada, url <> "/link/callback?" <> query)) == 400
      assert Accounts.link("ada") == :error
    end

    test "a personal link is for its account, whoever is logged in at Uro", %{sim: sim, url: url} do
      {:ok, personal} = Accounts.link_url(account(sim, "alice"))
      assert String.starts_with?(personal, url <> "/link?for=")

      # Nobody is logged in yet: the link is still good after that.
      asked = Browser.get(Browser.new(), personal)
      assert status(asked) == 401
      assert body(asked) =~ URI.parse(personal).query

      # Eve has Ada open it, logged in at Discord as bob: nobody is linked.
      wrong = "ada" |> browser() |> Browser.get(personal) |> agree("bob") |> Browser.follow()
      assert status(wrong) == 403
      assert body(wrong) =~ "another Discord account" and body(wrong) =~ "@bob"
      assert Accounts.link("ada") == :error

      # It is used up.
      assert "ada" |> browser() |> Browser.get(personal) |> body() =~ "This link is over"
      {:ok, personal} = Accounts.link_url(account(sim, "alice"))
      right = "ada" |> browser() |> Browser.get(personal) |> agree("alice") |> Browser.follow()
      assert status(right) == 200
      assert {:ok, %{username: "@alice"}} = Accounts.link("ada")
    end
  end
end

defmodule UroDiscord.Accounts.LinkingTest do
  @moduledoc false
  # The same, whatever the store.

  use UroDiscord.LinkingCase
  alias UroDiscord.HttpClient

  setup_all do: start!(:sqlite)

  test "two nodes: what began on one goes on on the other, and once", %{sim: sim, url: url, accounts: accounts} do
    {:ok, config} = UroDiscord.Runtime.fetch()
    port = free_port()
    node = Peer.start!()

    config =
      sim
      |> DiscordSim.config()
      |> Keyword.merge(database: config.config.database, web: [port: port], accounts: accounts)

    for id <- ~w(ada bob), do: Peer.call(node, TestDirectory, :put, [id, []])
    Peer.start_child!(node, {UroDiscord, config})
    there = "http://127.0.0.1:#{port}/discord"
    assert eventually(fn -> match?({:ok, %{web: %{state: :listening}}}, Peer.call(node, UroDiscord, :status, [])) end)

    sent = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice")
    back = String.replace(sent.response.headers["location"], url, there)

    both =
      Task.await_many(
        for(to <- [back, sent.response.headers["location"]], do: Task.async(fn -> Browser.get(sent, to) end)),
        20_000
      )

    assert both |> Enum.count(&(body(&1) =~ "Your Discord account is linked</h1><p>You are")) >= 1
    assert {:ok, %{username: "@alice"} = link} = Accounts.link("ada")
    assert Peer.call(node, Accounts, :link, ["ada"]) == {:ok, link}

    # Both users want the same account at once, each on another node.
    {:ok, _} = Accounts.unlink("ada")
    adas = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice")
    bobs = "bob" |> browser() |> Browser.get(there <> "/link") |> agree("alice")
    bobs = put_in(bobs.response.headers["location"], String.replace(bobs.response.headers["location"], url, there))
    done = Task.await_many(for(one <- [adas, bobs], do: Task.async(fn -> Browser.follow(one) end)), 20_000)
    assert done |> Enum.map(&status/1) |> Enum.sort() == [200, 409]
  end

  test "who is not logged in is told to, and comes back to where he was", %{url: url} do
    for {path, back} <- [
          {"/link?return_to=/worlds", "/discord/link?return_to=%2Fworlds"},
          {"/link/done", "/discord/link"},
          {"/link/callback?code=x&state=y", "/discord/link"}
        ] do
      asked = Browser.get(Browser.new(), url <> path)
      assert status(asked) == 401
      assert body(asked) =~ "Log in first"
      assert body(asked) =~ ~s(href="#{back}")
    end
  end

  test "a locked user links nothing, also not one who is locked meanwhile", %{url: url} do
    assert "mallory" |> browser() |> Browser.get(url <> "/link") |> status() == 403
    assert "nobody" |> browser() |> Browser.get(url <> "/link") |> body() =~ "is not known"

    sent = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice")
    TestDirectory.put("ada", locked?: true)
    locked = Browser.follow(sent)
    assert status(locked) == 403
    assert body(locked) =~ "locked"
    assert Accounts.link("ada") == :error
  end

  test "a browser that looks ahead uses nothing up", %{sim: sim} do
    {:ok, personal} = Accounts.link_url(account(sim, "alice"))

    for header <- [
          {"sec-purpose", "prefetch;prerender"},
          {"purpose", "Prefetch"},
          {"x-purpose", "preview"},
          {"x-moz", "prefetch"}
        ] do
      ahead = Browser.get("ada" |> browser(), personal, [header])
      assert status(ahead) == 503, inspect(header)
    end

    %URI{path: path, query: query} = URI.parse(personal)
    socket = HttpClient.connect!(personal)
    :ok = HttpClient.send!(socket, HttpClient.request("HEAD", "#{path}?#{query}", [{"cookie", "uro=ada"}]))
    assert {405, _headers} = HttpClient.receive_head(socket)
    assert "ada" |> browser() |> Browser.get(personal) |> status() == 303
  end

  test "pages say whose account here it is", %{url: url} do
    linked = link(url, "ada", "alice")
    assert body(linked) =~ "You are @alice in Discord, and Ada here."
    assert linked |> Browser.get(url <> "/link/done") |> body() =~ "You are @alice in Discord, and Ada here, since"
  end

  test "what is agreed to in vain is ended at Discord, but for an account that is linked", %{sim: sim, url: url} do
    revoked = fn after_number ->
      for %{"user_id" => id} <- DiscordSim.get(sim, "/events?after=#{after_number}&types=oauth_revoked")["events"],
          do: id
    end

    before = DiscordSim.now(sim)
    {:ok, personal} = Accounts.link_url(account(sim, "alice"))
    assert "ada" |> browser() |> Browser.get(personal) |> agree("bob") |> Browser.follow() |> status() == 403
    assert revoked.(before) == [account(sim, "bob")]

    # His own other account.
    link(url, "ada", "alice")
    before = DiscordSim.now(sim)

    assert "ada" |> browser() |> Browser.get(url <> "/link?again=1") |> agree("bob") |> Browser.follow() |> status() ==
             409

    assert revoked.(before) == [account(sim, "bob")]

    # An account that is another's: ending what it has agreed to would end that for its link, too.
    before = DiscordSim.now(sim)
    assert "bob" |> browser() |> Browser.get(url <> "/link") |> agree("alice") |> Browser.follow() |> status() == 409
    {:ok, personal} = Accounts.link_url(account(sim, "bob"))
    assert "bob" |> browser() |> Browser.get(personal) |> agree("alice") |> Browser.follow() |> status() == 403
    assert revoked.(before) == []
  end

  test "who says no at Discord has changed nothing", %{url: url} do
    denied = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice", "false") |> Browser.follow()
    assert status(denied) == 200
    assert body(denied) =~ "You said no"
    assert Accounts.link("ada") == :error
  end

  test "an account that is somebody's login at Uro is his", %{sim: sim, url: url} do
    :ok = TestHost.put_identity("bob", account(sim, "alice"))
    taken = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice") |> Browser.follow()
    assert status(taken) == 409
    assert Accounts.link("ada") == :error

    # And can be linked without asking, as Discord has said already whose it is.
    alice = %{"id" => account(sim, "alice"), "username" => "alice", "discriminator" => "0"}
    assert {:ok, %Link{user_id: "bob"} = link} = Accounts.Linking.adopt(alice)
    assert Accounts.Linking.adopt(alice) == {:ok, link}
    assert Accounts.Linking.adopt(%{"id" => account(sim, "bob"), "username" => "bob"}) == :error
    # The login was there before the link, and stays.
    {:ok, ^link} = Accounts.unlink("bob")
    assert TestHost.discord_identity(account(sim, "alice")) == {:ok, "bob"}
  end

  test "who logs in at Uro by one Discord account links no other one", %{sim: sim, url: url} do
    :ok = TestHost.put_identity("ada", account(sim, "bob"))
    refused = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice") |> Browser.follow()
    assert status(refused) == 409
    assert body(refused) =~ "You log in here by another Discord account"
    assert Accounts.link("ada") == :error
    assert TestHost.discord_identity(account(sim, "alice")) == :error

    # That one he may link; the login was there before, and he is told that it stays.
    linked = link(url, "ada", "bob")
    gone = linked |> Browser.post(url <> "/link/delete?account=#{account(sim, "bob")}") |> Browser.follow()
    assert body(gone) =~ "No Discord account is linked"
    assert body(gone) =~ "You can still log in here by Discord"
    assert TestHost.discord_identity(account(sim, "bob")) == {:ok, "ada"}

    # Without it there is nothing in the way.
    TestHost.delete_identity("ada", account(sim, "bob"))
    linked = link(url, "ada", "alice")
    # Whose login the link has made is told that he has a link.
    second = linked |> Browser.get(url <> "/link?again=1") |> agree("bob") |> Browser.follow()
    assert body(second) =~ "You have another Discord account linked"
    gone = linked |> Browser.post(url <> "/link/delete?account=#{account(sim, "alice")}") |> Browser.follow()
    refute body(gone) =~ "You can still log in"
  end

  test "an account that becomes somebody else's login meanwhile is not linked, and what was linked is unlinked", %{
    sim: sim,
    url: url
  } do
    :ok = UroDiscord.subscribe(:accounts)
    alice = account(sim, "alice")
    taken = fn -> :persistent_term.put({TestHost, alice}, "bob") end

    # Of a new link nobody is told, and nothing stays.
    TestHost.meanwhile(:before, taken)
    refused = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice") |> Browser.follow()
    assert status(refused) == 409
    assert body(refused) =~ "linked to somebody else"
    assert Accounts.link("ada") == :error
    refute_received {:uro_discord, :accounts, _event}

    # One that was there ends as all do.
    TestHost.clear()
    link(url, "ada", "alice")
    {:ok, %{store: store}} = UroDiscord.Runtime.fetch()
    :ok = UroDiscord.Accounts.Applied.ensure(store, sim.info["guild_id"], alice)
    TestHost.delete_identity("ada", alice)
    TestHost.meanwhile(:before, taken)
    refused = "ada" |> browser() |> Browser.get(url <> "/link?again=1") |> agree("alice") |> Browser.follow()
    assert status(refused) == 409
    assert Accounts.link("ada") == :error
    assert_receive {:uro_discord, :accounts, {:unlinked, %{link: %{user_id: "ada"}, reason: :admin}}}, 5_000
    # What is bob's stays his.
    assert TestHost.discord_identity(alice) == {:ok, "bob"}
  end

  test "who is unlinked while he links has no login left by it", %{sim: sim, url: url} do
    for moment <- [:before, :after] do
      TestHost.meanwhile(moment, fn -> {:ok, _} = Accounts.unlink("ada") end)
      "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice") |> Browser.follow()
      assert Accounts.link("ada") == :error
      assert TestHost.discord_identity(account(sim, "alice")) == :error
      TestHost.clear()
    end
  end

  test "the account of a user who is not in Uro any more can be linked again", %{sim: sim, url: url} do
    link(url, "ada", "alice")
    # He has deleted his user there, and made another one.
    TestDirectory.delete("ada")
    TestHost.delete_identity("ada", account(sim, "alice"))
    assert "bob" |> then(&link(url, &1, "alice")) |> body() =~ "Your Discord account is linked"
    assert {:ok, %Link{user_id: "bob"}} = Accounts.by_discord(account(sim, "alice"))
    assert Accounts.link("ada") == :error
  end

  test "nobody is sent to another site", %{url: url} do
    for {given, link} <- [
          {"/settings?tab=discord#top", ~s(href="/settings?tab=discord#top")},
          {"//evil.example", nil},
          {"/\\evil.example", nil},
          {"/\t/evil.example", nil},
          {"https://evil.example", nil},
          {"javascript:alert(1)", nil},
          {"evil", nil},
          {"/\"><script>", nil},
          {"/" <> String.duplicate("x", 512), nil}
        ] do
      query = URI.encode_query(return_to: given, again: 1)
      linked = "ada" |> browser() |> Browser.get(url <> "/link?" <> query) |> agree("alice") |> Browser.follow()
      assert status(linked) == 200
      refute body(linked) =~ "evil" or body(linked) =~ "script"
      if link, do: assert(body(linked) =~ link), else: refute(body(linked) =~ "Go back")
      {:ok, _} = Accounts.unlink("ada")
    end
  end

  test "another site unlinks nobody", %{sim: sim, url: url} do
    linked = link(url, "ada", "alice")
    delete = url <> "/link/delete?account=#{account(sim, "alice")}"

    for options <- [
          [origin: "https://evil.example"],
          [origin: "null"],
          [origin: nil],
          [origin: nil, headers: [{"sec-fetch-site", "cross-site"}]],
          [origin: url |> String.replace("127.0.0.1", "127.0.0.1.evil.example") |> String.trim_trailing("/discord")]
        ] do
      refused = Browser.post(linked, delete, options)
      assert status(refused) == 403
      assert body(refused) =~ "Another site"
    end

    assert linked |> Browser.get(delete) |> status() == 405
    # Nor does an old page of his own, of another account, or another user.
    assert linked |> Browser.post(url <> "/link/delete?account=#{account(sim, "bob")}") |> status() == 303
    assert "bob" |> browser() |> Browser.post(delete) |> status() == 303
    assert Browser.new() |> Browser.post(delete) |> status() == 401
    assert {:ok, _} = Accounts.link("ada")
    assert linked |> Browser.post(delete, origin: nil, headers: [{"sec-fetch-site", "same-origin"}]) |> status() == 303
    assert Accounts.link("ada") == :error
  end

  test "pages run nothing, load nothing, and are in nobody's frame", %{url: url} do
    begun = "ada" |> browser() |> Browser.get(url <> "/link")
    assert [cookie] = for({"set-cookie", cookie} <- begun.response.headers, do: cookie)
    assert cookie =~ ~r/\Auro_discord_link=[A-Za-z0-9_-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax\z/
    assert begun.response.headers["cache-control"] == "no-store"

    for page <- [Browser.get(begun, url <> "/link/done"), Browser.get(Browser.new(), url <> "/link")] do
      %{headers: headers, body: html} = page.response
      assert headers["content-type"] == "text/html; charset=utf-8"
      assert headers["cache-control"] == "no-store"
      assert headers["x-content-type-options"] == "nosniff"
      assert headers["referrer-policy"] == "same-origin"
      assert "default-src 'none'; style-src 'sha256-" <> policy = headers["content-security-policy"]
      assert policy =~ "frame-ancestors 'none'" and policy =~ "form-action 'self'" and policy =~ "base-uri 'none'"
      refute html =~ "<script" or html =~ "http://" or html =~ "https://"
      [_, style] = Regex.run(~r{<style>(.*)</style>}s, html)
      assert policy =~ :crypto.hash(:sha256, style) |> Base.encode64()
    end
  end

  test "who begins too often waits", %{url: url} do
    # Ten in each minute of the clock, of which one may begin in between.
    answers = for _ <- 1..21, do: "eve" |> browser() |> Browser.get(url <> "/link") |> status()
    assert 429 in answers
    assert Enum.count(answers, &(&1 == 303)) in 10..20
  end

  test "an admin is sent to Discord with the bot, and nobody else", %{sim: sim, url: url} do
    asked = "admin" |> browser() |> Browser.get(url <> "/link/bot?guild_id=#{sim.info["guild_id"]}")
    assert status(asked) == 303
    assert %{"scope" => "bot applications.commands", "permissions" => _, "guild_id" => guild} = Browser.sent(asked)
    assert guild == sim.info["guild_id"]
    assert "ada" |> browser() |> Browser.get(url <> "/link/bot") |> status() == 403
    assert Browser.new() |> Browser.get(url <> "/link/bot") |> status() == 403
  end

  test "a host that cannot say who it is, is told so, without what it said", %{url: url} do
    log =
      capture_log(fn ->
        for user <- ~w(raise exit nonsense),
            do: assert(user |> browser() |> Browser.get(url <> "/link") |> status() == 500)
      end)

    assert log =~ "current_user/1 raised RuntimeError"
    assert log =~ "current_user/1 ended with an exit"
    assert log =~ "answered neither {:ok, id}"
    refute log =~ "the session is"
  end
end

defmodule UroDiscord.Accounts.LinkingTest.Misconfigured do
  use UroDiscord.LinkingCase

  setup_all do: start!(:sqlite, client_secret: "not-the-secret-of-this-application")

  test "a wrong secret is the application's fault, and is in no log", %{url: url} do
    log =
      capture_log(fn ->
        wrong = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice") |> Browser.follow()
        assert status(wrong) == 500
        assert body(wrong) =~ "not set up right"
      end)

    assert log =~ "client_id, client_secret and public_url"
    refute log =~ "not-the-secret"
    # The bot's own token is as good as before.
    assert {:ok, %{rest: %{unauthorized: false}}} = UroDiscord.status()
  end
end

defmodule UroDiscord.Accounts.LinkingTest.Chromium do
  @moduledoc false
  # What only a browser knows: what it says of where a form comes from, and what a page's policy lets through.

  use UroDiscord.LinkingCase

  @moduletag needs: :clients

  setup_all do: start!(:sqlite)

  test "in Chromium it is the same, and another site is told apart", %{url: url} do
    {:ok, seen} = "link.mjs" |> UroDiscord.Clients.node!([url]) |> UroDiscord.JSON.decode()

    assert %{"title" => "Your Discord account is linked", "radius" => "12px", "paper" => "rgb(255, 255, 255)"} =
             seen["linked"]

    assert %{"radius" => "12px", "paper" => "rgb(30, 31, 36)"} = seen["dark"]
    assert "BUTTON" in seen["focused"]
    assert seen["before"] == []
    assert seen["forged"]["heading"] == "That did not come from our page"
    assert seen["neighbour"]["heading"] == "That did not come from our page"
    assert seen["framed"] =~ "is blocked"
    assert seen["unlinked"]["heading"] == "No Discord account is linked"
    assert Accounts.link("ada") == :error
  end
end
