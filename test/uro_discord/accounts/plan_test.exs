defmodule UroDiscord.Accounts.PlanTest do
  @moduledoc false
  # What is to be done about a member. The properties are of many random users, members and guilds; the seed is ExUnit's.

  use ExUnit.Case, async: true
  alias UroDiscord.Accounts.{Guild, Link, Mapping, Member, Nickname, Plan, User}
  alias UroDiscord.Length

  doctest Mapping
  doctest Nickname
  doctest Member
  doctest Plan

  @guild_id "100000000000000001"
  @bot "100000000000000002"
  @owner "100000000000000003"
  @ada "100000000000000004"
  @administrator 8
  @link %Link{user_id: "7", discord_id: @ada, username: "@ada", linked_at: ~U[2026-01-01 00:00:00Z]}

  # Position 1 to 9; the bot's is 5.
  defp id(position), do: "20000000000000000#{position}"

  defp guild(changes \\ %{}) do
    roles =
      for n <- 1..9,
          do:
            Map.merge(
              %{"id" => id(n), "name" => "role #{n}", "position" => n, "permissions" => "0", "managed" => false},
              changes[n] || %{}
            )

    everyone = %{"id" => @guild_id, "name" => "@everyone", "position" => 0, "permissions" => changes[:everyone] || "0"}

    bot = %{
      "id" => id(0),
      "name" => "the bot's",
      "position" => 5,
      "permissions" => changes[:bot] || "#{@administrator}",
      "managed" => true
    }

    json = %{"id" => @guild_id, "name" => "Home", "owner_id" => @owner, "roles" => [everyone, bot | roles]}
    {:ok, guild} = Guild.read(json, %{"user" => %{"id" => @bot}, "roles" => [id(0)]})
    guild
  end

  defp settings(fields),
    do: Map.merge(%{roles: [], nickname: nil, nickname_changed: :restore, create_roles: false}, Map.new(fields))

  defp user(fields \\ []), do: struct!(%User{id: "7", display_name: "Ada", username: "ada"}, fields)
  defp member(fields \\ []), do: struct!(%Member{guild_id: @guild_id, id: @ada}, fields)
  defp applied(fields), do: Map.merge(Plan.nothing_applied(), Map.new(fields))

  describe "roles" do
    test "of which a rule says nothing stay, and are told" do
      rules = [
        {{:attribute, "hosts_shard"}, id(1)},
        {{:not, {:attribute, "hosts_shard", true}}, id(2)},
        {:linked, id(3)}
      ]

      settings = settings(roles: rules ++ [{{__MODULE__, :raises}, id(4)}, {{__MODULE__, :throws}, {:named, "role 4"}}])
      user = user(attributes: %{"hosts_shard" => :unknown})
      raised = {:silent, {:raised, RuntimeError}}
      thrown = {:silent, {:raised, nil}}

      told = [
        {:role, id(1), {:silent, :unknown}},
        {:role, id(2), {:silent, :unknown}},
        {:role, id(4), raised},
        {:role, {:named, "role 4"}, thrown}
      ]

      for held <- [[], [id(1), id(2), id(4)]] do
        plan = Plan.plan(user, @link, member(roles: held), guild(), settings, applied(roles_set: held))
        assert {plan.add, plan.remove, plan.skipped} == {[id(3)], [], told}
      end

      assert Enum.map(told, &Plan.describe/1) == [
               "the directory does not know now whether he is to have the role #{id(1)}",
               "the directory does not know now whether he is to have the role #{id(2)}",
               "the rule of the role #{id(4)} raised RuntimeError",
               ~s|the rule of the role "role 4" threw, or exited|
             ]

      # Whoever is locked is asked nothing.
      plan = Plan.plan(%{user | locked?: true}, @link, member(roles: [id(1), id(4)]), guild(), settings)
      assert {Enum.sort(plan.remove), plan.skipped} == {[id(1), id(4)], []}
    end

    @doc false
    def raises(_user), do: raise("secret")

    @doc false
    def throws(_user), do: throw(:secret)

    test "those of the rules come and go, and nobody else's do" do
      settings = settings(roles: [{:linked, id(1)}, {{:attribute, "is_admin"}, id(2)}])
      plan = Plan.plan(user(), @link, member(roles: [id(2), id(3), id(0)]), guild(), settings)
      assert %Plan{add: [add], remove: [remove], skipped: []} = plan
      assert {add, remove} == {id(1), id(2)}
      assert {:patch, %{"roles" => roles}} = Plan.request(plan, member(roles: [id(2), id(3), id(0)]))
      assert roles == [id(3), id(0), id(1)]
    end

    test "a locked user, one who is gone, and one without a link have none of them" do
      settings = settings(roles: [{:linked, id(1)}])
      member = member(roles: [id(1), id(2)])

      for {user, link} <- [{user(locked?: true), @link}, {nil, @link}, {user(), nil}],
          do: assert(Plan.plan(user, link, member, guild(), settings).remove == [id(1)])
    end

    test "what we gave is taken back when no rule names it any more" do
      plan = Plan.plan(user(), @link, member(roles: [id(1), id(2)]), guild(), settings([]), applied(roles_set: [id(1)]))
      assert plan.remove == [id(1)]
    end

    test "managed ones, @everyone, unknown ones and those that are not below the bot's are never touched, and said" do
      rules = for role <- [id(1), id(7), @guild_id, "300000000000000000", id(6)], do: {:linked, role}
      plan = Plan.plan(user(), @link, member(), guild(%{1 => %{"managed" => true}}), settings(roles: rules))
      assert plan.add == [] and plan.remove == []

      assert plan.skipped == [
               {:role, id(1), :managed},
               {:role, id(7), :above_bot},
               {:role, @guild_id, :everyone},
               {:role, "300000000000000000", :unknown},
               {:role, id(6), :above_bot}
             ]

      # Nor taken.
      member = member(roles: [id(1), id(6)])
      plan = Plan.plan(nil, @link, member, guild(%{1 => %{"managed" => true}}), settings(roles: rules))
      assert plan.remove == []
      assert plan.skipped == [{:role, id(1), :managed}, {:role, id(6), :above_bot}]
    end

    test "of two of the same position the older one is higher" do
      same = %{"position" => 5}
      older = %{"position" => 5, "id" => "100000000000000000"}
      assert Guild.assignable(guild(%{1 => same}), id(1)) == :ok
      assert Guild.assignable(guild(%{1 => older}), "100000000000000000") == {:error, :above_bot}
    end

    test "without Manage Roles nothing is tried" do
      guild = guild(%{bot: "0"})
      plan = Plan.plan(user(), @link, member(), guild, settings(roles: [{:linked, id(1)}], create_roles: true))
      assert {plan.add, plan.skipped} == {[], [{:role, id(1), :no_permission}]}
      # It may have it from @everyone.
      assert Guild.assignable(guild(%{bot: "0", everyone: "#{Bitwise.bsl(1, 28)}"}), id(1)) == :ok
    end

    test "a named one is found whatever its case is, but exactly first; never a managed one, and one above the bot only to be refused" do
      named = fn changes, name -> Guild.named(guild(changes), name) end
      assert named.(%{}, "ROLE 1") == {:ok, id(1)}
      assert named.(%{1 => %{"name" => "g1"}, 2 => %{"name" => "G1"}}, "G1") == {:ok, id(2)}
      assert named.(%{1 => %{"managed" => true}}, "role 1") == :error
      assert named.(%{1 => %{"name" => "role 9"}}, "role 9") == {:ok, id(1)}
      assert named.(%{}, "role 9") == {:ok, id(9)}
      assert named.(%{}, "@everyone") == :error
    end

    test "a named one that is missing is created where that is allowed, and for those who are to have it" do
      settings = settings(roles: [{:linked, {:named, "New"}}, {{:group, "no"}, {:named, "Other"}}])
      plan = Plan.plan(user(), @link, member(), guild(), settings)
      assert {plan.create, plan.skipped} == {[], [{:role, {:named, "New"}, :missing}]}
      plan = Plan.plan(user(), @link, member(), guild(), %{settings | create_roles: true})
      assert {plan.create, plan.skipped} == {["New"], []}
      refute Plan.empty?(plan)
    end
  end

  describe "nicknames" do
    defp nick(user, member, settings, applied \\ Plan.nothing_applied(), guild \\ guild()) do
      plan = Plan.plan(user, @link, member, guild, settings([nickname: "{display_name}"] ++ settings), applied)
      {plan.nick, plan.skipped}
    end

    test "follow Uro" do
      assert nick(user(), member(), []) == {{:set, "Ada"}, []}
      assert nick(user(), member(nick: "Ada"), []) == {:keep, []}
      assert nick(user(display_name: "Lady"), member(nick: "Ada"), [], applied(nick_set: "Ada")) == {{:set, "Lady"}, []}
    end

    test "that somebody has changed are put back, or left" do
      applied = applied(nick_set: "Ada")
      assert nick(user(), member(nick: "Bob"), [], applied) == {{:set, "Ada"}, []}
      leave = [nickname_changed: :leave]
      assert nick(user(), member(nick: "Bob"), leave, applied) == {:keep, [{:nickname, :changed_by_hand}]}
      assert nick(user(), member(nick: nil), leave, applied) == {:keep, [{:nickname, :changed_by_hand}]}
      # One that is ours follows, and the first is always set.
      assert nick(user(display_name: "Lady"), member(nick: "Ada"), leave, applied) == {{:set, "Lady"}, []}
      assert nick(user(), member(nick: "Bob"), leave) == {{:set, "Ada"}, []}
    end

    test "of the owner, of whoever is higher, and without the permission are left, and said once they are otherwise" do
      assert nick(user(), member(id: @owner), []) == {:keep, [{:nickname, :owner}]}
      assert nick(user(), member(id: @owner, nick: "Ada"), []) == {:keep, []}
      assert nick(user(), member(roles: [id(9)]), []) == {:keep, [{:nickname, :above_bot}]}
      assert nick(user(), member(roles: [id(0)]), []) == {:keep, [{:nickname, :above_bot}]}
      none = guild(%{bot: "0"})
      assert nick(user(), member(), [], Plan.nothing_applied(), none) == {:keep, [{:nickname, :no_permission}]}
      # The owner can have roles.
      plan = Plan.plan(user(), @link, member(id: @owner), guild(), settings(roles: [{:linked, id(1)}]))
      assert plan.add == [id(1)]
    end

    test "that Discord makes another name of are not asked for again and again" do
      applied =
        Plan.applied(%Plan{guild_id: "1", discord_id: "2", nick: {:set, "Ada"}}, Plan.nothing_applied(), nil, "A d a")

      assert nick(user(), member(nick: "A d a"), [], applied) == {:keep, [{:nickname, :altered}]}
      assert nick(user(display_name: "Lady"), member(nick: "A d a"), [], applied) == {{:set, "Lady"}, []}
      assert nick(user(), member(nick: "Bob"), [], applied) == {{:set, "Ada"}, []}
    end

    test "go back to what they were, if they are ours" do
      back = fn member, applied ->
        Plan.plan(user(), nil, member, guild(), settings(nickname: "{display_name}"), applied).nick
      end

      assert back.(member(nick: "Ada"), applied(nick_set: "Ada", nick_before: "Countess")) == {:set, "Countess"}
      assert back.(member(nick: "Ada"), applied(nick_set: "Ada")) == :reset
      # He joined with it.
      assert back.(member(nick: "Ada"), Plan.nothing_applied()) == :reset
      assert back.(member(nick: "By hand"), applied(nick_set: "Ada", nick_before: "Countess")) == :keep
      assert back.(member(nick: nil), applied(nick_set: "Ada", nick_before: "Countess")) == :keep
    end

    test "of a locked user stay, and without a template nothing is said" do
      assert nick(user(locked?: true), member(nick: "Bob"), []) == {:keep, []}
      assert nick(user(), member(nick: "Bob"), nickname: nil) == {:keep, []}
    end

    test "hold what Discord forbids in no value, and are never longer than it takes" do
      for _ <- 1..500 do
        name = random_text()
        nick = Nickname.fill("{display_name}", user(display_name: name))

        if nick do
          assert Length.of(nick) in 1..Nickname.limit()
          assert nick == String.trim(nick)
          refute nick =~ ~r/[@#:]|```|discord|[\x{200B}-\x{200F}]|\s\s/iu
          # Whole graphemes of what was there, and perhaps an ellipsis.
          assert String.valid?(nick)
          # What is set is what is compared with.
          assert Nickname.fill("{display_name}", user(display_name: nick)) == nick
        end
      end
    end

    test "cost what is looked at, whatever a user is called" do
      huge = String.duplicate("disc@ord", 500_000)
      {micros, nick} = :timer.tc(fn -> Nickname.fill("{display_name}", user(display_name: huge)) end)
      assert nick == nil or Length.of(nick) <= 32
      assert micros < 1_000_000
    end

    test "without any value are none" do
      assert Nickname.fill("[{attributes.tag}] {display_name}", user(display_name: nil)) == nil
      assert Nickname.fill("{display_name|username}", user(display_name: " ")) == "ada"
      assert Nickname.fill("{attributes.level}", user(attributes: %{"level" => 3})) == "3"
      assert Nickname.fill("{display_name}", user(display_name: "everyone")) == nil
    end
  end

  describe "whatever the user, the member and the rules are" do
    test "a plan that was carried out leaves nothing to do, and touches nothing that is not ours" do
      for _ <- 1..2_000 do
        guild = guild(%{2 => %{"managed" => true}})
        rules = random_rules()
        settings = settings(roles: rules, nickname: Enum.random([nil, "{display_name}", "[{attributes.a}] {username}"]))
        user = Enum.random([nil, random_user(), random_user(), random_user()])

        member =
          member(roles: Enum.take_random(Enum.map(0..9, &id/1), :rand.uniform(6)), nick: Enum.random([nil, "Ada", "x"]))

        plan = Plan.plan(user, @link, member, guild, settings)
        after_it = carry_out(plan, member)
        applied = Plan.applied(plan, Plan.nothing_applied(), member.nick, after_it.nick)

        assert Plan.empty?(Plan.plan(user, @link, after_it, guild, settings, applied)), inspect({plan, member, rules})

        ours = Mapping.all(rules)
        assert (member.roles -- after_it.roles) -- ours == []
        assert (after_it.roles -- member.roles) -- ours == []
        # Managed, above the bot, and twice the same: none of it.
        for id <- plan.add ++ plan.remove, do: assert(Guild.assignable(guild, id) == :ok)
        assert Enum.uniq(after_it.roles) == after_it.roles
        assert plan.add -- member.roles == plan.add and plan.remove -- member.roles == []

        # Taken back, all of ours that can be is gone, and the name is as it was.
        release = Plan.plan(user, nil, after_it, guild, settings, applied)
        released = carry_out(release, after_it)
        for id <- released.roles, id in ours, do: assert({:error, _} = Guild.assignable(guild, id))
        if match?({:set, _}, plan.nick), do: assert(released.nick == member.nick)
      end
    end

    defp carry_out(plan, member) do
      case Plan.request(plan, member) do
        :nothing ->
          member

        {:give, role} ->
          %{member | roles: member.roles ++ [role]}

        {:take, role} ->
          %{member | roles: member.roles -- [role]}

        {:patch, body} ->
          %{member | roles: Map.get(body, "roles", member.roles), nick: Map.get(body, "nick", member.nick)}
      end
    end

    defp random_rules do
      for _ <- 1..:rand.uniform(6)//1 do
        predicate = Enum.random([:linked, {:attribute, "a", "1"}, {:group, "g"}, {:not, {:group, "g"}}, {:any, []}])
        {predicate, id(:rand.uniform(9))}
      end
    end

    defp random_user do
      struct!(user(),
        groups: Enum.take_random(["g", "h"], 1),
        attributes: %{"a" => Enum.random(["1", "2"])},
        locked?: :rand.uniform(5) == 1
      )
    end
  end

  defp random_text do
    pieces = [
      "a",
      "Ada",
      " ",
      "@",
      "#",
      ":",
      "`",
      "discord",
      "DISC",
      "ord",
      "👨‍👩‍👧",
      "e\u0301",
      "\u200B",
      "\u202E",
      "ß",
      "文",
      "\n",
      "🇩🇪",
      "here",
      "\u0301"
    ]

    for(_ <- 1..:rand.uniform(40), do: Enum.random(pieces)) |> Enum.join()
  end
end
