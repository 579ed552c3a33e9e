defmodule UroDiscord.Portal.ConfigTest do
  use ExUnit.Case, async: true
  alias UroDiscord.{Config, ConfigError, Secret}

  @token "MTIzNDU2Nzg5MDEyMzQ1Njc.AAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaa"
  @key "hunter2-hunter2-hunter2-hunter2-hunter2"
  @old "swordfish-swordfish-swordfish-swordfish"
  @lobby "1100000000000000003"

  defp config(portal, more \\ []) do
    [token: @token, channels: [lobby: @lobby], intents: [:guilds, :guild_voice_states], web: [port: 0], portal: portal]
    |> Keyword.merge(more)
    |> Config.new()
  end

  defp problem(portal, more \\ []) do
    assert {:error, %ConfigError{problems: [problem]} = error} = config(portal, more)
    message = Exception.message(error)
    assert message =~ problem.allowed and message =~ problem.example
    refute message =~ "hunter2"
    refute message =~ "swordfish"
    {problem.key, problem.wrong}
  end

  test "the least has a default for everything else; without a key there is none" do
    assert {:ok, %{portal: %{key: nil, open: []}}} = Config.new(token: @token)
    assert {:ok, %{portal: portal}} = config(key: @key)
    assert %{udp: %{ip: [{0, 0, 0, 0}], port: 7_882}, origins: [], public_addresses: [], public_url: nil} = portal
    assert portal.share == :linked and portal.message
    assert portal.discord_video == false

    assert portal.limits == %{
             portal_peers: 64,
             subject_peers: 8,
             token_peers: 4,
             address_peers: 32,
             packets: 2_000,
             bits: 12_000_000
           }

    assert portal |> Config.Portal.keys_of() |> Enum.map(&Secret.reveal/1) == [@key]
  end

  test "the first key signs, and all are good" do
    assert {:ok, %{portal: portal}} = config(key: @key, keys: [@old])
    assert portal |> Config.Portal.keys_of() |> Enum.map(&Secret.reveal/1) == [@key, @old]
    refute inspect(portal, structs: false, limit: :infinity) =~ "hunter2"
    refute :io_lib.format("~p", [portal]) |> IO.iodata_to_binary() =~ "swordfish"
  end

  test "what opens by itself has the ids of its channel and its world" do
    assert {:ok, %{portal: %{open: open}}} =
             config(key: @key, open: [[id: "lobby", channel: :lobby, world: 7, when: :people]])

    assert open == [%{id: "lobby", channel: @lobby, world: "7", when: :people, bots: false}]
  end

  test "addresses and origins" do
    assert {:ok, %{portal: portal}} =
             config(
               key: @key,
               udp: [ip: ["127.0.0.1", "::1"], port: 0],
               public_addresses: ["203.0.113.5", "2001:DB8::5"],
               origins: ["https://V-Sekai.org:443", "http://127.0.0.1:8080/", "http://[::1]"],
               public_url: "https://uro.example/"
             )

    assert portal.udp == %{ip: [{127, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 1}], port: 0}
    assert portal.public_addresses == ["203.0.113.5", "2001:db8::5"]
    # As browsers write them, who leave the usual port out.
    assert portal.origins == ["https://v-sekai.org", "http://127.0.0.1:8080", "http://[::1]"]
    assert portal.public_url == "https://uro.example"
  end

  test "what is wrong is said with its key, and no secret" do
    other = "1100000000000000004"

    for {portal, key, wrong} <- [
          {[key: "hunter2"], "portal.key", "has 7 bytes (not shown)"},
          {[key: @key <> <<0xFF>>], "portal.key", "is not valid UTF-8 (not shown)"},
          {[key: :hunter2], "portal.key", "is not a string (not shown)"},
          {[key: @key, keys: "swordfish"], "portal.keys", "is not a list (not shown)"},
          {[key: @key, keys: ["swordfish"]], "portal.keys", "one of them has 9 bytes (not shown)"},
          {[key: @key, keys: [nil]], "portal.keys", "one of them nil is in it"},
          {[key: @key, udp: [port: 70_000]], "portal.udp.port", "is 70000; it may be an integer from 0 to 65535"},
          {[key: @key, udp: [ip: "localhost"]], "portal.udp.ip",
           ~s(is "localhost"; it may be an IP address without a port)},
          {[key: @key, udp: [ip: []]], "portal.udp.ip", "is []; it may be an IP address"},
          {[key: @key, public_addresses: ["uro.example"]], "portal.public_addresses",
           ~s(is "uro.example"; it may be an IP address without a port)},
          {[key: @key, public_addresses: ["0.0.0.0"]], "portal.public_addresses",
           ~s(is "0.0.0.0"; it may be an IP address that peers can reach; as udp: [ip:] it may be "0.0.0.0")},
          {[key: @key, public_url: "https://uro.example/portal/"], "portal.public_url",
           ~s(is "https://uro.example/portal/"; it may be a URL without /portal at its end)},
          {[key: @key, public_url: "https://uro.example?a=b"], "portal.public_url",
           ~s(is "https://uro.example?a=b"; it may be a URL without ? and #)},
          {[key: @key, origins: ["https://v-sekai.org/page"]], "portal.origins",
           ~s(is "https://v-sekai.org/page"; it may be an origin such as "https://v-sekai.org", without a path)},
          {[key: @key, limits: [token_peers: 0]], "portal.limits.token_peers",
           "is 0; it may be an integer from 1 to 10000"},
          {[key: @key, limits: [packets: 99]], "portal.limits.packets",
           "is 99; it may be an integer from 100 to 1000000"},
          {[key: @key, limits: [bits: 5_000_000_000]], "portal.limits.bits",
           "is 5000000000; it may be an integer from 200000 to 4000000000"},
          {[key: @key, share: true], "portal.share", "is true; it may be :linked or :members or false"},
          {[key: @key, message: :lobby], "portal.message", "is :lobby; it may be true or false"},
          {[key: @key, discord_video: :on], "portal.discord_video", "is :on; it may be true or false"},
          {[key: @key, close_after: -1], "portal.close_after", "is -1; it may be an integer from 0 to 86400000"},
          {[key: @key, open: [[id: "Lobby", channel: :lobby]]], "portal.open",
           ~s(id: is "Lobby"; it may be 1 to 64 of a to z, 0 to 9, _ and -, the first a letter or a digit)},
          {[key: @key, open: [[id: "lobby"]]], "portal.open",
           "channel: is nil; it may be a name of `channels:`, or a channel's id"},
          {[key: @key, open: [[id: "lobby", channel: :lobby, when: :often]]], "portal.open",
           "when: is :often; it may be :always or :people"},
          {[key: @key, open: [[id: "lobby", chanel: :lobby]]], "portal.open",
           ":chanel is none of id, channel, world, when, bots"},
          {[key: @key, open: [id: "a", channel: :lobby]], "portal.open",
           "is a list (not shown); it may be a list of portals: put one more pair of brackets around this one"},
          {[key: @key, open: [[id: "a", channel: :lobby], [id: "a", channel: other]]], "portal.open",
           ~s("a" is there twice)},
          {[key: @key, open: [[id: "a", channel: :lobby], [id: "b", channel: @lobby]]], "portal.open",
           "b has the channel of a, and a channel has one portal"},
          {[key: @key, open: [[id: "a", channel: :lounge]]], "portal.open",
           "a names :lounge, which is not in `channels:` (there: :lobby)"},
          {[open: [[id: "a", channel: :lobby]]], "portal.key", "is missing, and portal.open needs it"}
        ] do
      assert problem(portal) == {key, wrong}
    end

    assert problem([key: @key], web: []) ==
             {"web.port", "is missing, and portals need it: their peers come by HTTP first"}

    apart = [{:local, roles: [:http]}, {:node, :m@h, roles: [:gateway]}]
    assert {:bridges, "has portals on :m@h without a url: for it" <> _} = problem([key: @key], bridges: apart)
    several = [{:local, []}, {:node, :m@h, roles: [:media], url: "https://m.uro.example"}]
    assert {:bridges, "has portals on :local without a url: for it" <> _} = problem([key: @key], bridges: several)
    # Voice and portals come by the gateway.
    assert problem([key: @key], gateway: false) == {:gateway, "is false; it may be a keyword list"}
    assert problem([key: @key], bridges: [{:local, roles: [:http]}]) |> elem(1) =~ "no bridge with the role :gateway"
    assert problem([key: @key], intents: [:guilds]) == {:intents, "lacks :guild_voice_states, which portals need"}
    {:error, %{problems: [%{example: example}]}} = config([key: @key], intents: [:guilds])
    assert example =~ ":guild_voice_states"
  end

  test "every option is printed, with the whole of its name" do
    Mix.shell(Mix.Shell.Process)
    on_exit(fn -> Mix.shell(Mix.Shell.IO) end)
    Mix.Task.rerun("uro_discord.config.options")
    assert_received {:mix_shell, :info, ["portal.udp.port: the UDP port for all peers" <> _]}
    assert_received {:mix_shell, :info, ["web.port: " <> _]}
  end
end
