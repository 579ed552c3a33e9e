defmodule UroDiscord.Notify.Message.MentionsTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Error
  alias UroDiscord.Notify.Message

  @id 1_100_000_000_000_000_001

  defp allowed(given) do
    case Message.new(content: "hi", allowed_mentions: given) do
      {:ok, [message]} -> message.body["allowed_mentions"]
      {:error, %Error{kind: :invalid} = error} -> {error.field, error.message}
    end
  end

  test "nobody by default" do
    for nobody <- [nil, [], %{}, [parse: []], %{"parse" => nil}],
        do: assert(allowed(nobody) == %{"parse" => []})
  end

  test "kinds in short, as atoms or strings" do
    assert allowed([:users, :roles, :everyone]) == %{"parse" => ["users", "roles", "everyone"]}
    assert allowed(["users", :users]) == %{"parse" => ["users"]}
  end

  test "in full, as Discord has it" do
    assert allowed(parse: [:roles], users: [@id, "#{@id}"], replied_user: true) ==
             %{"parse" => ["roles"], "users" => ["#{@id}"], "replied_user" => true}

    assert allowed(%{"roles" => ["#{@id}"], "replied_user" => false}) ==
             %{"parse" => [], "roles" => ["#{@id}"], "replied_user" => false}
  end

  test "a kind that is parsed has no list, but an empty one" do
    for kind <- [:users, :roles] do
      assert allowed(%{:parse => [kind], kind => []}) == %{
               "parse" => ["#{kind}"],
               "#{kind}" => []
             }

      assert allowed(%{:parse => [kind], kind => [@id]}) ==
               {"allowed_mentions.#{kind}", "lists ids while parse has #{kind}; only one of them may"}
    end
  end

  test "100 ids of each kind, and not one more" do
    ids = Enum.to_list(@id..(@id + 99))

    for kind <- [:users, :roles] do
      assert length(allowed([{kind, ids}])["#{kind}"]) == 100

      assert allowed([{kind, [@id - 1 | ids]}]) ==
               {"allowed_mentions.#{kind}", "has 101 entries; 100 is the limit"}
    end
  end

  test "three kinds, and not one more" do
    assert allowed([:users, :roles, :everyone, :users]) ==
             {"allowed_mentions", "has 4 entries; 3 is the limit"}
  end

  test "refused" do
    assert allowed([:here]) ==
             {"allowed_mentions.0", "is :here; it may be one of users, roles, everyone"}

    assert allowed(parse: [:users, "@everyone"]) ==
             {"allowed_mentions.parse.1", "is \"@everyone\"; it may be one of users, roles, everyone"}

    assert allowed(users: ["general"]) ==
             {"allowed_mentions.users.0", "is \"general\"; it may be an id (17 to 20 digits)"}

    assert allowed(user: [@id]) ==
             {"allowed_mentions.user", "is not a field of allowed_mentions; did you mean users?"}

    assert {"allowed_mentions", "is :all; it may be a map or keyword list (allowed_mentions)"} = allowed(:all)
  end
end
