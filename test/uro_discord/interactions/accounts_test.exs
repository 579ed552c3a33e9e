defmodule UroDiscord.Interactions.AccountsTest do
  @moduledoc false
  # /link, /unlink and /uro unlink, as people in discord-sim use them.

  use UroDiscord.Case
  import UroDiscord.TestDirectory, only: [accounts: 1, link!: 3, person: 2, put: 2]
  alias UroDiscord.Accounts

  defmodule Logins do
    @moduledoc false
    # Users of whom some log in to Uro by Discord.
    defdelegate get(id), to: UroDiscord.TestDirectory
    defdelegate get_many(ids), to: UroDiscord.TestDirectory

    def discord_identity(discord_id), do: :persistent_term.get({__MODULE__, discord_id}, :error)
  end

  # The one that discord-sim begins with.
  @guild "1300000000000000100"

  setup context do
    sim = start_sim!()
    config = if context[:off], do: [], else: [intents: [:guilds, :guild_members]] ++ accounts(context[:accounts] || [])
    start_connected!(sim, config)
    DiscordSim.wait_for(sim, "commands")
    %{sim: sim}
  end

  defp use_command(sim, path, options \\ %{}, user \\ "bob") do
    %{"id" => id} = DiscordSim.post(sim, "/interactions", %{user: user, command: path, options: options})
    answer(sim, id)
  end

  # discord-sim lets nobody click on what only one can see, so the button is on a message here.
  defp press(sim, button, user) do
    {:ok, delivery} = UroDiscord.notify(:general, content: "?", components: [%{type: 1, components: [button]}])
    {:ok, %{message_id: message}} = UroDiscord.await(delivery)
    component = %{message: message, custom_id: button["custom_id"], values: nil}
    %{"id" => id} = DiscordSim.post(sim, "/interactions", %{user: user, component: component})
    answered(sim, id)["message"]
  end

  defp answer(sim, id) do
    assert %{"private" => true, "message" => message} = answered(sim, id)
    message
  end

  defp answered(sim, id) do
    find = fn -> sim |> DiscordSim.get("/interactions") |> Enum.find(&(&1["id"] == id)) end
    assert eventually(fn -> match?(%{"response" => %{"waiting" => false}}, find.()) end), inspect(find.())
    find.()["response"]
  end

  defp commands(sim), do: sim |> DiscordSim.get("/commands") |> Enum.map(& &1["name"]) |> Enum.sort()

  @tag :off
  test "they are there with accounts only", %{sim: sim} do
    assert commands(sim) == ["uro", "who", "worlds"]
  end

  test "/link answers with a link of one's own, which nobody could guess", %{sim: sim} do
    assert commands(sim) == ["link", "unlink", "uro", "who", "worlds"]
    links = for user <- ["bob", "bob", "alice"], do: link(use_command(sim, ["link"], %{}, user))
    assert links == Enum.uniq(links)

    for "https://uro.example/discord/link?for=" <> token <- links, do: assert(byte_size(token) >= 22)
    assert DiscordSim.messages(sim, "general") == []
  end

  defp link(%{"components" => [%{"components" => [%{"style" => 5, "url" => url}]}]}), do: url

  test "who is linked already learns with whom, and how to end it", %{sim: sim} do
    put("bela", display_name: "Béla *the* @everyone")
    link!(sim, "bela", "bob")
    assert %{"content" => content, "components" => []} = use_command(sim, ["link"])
    assert content =~ "Béla"
    refute content =~ "@everyone"
    assert content =~ "/unlink"
  end

  @tag accounts: [directory: Logins]
  test "who logs in to Uro by this account needs no more than /link; a locked one cannot", %{sim: sim} do
    for {user, person} <- [{"bela", "bob"}, {"ada", "alice"}],
        do: :persistent_term.put({Logins, person(sim, person)}, {:ok, user})

    put("bela", display_name: "Béla")
    put("ada", display_name: "Ada", locked?: true)
    assert use_command(sim, ["link"], %{}, "bob")["content"] =~ "is linked with **Béla**"
    assert {:ok, %{discord_id: id}} = Accounts.link("bela")
    assert id == person(sim, "bob")
    assert use_command(sim, ["link"], %{}, "alice")["content"] =~ "locked"
    assert Accounts.link("ada") == :error
  end

  test "/unlink asks, and ends the link of whoever clicks; an old question ends no other", %{sim: sim} do
    assert use_command(sim, ["unlink"])["content"] =~ "not linked"
    put("bela", display_name: "Béla")
    link!(sim, "bela", "bob")
    link!(sim, "ada", "alice")
    %{"content" => content, "components" => [%{"components" => [button]}]} = use_command(sim, ["unlink"])
    assert content =~ "**Béla**"
    assert %{"content" => "That link has ended already."} = press(sim, button, "alice")

    assert %{"content" => "Your Discord account is no longer linked" <> _, "components" => over} =
             press(sim, button, "bob")

    assert [%{"components" => [%{"disabled" => true}]}] = over
    assert Accounts.link("bela") == :error
    assert {:ok, _} = Accounts.link("ada")

    link!(sim, "bela", "bob")
    assert %{"content" => "That link has ended already."} = press(sim, button, "bob")
    assert {:ok, _} = Accounts.link("bela")
  end

  @tag accounts: [guilds: [[id: @guild]]]
  test "/uro unlink ends a member's link, for those who manage the server", %{sim: sim} do
    put("bela", display_name: "Béla")
    link!(sim, "bela", "bob")
    bob = person(sim, "bob")
    assert use_command(sim, ["uro", "unlink"], %{member: bob}, "alice")["content"] =~ "no longer linked with **Béla**"
    assert Accounts.link("bela") == :error
    assert use_command(sim, ["uro", "unlink"], %{member: bob}, "alice")["content"] =~ "nobody"

    # Who is not in the server is not this admin's to unlink.
    put("cleo", display_name: "Cleo")
    link!(sim, "cleo", "1300000000000000999")
    said = use_command(sim, ["uro", "unlink"], %{member: "1300000000000000999"}, "alice")["content"]
    assert said =~ "not a member of this server"
    assert {:ok, _} = Accounts.link("cleo")
  end

  # A channel of the configuration makes a server ours, and no server of linked accounts.
  @tag accounts: [guilds: [[id: "1300000000000000998"]]]
  test "/uro unlink is for the servers of accounts only", %{sim: sim} do
    put("bela", display_name: "Béla")
    link!(sim, "bela", "bob")
    said = use_command(sim, ["uro", "unlink"], %{member: person(sim, "bob")}, "alice")["content"]
    assert said =~ "accounts: [guilds: …]"
    assert {:ok, _} = Accounts.link("bela")
  end
end
