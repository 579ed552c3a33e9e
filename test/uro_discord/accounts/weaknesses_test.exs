defmodule UroDiscord.Accounts.WeaknessesTest do
  @moduledoc false
  # What goes wrong in Alliance Auth 5.5.0, each shown there by a run against a local Discord, is tried here: it goes right.

  use UroDiscord.LinkingCase
  alias UroDiscord.Accounts.{Guilds, Sync, Tasks}
  alias UroDiscord.Runtime

  @people 30

  setup_all do
    sim = start_sim!()
    # What is tried here is not the pace.
    DiscordSim.post(sim, "/settings", %{rate_limit_factor: 1_000})
    [%{"id" => guild}] = DiscordSim.post(sim, "/guilds", %{count: 1, people: @people})
    DiscordSim.post(sim, "/guild", %{guild: guild, roles: [%{role: "Boosters", managed: true}]})
    port = free_port()
    url = "http://127.0.0.1:#{port}/discord"

    start_uro_discord!(sim,
      intents: [:guilds, :guild_members],
      web: [port: port],
      accounts: [
        directory: TestHost,
        client_secret: sim.info["client_secret"],
        oauth_url: sim.info["oauth"],
        public_url: url,
        current_user: {TestHost, :current_user},
        guilds: [
          [
            id: guild,
            roles: [
              {:linked, {:named, "Member"}},
              {{:group, "boosters"}, {:named, "Boosters"}},
              {{:group, "makers"}, {:named, "Makers"}}
            ],
            create_roles: true
          ]
        ],
        # Nothing waits a minute, and nothing is to need it.
        tasks: [max_retries: 1, retry_pause: 1, schedule: []]
      ]
    )

    true = eventually(fn -> match?({:ok, %{web: %{state: :listening}}}, UroDiscord.status()) end)
    people = for %{"user" => %{"username" => "person-" <> _, "id" => id}} <- members(sim, guild), do: id
    %{sim: sim, url: url, guild: guild, people: people}
  end

  setup %{sim: sim, guild: guild, people: people} do
    # Nobody has a role, and nothing that we made is left.
    DiscordSim.post(sim, "/members", %{action: "roles", guild: guild, users: people, roles: []})

    made =
      for %{"id" => id, "name" => name, "managed" => false} <- roles(sim, guild),
          name != "@everyone",
          do: %{role: id, delete: true}

    DiscordSim.post(sim, "/guild", %{guild: guild, roles: made})
    # As by the event, for which nobody waits here.
    :ok = Guilds.forget(guild)
    DiscordSim.delete(sim, "/faults")
    on_exit(fn -> for n <- 0..@people, do: TestDirectory.delete("user-#{n}") end)
    :ok
  end

  test "1. a callback without the state of its login, or with a forged one, links nobody", %{url: url} do
    sent = "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice")
    code = Browser.sent(sent)["code"]
    forged = Base.url_encode64(:crypto.strong_rand_bytes(32), padding: false)

    for query <- [%{code: code}, %{code: code, state: ""}, %{code: code, state: forged}, %{code: code, state: "x"}] do
      refused = Browser.get(sent, url <> "/link/callback?" <> URI.encode_query(query))
      assert status(refused) == 400
      assert Accounts.link("ada") == :error
    end

    # The true one is still good.
    assert sent |> Browser.follow() |> status() == 200
    assert {:ok, %Link{}} = Accounts.link("ada")
  end

  test "2. a second user does not get an account that is linked, and its owner keeps it", %{sim: sim, url: url} do
    link(url, "ada", "alice")
    taken = "bob" |> browser() |> Browser.get(url <> "/link") |> agree("alice") |> Browser.follow()
    assert status(taken) == 409
    assert Accounts.link("bob") == :error
    assert {:ok, %Link{user_id: "ada"}} = Accounts.by_discord(account(sim, "alice"))
  end

  test "3. an error of Discord's token endpoint is a page that says what to do", %{sim: sim, url: url} do
    # The last is for who runs Uro, which the page says.
    for {status, body, shows} <- [
          {500, "<html>oops</html>", 503},
          {400, %{error: "invalid_grant"}, 400},
          {401, %{error: "invalid_client"}, 500}
        ] do
      DiscordSim.post(sim, "/faults", [%{method: "POST", route: "/oauth2/token", status: status, body: body, times: 10}])

      {shown, _log} =
        with_log(fn -> "ada" |> browser() |> Browser.get(url <> "/link") |> agree("alice") |> Browser.follow() end)

      assert status(shown) == shows
      assert body(shown) =~ ~r{<h1>[^<]+</h1><p>[^<]+}
      assert body(shown) =~ if(shows == 500, do: "admin", else: "again")
      assert Accounts.link("ada") == :error
      DiscordSim.delete(sim, "/faults")
    end

    # It is asked again after some seconds, which have gone by.
    :ok = Runtime.delete(:accounts_wrong_secret)
    link(url, "ada", "alice")
  end

  test "4. a connection that is cut, before the request or after it, costs nothing", context do
    [one, two | _] = linked(context, 2)

    for {person, apply} <- [{one, false}, {two, true}] do
      fault = %{route: "/guilds/{guild}/members/**", drop: "before_answer", apply: apply, times: 1}
      DiscordSim.post(context.sim, "/faults", [fault])
      assert {:ok, %{}} = Sync.sync(person.user, :test)
      assert has(context, person) == ["Member"]
      # It was cut.
      assert DiscordSim.get(context.sim, "/faults") == []
    end
  end

  test "5. a role that was deleted in Discord is made again and given, at once", context do
    [person] = linked(context, 1)
    assert {:ok, _} = Sync.sync(person.user, :test)
    before = counts(context.sim)
    DiscordSim.post(context.sim, "/guild", %{guild: context.guild, roles: [%{role: "Member", delete: true}]})
    assert {:ok, _} = Sync.sync(person.user, :test)
    assert eventually(fn -> has(context, person) == ["Member"] end)
    # Discord may say once that there is no such role.
    assert refused(counts(context.sim)) - refused(before) <= 1
    assert Enum.count(roles(context.sim, context.guild), &(&1["name"] == "Member")) == 1
  end

  test "6. a locked and a deleted user do not end a run over everybody", context do
    people = linked(context, @people)
    TestDirectory.put("user-2", locked?: true)
    TestDirectory.delete("user-3")
    assert {:ok, _summary} = Tasks.run(:groups)

    for %{user: user} = person <- people do
      assert has(context, person) == if(user in ["user-2", "user-3"], do: [], else: ["Member"])
    end
  end

  test "7. a group with the name of a role that Discord manages costs nobody the other roles", context do
    [person] = linked(context, 1)
    TestDirectory.put(person.user, groups: ["boosters", "makers"])
    before = counts(context.sim)
    assert {:ok, _} = Sync.sync(person.user, :test)
    assert "Makers" in has(context, person) and "Member" in has(context, person)
    assert refused(counts(context.sim)) == refused(before)
    [boosters] = for %{"name" => "Boosters", "managed" => true, "id" => id} <- roles(context.sim, context.guild), do: id
    refute boosters in member(context, person)["roles"]
  end

  test "8. a role that many want at once is made once", context do
    # Some may follow already when they are linked.
    before = counts(context.sim)
    people = linked(context, @people)
    for %{user: user} <- people, do: TestDirectory.put(user, groups: ["makers"])
    people |> Enum.map(&Task.async(fn -> Sync.sync(&1.user, :test) end)) |> Task.await_many(30_000)
    assert made(counts(context.sim)) - made(before) == 2
    for person <- people, do: assert(has(context, person) == ["Makers", "Member"])
    names = for %{"name" => name} <- roles(context.sim, context.guild), do: name
    assert names == Enum.uniq(names)
  end

  # So many of the people, each linked with a user.
  defp linked(%{sim: sim, people: people}, count) do
    for {person, n} <- people |> Enum.take(count) |> Enum.with_index() do
      TestDirectory.put("user-#{n}")
      TestDirectory.link!(sim, "user-#{n}", person)
      %{user: "user-#{n}", id: person}
    end
  end

  defp members(sim, guild), do: DiscordSim.get(sim, "/members?guild=#{guild}")
  defp roles(sim, guild), do: DiscordSim.get(sim, "/guild?id=#{guild}")["roles"]

  defp member(%{sim: sim, guild: guild}, %{id: id}),
    do: sim |> DiscordSim.get("/members?guild=#{guild}&user=#{id}") |> hd()

  # The names of his roles.
  defp has(%{sim: sim, guild: guild} = context, person) do
    names = Map.new(roles(sim, guild), &{&1["id"], &1["name"]})
    context |> member(person) |> Map.fetch!("roles") |> Enum.map(&names[&1]) |> Enum.sort()
  end

  defp counts(sim), do: DiscordSim.get(sim, "/requests/counts")

  defp refused(counts) do
    for(%{"statuses" => statuses} <- counts, {"4" <> _, count} <- statuses, do: count) |> Enum.sum()
  end

  defp made(counts) do
    for(%{"method" => "POST", "route" => "/guilds/{guild_id}/roles", "count" => count} <- counts, do: count)
    |> Enum.sum()
  end
end
