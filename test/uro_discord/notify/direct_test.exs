defmodule UroDiscord.Notify.DirectTest do
  @moduledoc false
  # Messages to users of Uro's, in a direct channel with the account that they have linked.

  use UroDiscord.Case
  import ExUnit.CaptureLog
  import UroDiscord.TestDirectory, only: [accounts: 0, link!: 3]
  alias UroDiscord.Accounts.Links
  alias UroDiscord.{Delivery, Error, Runtime, Stores}

  @open "/users/@me/channels"

  defp start!(options \\ []) do
    sim = start_sim!()
    start_uro_discord!(sim, accounts() ++ options)
    sim
  end

  defp notify!(user, message) do
    assert {:ok, %Delivery{status: :queued} = delivery} = UroDiscord.notify({:user, user}, message)
    delivery
  end

  defp await!(delivery, status) do
    assert {:ok, %Delivery{status: ^status} = delivery} = UroDiscord.await(delivery)
    delivery
  end

  defp contents(sim, channel_id),
    do: sim |> DiscordSim.get("/messages?channel=#{channel_id}") |> Enum.map(& &1["content"])

  defp opened(sim), do: sim |> DiscordSim.get("/requests") |> Enum.count(&(&1["path"] =~ @open))

  defp unlink!(link) do
    {:ok, %{store: store}} = Runtime.fetch()
    {:ok, true} = Links.delete(store, link)
  end

  for store <- [:sqlite, :postgres] do
    test "a linked user has them in their order, and they are edited and deleted as others are (#{store})" do
      sim = start!(Stores.options!(unquote(store)))
      link!(sim, "ada", "alice")
      link!(sim, "bela", "bob")
      deliveries = for n <- 1..5, user <- ["ada", "bela"], do: {user, notify!(user, "#{user} #{n}")}
      assert {"ada", %{channel_id: "user:ada"}} = hd(deliveries)
      delivered = for {user, delivery} <- deliveries, do: {user, await!(delivery, :delivered)}

      channels =
        for user <- ["ada", "bela"], do: delivered |> List.keyfind(user, 0) |> elem(1) |> Map.fetch!(:channel_id)

      assert [ada, bela] = channels
      assert ada != bela
      assert contents(sim, ada) == for(n <- 1..5, do: "ada #{n}")
      assert contents(sim, bela) == for(n <- 1..5, do: "bela #{n}")
      # Once for each.
      assert opened(sim) == 2

      {"ada", first} = hd(delivered)
      assert {:ok, _} = UroDiscord.edit(first, "edited")
      assert {:ok, _} = UroDiscord.delete(delivered |> Enum.at(2) |> elem(1))
      assert contents(sim, ada) == ["edited", "ada 3", "ada 4", "ada 5"]
    end
  end

  test "who is not linked, and what cannot be sent so, is refused at once" do
    sim = start!()
    assert {:error, %Error{kind: :not_linked, message: message}} = UroDiscord.notify({:user, "nobody"}, "x")
    assert message =~ ~s(user "nobody")

    for wrong <- [7, nil, "", :ada, "a\0b"],
        do: assert({:error, %Error{kind: :invalid}} = UroDiscord.notify({:user, wrong}, "x"))

    link!(sim, "ada", "alice")
    assert {:error, %Error{field: "crosspost"}} = UroDiscord.notify({:user, "ada"}, content: "x", crosspost: true)
    assert {:error, %Error{field: "content"}} = UroDiscord.notify({:user, "ada"}, String.duplicate("x", 2_001))
    assert opened(sim) == 0
  end

  test "without accounts there are no users; disabled, they are dropped" do
    start_supervised!({UroDiscord, DiscordSim.config(start_sim!())})
    assert {:error, %Error{kind: :invalid, message: message}} = UroDiscord.notify({:user, "ada"}, "x")
    assert message =~ "accounts:"
    stop_supervised!(UroDiscord)
    start_supervised!({UroDiscord, enabled: false})
    assert {:ok, %Delivery{status: :dropped}} = UroDiscord.notify({:user, "ada"}, "x")
  end

  test "who takes none is a dead letter that says why, and is sent again when he does" do
    sim = start!()
    link!(sim, "ada", "alice")
    # Discord has bots write to no bots.
    link!(sim, "robot", "peer")

    DiscordSim.post(sim, "/faults", [
      %{
        method: "POST",
        route: "/channels/*/messages",
        status: 403,
        body: %{code: 50_007, message: "Cannot send messages to this user"}
      }
    ])

    log =
      capture_log(fn ->
        for user <- ["ada", "robot"] do
          assert %{error: %{code: 50_007, message: message}} = await!(notify!(user, "hello"), :failed)
          assert message =~ "takes no direct messages"
        end
      end)

    assert log =~ "user:ada"
    assert {:ok, letters} = UroDiscord.dead_letters()
    assert [%{channel_id: "user:ada"} = letter, %{channel_id: "user:robot"}] = Enum.sort_by(letters, & &1.channel_id)
    assert {:ok, again} = UroDiscord.retry(letter)
    delivered = await!(again, :delivered)
    assert contents(sim, delivered.channel_id) == ["hello"]
  end

  test "what meets the opening of the channel is met as everywhere, and the message is there once" do
    sim = start!()
    link!(sim, "ada", "alice")

    DiscordSim.post(sim, "/faults", [
      %{method: "POST", route: @open, status: 502, body: "<html>", times: 1},
      %{method: "POST", route: @open, drop: :before_answer, apply: true, times: 1},
      %{
        method: "POST",
        route: @open,
        status: 400,
        body: %{code: 40_003, message: "You are opening direct messages too fast"},
        times: 1
      },
      %{method: "POST", route: @open, status: 200, body: %{nonsense: true}, times: 1}
    ])

    delivered = await!(notify!("ada", "hello"), :delivered)
    assert contents(sim, delivered.channel_id) == ["hello"]
  end

  test "it goes to the account that is linked when it is sent" do
    sim = start!()
    ada = link!(sim, "ada", "alice")
    # Nothing is sent meanwhile.
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: @open, status: 500, times: 3}])
    first = notify!("ada", "first")
    assert eventually(fn -> opened(sim) > 0 end)
    unlink!(ada)
    capture_log(fn -> assert %{error: %{kind: :not_linked}} = await!(first, :failed) end)

    link!(sim, "ada", "alice")
    %{channel_id: alices} = await!(notify!("ada", "second"), :delivered)
    assert contents(sim, alices) == ["second"]
    unlink!(ada)
    link!(sim, "ada", "bob")
    %{channel_id: bobs} = await!(notify!("ada", "third"), :delivered)
    assert bobs != alices
    assert contents(sim, bobs) == ["third"]
  end

  test "what crashed between accepting and opening is sent once by what comes after it" do
    sim = start!()
    link!(sim, "ada", "alice")
    DiscordSim.post(sim, "/faults", [%{method: "POST", route: @open, answer_delay_ms: 2_000, times: 1}])
    delivery = notify!("ada", "hello")
    assert eventually(fn -> opened(sim) > 0 end)
    [{pid, _}] = Registry.lookup(UroDiscord.Notify.Registry, "user:ada")
    Process.exit(pid, :kill)
    delivered = await!(delivery, :delivered)
    assert contents(sim, delivered.channel_id) == ["hello"]
  end
end
