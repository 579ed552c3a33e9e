defmodule UroDiscord.Accounts.SelfRoles.GrantsTest do
  use ExUnit.Case, async: true

  alias UroDiscord.Accounts.Guild
  alias UroDiscord.Accounts.SelfRoles.{Content, Grants}
  alias UroDiscord.Notify.Kept

  @guild "1300000000000000100"
  @bot "1300000000000000001"
  @bot_role "1300000000000000101"
  @red "1300000000000000201"
  @blue "1300000000000000202"

  @manage_roles 0x10000000

  defp role(id, name, position, more \\ %{}),
    do: Map.merge(%{"id" => id, "name" => name, "position" => position, "permissions" => "0"}, more)

  defp guild(more \\ [], bot_permissions \\ @manage_roles) do
    roles =
      [
        role(@guild, "@everyone", 0, %{"permissions" => "1024"}),
        role(@bot_role, "uro", 5, %{"permissions" => "#{bot_permissions}", "managed" => true}),
        role(@red, "Red", 1),
        role(@blue, "Blue", 1)
      ] ++ more

    {:ok, guild} =
      Guild.read(%{"id" => @guild, "owner_id" => "1", "roles" => roles}, %{
        "user" => %{"id" => @bot},
        "roles" => [@bot_role]
      })

    guild
  end

  defp message(roles, more \\ %{}),
    do: Map.merge(%{name: "colour", text: "Choose", style: :buttons, rule: nil, only: nil, roles: roles}, more)

  defp refused(roles, guild \\ guild()) do
    assert {:error, %{kind: :invalid, message: message}} = Grants.resolve(message(roles), guild, [])
    message
  end

  test "roles that do no harm are given, by id and by name" do
    assert Grants.resolve(message([{"R", @red}, {"B", {:named, "Blue"}}]), guild(), []) ==
             {:ok, [{"R", @red}, {"B", @blue}]}
  end

  test "what cannot be given says which role it is, and what to do" do
    other = "1300000000000000203"
    assert refused([{"X", "1300000000000000999"}]) =~ ~s|"X" (role 1300000000000000999) is no role of server #{@guild}|
    assert refused([{"X", {:named, "Green"}}]) =~ ~s|the role named "Green") is no role of server|
    assert refused([{"X", @guild}]) =~ "@everyone"
    assert refused([{"X", @bot_role}]) =~ "managed"
    assert refused([{"X", other}], guild([role(other, "Staff", 6)])) =~ "drag the bot's role above it"
    assert refused([{"X", @red}], guild([], 0)) =~ "lacks Manage Roles"
    assert refused([{"X", @red}, {"Y", {:named, "Red"}}]) =~ "twice"
  end

  test "nothing with which one could do harm is given" do
    for {bit, name} <- [
          {3, "Administrator"},
          {28, "Manage Roles"},
          {24, "Move Members"},
          {5, "Manage Server"},
          {2, "Ban Members"},
          {17, "Mention @everyone, @here and All Roles"}
        ] do
      other = "1300000000000000203"
      dangerous = role(other, "Power", 1, %{"permissions" => "#{Bitwise.bsl(1, bit)}"})
      assert refused([{"X", other}], guild([dangerous])) =~ "has the permission #{name}, and anybody could take it"
    end

    # Viewing, writing, speaking; and what Discord gives @everyone of a new server, but for mentions.
    for bits <- [0x400 + 0x800 + 0x200000, 2_248_473_465_835_073 - 0x20000] do
      harmless = role("1300000000000000203", "Loud", 1, %{"permissions" => "#{bits}"})
      assert {:ok, _} = Grants.resolve(message([{"X", "1300000000000000203"}]), guild([harmless]), [])
    end

    # What a later Discord adds may be harm.
    later = role("1300000000000000203", "New", 1, %{"permissions" => "#{Bitwise.bsl(1, 53)}"})
    assert refused([{"X", "1300000000000000203"}], guild([later])) =~ "of bit 53, which is newer"
  end

  test "what the rules give is not given, whether they have it by its id or by its name" do
    for role <- [@red, {:named, "red"}], wanted <- [@red, {:named, "Red"}] do
      guilds = [%{id: "1300000000000000999", roles: []}, %{id: @guild, roles: [{:linked, role}]}]
      assert {:error, %{message: message}} = Grants.resolve(message([{"R", wanted}]), guild(), guilds)
      assert message =~ "rules of guilds"
      assert {:ok, _} = Grants.resolve(message([{"R", wanted}]), guild(), [hd(guilds)])
      assert {:ok, _} = Grants.resolve(message([{"B", @blue}]), guild(), guilds)
    end
  end

  test "what is shown can be clicked on, and a click names it" do
    roles = for n <- 1..25, do: {"Role #{n}", "13000000000000003#{n + 10}"}

    for style <- [:buttons, :menu], rule <- [nil, :one] do
      message = message(roles, %{style: style, rule: rule})
      body = Content.body(message, roles)
      assert {:ok, _} = UroDiscord.Notify.Message.new(content: body["content"], components: body["components"])
      assert Kept.hash(body) == Kept.hash(Content.body(message, roles))
      refute Kept.hash(body) == Kept.hash(Content.body(%{message | text: "Take"}, roles))
    end

    assert Content.clicked("self-role:colour:#{@red}", []) == {"colour", [@red]}
    assert Content.clicked("self-role:colour", [@red, @blue, @red]) == {"colour", [@red, @blue]}
    for strange <- ["self-role", "other:colour", "self-role:a:b:c"], do: assert(Content.clicked(strange, []) == :error)
  end

  test "five buttons in a row, and a menu that takes one where there may be one" do
    roles = for n <- 1..6, do: {"Role #{n}", "130000000000000030#{n}"}
    assert [%{"components" => five}, %{"components" => [_]}] = Content.body(message(roles), roles)["components"]
    assert length(five) == 5
    menu = fn rule -> Content.body(message(roles, %{style: :menu, rule: rule}), roles)["components"] end
    assert [%{"components" => [%{"max_values" => 6}]}] = menu.(nil)

    assert [%{"components" => [%{"max_values" => 1, "options" => [%{"value" => "1300000000000000301"} | _]}]}] =
             menu.(:one)
  end
end
