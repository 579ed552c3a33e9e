defmodule UroDiscord.Accounts.PagesTest do
  use ExUnit.Case, async: true

  alias UroDiscord.Accounts.Link
  alias UroDiscord.{Config, TestDirectory}
  alias UroDiscord.Web.{LinkPages, Page}

  doctest Page

  @token "MTEwMDAwMDAwMDAwMDAwMDAwMQ.GabcDe.abcdefghijklmnopqrstuvwxyz0123456789-_"
  @hostile ~s|@<img src=x onerror="alert(1)">'&|

  defp config, do: Config.new!([token: @token] ++ TestDirectory.accounts())

  defp link(username),
    do: %Link{
      user_id: "u",
      discord_id: "1100000000000000901",
      username: username,
      linked_at: ~U[2026-11-29 12:00:00.000Z]
    }

  test "what comes from Discord, and what people call themselves, is text, wherever it stands" do
    TestDirectory.put("hostile", display_name: @hostile)

    for outcome <- [
          {:linked, :new, link(@hostile), [], nil},
          {:has_link, %{link("@ada") | user_id: "hostile"}},
          {:has_link, link(@hostile)},
          {:clash, :user, link(@hostile)},
          {:clash, :account, @hostile},
          {:other_account, @hostile},
          {:other_login, @hostile},
          {:refused, @hostile},
          {:not_logged_in, "/link?for=#{@hostile}"}
        ] do
      %{body: body, status: status} = LinkPages.response(outcome, config())
      assert status in [200, 401, 403, 409, 502]
      refute body =~ "<img" or body =~ ~s|"alert|
      assert Regex.scan(~r/<(\w+)/, body) |> Enum.map(&List.last/1) |> Enum.uniq() |> Enum.all?(&(&1 in known()))
    end
  end

  defp known, do: ~w(html head meta title style body main h1 p ul li div a form button)

  test "every outcome is a whole page that says what to do, or whom to ask" do
    outcomes =
      ~w(locked unknown_user personal_link_over denied code_refused misconfigured too_often later not_from_here may_not_add_bot)a ++
        [
          {:has_none, true},
          {:has_none, false},
          {:missing_scopes, ["guilds.join"]},
          {:login_over, nil},
          {:login_over, link("@ada")}
        ]

    for outcome <- outcomes do
      %{body: body} = LinkPages.response(outcome, config())
      assert body =~ ~r{\A<!DOCTYPE html><html lang="en">.*<h1>[^<]+</h1><p>.*</main></body></html>\n\z}s
      assert body =~ "/discord/link" or body =~ "admin"
      # What the address has of the host stays out of the page.
      refute body =~ "uro.example"
    end
  end

  test "of each server it is said what became of it" do
    outcomes = [:joined, :there, :full, :banned, :relink, :refused, :not_there, :unlinked, :later]
    joined = for {outcome, n} <- Enum.with_index(outcomes), do: {"110000000000000010#{n}", outcome}
    %{body: body} = LinkPages.response({:linked, :new, link("@ada"), joined, nil}, config())
    assert length(Regex.scan(~r/<li>[^<]*the server 110000000000000010\d/, body)) == length(outcomes)
    assert body =~ "Open Discord"
    %{body: body} = LinkPages.response({:linked, :new, link("@ada"), [{"1100000000000000100", :banned}], nil}, config())
    assert body =~ "linked all the same"
  end
end
