defmodule UroDiscord.Accounts.Tasks.WalkTest do
  use ExUnit.Case, async: true
  alias UroDiscord.Accounts.{Link, Member}
  alias UroDiscord.Accounts.Tasks.Walk
  alias UroDiscord.Error

  # Servers as lists of ids, and links as one; asked for, 1,000 at a time, as Discord and the store answer. Ids have one digit to seven: as texts they are in another order.
  defp reads(links, guilds) do
    test = self()

    %{
      links: fn cursor -> {:ok, for(id <- page(links, cursor && String.to_integer(cursor)), do: link(id))} end,
      members: fn guild_id, after_id ->
        send(test, {:page, guild_id, after_id})
        {:ok, for(id <- page(guilds[guild_id], after_id), do: %Member{guild_id: guild_id, id: "#{id}"})}
      end
    }
  end

  defp page(ids, after_id), do: ids |> Enum.sort() |> Enum.filter(&(&1 > (after_id || 0))) |> Enum.take(1_000)

  defp link(id), do: %Link{user_id: "u#{id}", discord_id: "#{id}", username: "@x", linked_at: DateTime.utc_now()}

  defp walk(walk, reads) do
    case Walk.next(walk, reads) do
      {:ok, entries, walk} ->
        # A run that ended here goes on with the cursor alone.
        walk = if :rand.uniform(3) == 1, do: Walk.new(walk.cursor, for(guild <- walk.guilds, do: guild.id)), else: walk
        for({link, members} <- entries, do: {link.discord_id, Enum.map(members, & &1.guild_id)}) ++ walk(walk, reads)

      {:done, _walk} ->
        []
    end
  end

  defp pages(count \\ 0) do
    receive do
      {:page, _guild_id, _after} -> pages(count + 1)
    after
      0 -> count
    end
  end

  test "each link comes once, in order, with the servers that its account is in" do
    for _ <- 1..20 do
      everybody = Enum.uniq(for _ <- 1..:rand.uniform(4_000), do: :rand.uniform(3_000_000))
      some = fn -> Enum.take_random(everybody, :rand.uniform(length(everybody))) end
      guilds = Map.new(1..:rand.uniform(4), &{"g#{&1}", some.()})
      links = some.()
      sets = Map.new(guilds, fn {id, members} -> {id, MapSet.new(members)} end)
      expected = for id <- Enum.sort(links), do: {"#{id}", for({guild_id, set} <- sets, id in set, do: guild_id)}
      assert walk(Walk.new(nil, Map.keys(guilds)), reads(links, guilds)) == expected
    end
  end

  test "a page is asked for a thousand members, none behind the last link, and none where nobody is linked" do
    members = Enum.to_list(1..10_000)
    straight = fn links -> links |> reads(%{"g" => members}) |> through(Walk.new(nil, ["g"])) end
    assert {10_000, 10} == {straight.(members), pages()}
    assert {1, 1} == {straight.([9_000]), pages()}
    assert {2, 2} == {straight.([5, 7_000]), pages()}
    assert {0, 0} == {straight.([]), pages()}
  end

  defp through(reads, walk, count \\ 0) do
    case Walk.next(walk, reads) do
      {:ok, entries, walk} -> through(reads, walk, count + length(entries))
      {:done, _walk} -> count
    end
  end

  test "after an error nobody is passed over, and a server that is left out is not in the way" do
    reads = reads([1, 2, 3], %{"a" => [1, 2], "b" => [2, 3]})
    error = %Error{kind: :connect, message: "cut"}

    members = fn guild_id, after_id ->
      if guild_id == "b", do: {:error, error}, else: reads.members.(guild_id, after_id)
    end

    assert {:error, "b", ^error, walk} = Walk.next(Walk.new(nil, ["a", "b"]), %{reads | members: members})
    assert {:ok, entries, _walk} = Walk.next(walk, reads)
    assert [["a"], ["a", "b"], ["b"]] = for({_link, found} <- entries, do: Enum.map(found, & &1.guild_id))
    # What was read before the error is not asked for again.
    assert pages() == 2

    assert {:ok, entries, _walk} = walk |> Walk.without("b") |> Walk.next(reads)
    assert [["a"], ["a"], []] = for({_link, found} <- entries, do: Enum.map(found, & &1.guild_id))

    assert {:error, nil, ^error, _walk} =
             Walk.next(walk |> Map.put(:links, []), %{reads | links: fn _ -> {:error, error} end})
  end
end
