defmodule UroDiscord.ConfigTest do
  use ExUnit.Case, async: true
  import ExUnit.CaptureLog
  alias UroDiscord.{Config, ConfigError}

  doctest UroDiscord.Config
  doctest UroDiscord.Config.Checks
  doctest UroDiscord.Snowflake

  # "12345678901234567" in Base64, and two parts of nothing.
  @token "MTIzNDU2Nzg5MDEyMzQ1Njc.AAAAAA.aaaaaaaaaaaaaaaaaaaaaaaaaaa"
  @password "it has a user or a password before the @ (not shown), which are not used and would be in logs"

  defp problem(options) do
    assert {:error, %ConfigError{problems: [problem]} = error} = Config.new(options)
    message = Exception.message(error)
    assert message =~ "#{problem.key}: "
    assert message =~ problem.allowed
    assert message =~ problem.example
    {problem.key, problem.wrong}
  end

  test "the least configuration has a default for everything else" do
    assert {:ok, config} = Config.new(token: @token)
    assert config.enabled
    assert config.channels == %{}
    assert config.api_url == nil
  end

  test "a missing token" do
    assert {:token, "is missing"} = problem([])
  end

  test "without a token it is disabled only when told so" do
    assert {:ok, %Config{enabled: false, token: nil}} = Config.new(enabled: false)
    assert {:enabled, ~s(is "no"; it may be :auto, true or false)} = problem(enabled: "no", token: @token)
  end

  test "in a Mix task only what is wrong is left out, with what refers to it" do
    id = "1100000000000000001"
    github = [source: :github, secret: nil, rules: [[channel: :builds]]]
    options = [channels: [builds: id], feeds: [hub: github], announcements: [channel: :news], presence: "here"]

    log =
      capture_log(fn ->
        config = Config.start!(options)
        assert %{enabled: false, channels: %{builds: ^id}, feeds: feeds, presence: "here"} = config
        assert {feeds, config.announcements.channel} == {%{}, nil}
      end)

    assert log =~ "in a server this would stop the boot"
    assert log =~ "feeds: hub: has neither a secret (for webhooks) nor poll"
    assert log =~ ":news is not in `channels:`"

    capture_log(fn ->
      assert %{channels: %{}, announcements: %{channel: nil}} = Config.start!(Keyword.put(options, :channels, 5))
    end)
  end

  test "a wrong token is described, never shown" do
    for token <- [
          "hunter2-hunter2",
          "Bot " <> @token,
          "bm90LWFuLWlk.AAAA.secret-secret",
          @token <> "\n"
        ] do
      assert {:token, wrong} = problem(token: token)
      assert wrong == "has not the shape of a bot token (#{byte_size(token)} bytes, not shown)"
    end

    assert {:token, "is not a string (not shown)"} = problem(token: :"hunter2-hunter2")
  end

  test "an unknown key, with the one that was probably meant" do
    assert {:error, %ConfigError{problems: [problem]}} = Config.new(token: @token, chanels: [])
    assert problem.key == :chanels
    assert problem.example == "did you mean channels?"
  end

  test "the value of an unknown key is not shown: it may be a secret" do
    assert {:error, error} = Config.new(token: @token, tokn: "hunter2-hunter2")
    refute Exception.message(error) =~ "hunter2"
  end

  test "a channel that is not a snowflake" do
    assert {:channels, ~s(announcements is "general"; it may be a channel's id)} =
             problem(token: @token, channels: [announcements: "general"])

    assert {:channels, ~s(is "1100000000000000001"; it may be a keyword list or a map)} =
             problem(token: @token, channels: "1100000000000000001")

    assert {:ok, config} = Config.new(token: @token, channels: %{a: 1_100_000_000_000_000_001})
    assert config.channels == %{a: "1100000000000000001"}
  end

  test "wrong types and values elsewhere" do
    for {key, value, wrong} <- [
          {:intents, :guilds, "is :guilds; it may be a list"},
          {:intents, [:guild], ":guild is not an intent"},
          {:presence, 5, "is 5; it may be a string"},
          {:presence, String.duplicate("a", 129), "has 129 characters"},
          {:presence_idle, <<0xFF>>, "is not valid UTF-8"},
          {:api_url, "127.0.0.1:80", ~s(is "127.0.0.1:80"; it may be a URL that begins with https:// or http://)},
          {:gateway_url, "http://127.0.0.1",
           ~s(is "http://127.0.0.1"; it may be a URL that begins with wss:// or ws://)},
          {:api_url, "https://user:hunter2@127.0.0.1", @password},
          {:ca_file, "/nowhere.pem", ~s(there is no file "/nowhere.pem")},
          {:bridges, [], "is []; it may be a list with a bridge in it"},
          {:bridges, [:local, :local], "names :local twice"},
          {:bridges, [:local, {:node, :m@h}], "has two bridges with the role :http: give each its roles:"},
          {:bridges, [{:node, :m@h, roles: [:gateway]}], "has no bridge with the role :http"},
          {:bridges, [{:node, :media}], "is :media; it may be a node's name, such as :\"media1@10.0.0.5\""},
          {:bridges, [{:local, roles: [:media]}], "has no bridge with the role :gateway"},
          {:bridges, [{:local, roles: [:voice]}],
           ":local has roles: that are [:voice]; they may be some of [:gateway, :media, :http], each once"},
          {:bridges, [{:local, weight: 0}], ":local has a weight: that is 0; it may be an integer from 1 to 100"},
          {:bridges, [{:local, wait: 2}],
           ":local has options that are [wait: 2]; they may be roles:, weight:, url:, web:, udp:, public_addresses:"},
          {:bridges, [{:local, web: [connections: 2]}],
           ":local has a web: that is [connections: 2]; it may be a keyword list of ip, port, tls"},
          {:bridges, [{:local, udp: [port: -1]}],
           ":local has udp: [port:] that is -1; it may be an integer from 0 to 65535"},
          {:bridges, [{:local, roles: [:gateway, :http], weight: 2}, {:node, :m@h, roles: [:media]}],
           "gives :local options that are for the role :media"},
          {:bridge_media_workers, 0, "is 0; it may be an integer from 1 to 64"},
          {:bridge_restart, {0, 5},
           "is {0, 5}; it may be {first, longest}, two positive integers, the second not smaller than the first"},
          {:web, 4001, "is 4001; it may be a keyword list"},
          # Where a group belongs, what there is may have a secret in it.
          {:portal, %{key: "hunter2"}, "is a map (not shown); it may be a keyword list"},
          {:portal, [[key: "hunter2"]], "is a list (not shown); it may be a keyword list"},
          {:portal, ~c"hunter2", "is a list (not shown); it may be a keyword list"},
          {:accounts, "hunter2", "is a string (not shown); it may be a keyword list"},
          {:web, {:secret, "hunter2"}, "is a tuple (not shown); it may be a keyword list"}
        ] do
      assert {^key, ^wrong} = problem([{:token, @token}, {key, value}])
    end
  end

  test "files of the listener are looked for where its bridge is" do
    web = [port: 4001, tls: [certificate: "/nowhere.pem", key: "/nowhere.key"]]
    assert {:error, %ConfigError{problems: problems}} = Config.new(token: @token, web: web)
    assert [{"web.tls", ~s(there is no file "/nowhere.pem")}, {"web.tls", _}] = Enum.map(problems, &{&1.key, &1.wrong})
    assert {:ok, config} = Config.new(token: @token, web: web, bridges: [{:node, :m@h}])
    several = [{:node, :m@h}, {:node, :n@h, roles: [:gateway]}]
    assert {:ok, _config} = Config.new(token: @token, bridges: several)
    assert config.web.tls == %{certificate: "/nowhere.pem", key: "/nowhere.key"}
    assert {"web.tls", _} = problem(token: @token, web: [tls: [certificate: 1, key: 2]], bridges: [{:node, :m@h}])
  end

  test "a group has its defaults, its values and its problems" do
    assert {:ok, %{shards: %{source: :put, poll: 5_000, trusted: []}}} = Config.new(token: @token)
    url = "https://uro.example/api/v1/shards"
    assert {:ok, config} = Config.new(token: @token, shards: [source: {:http, url <> "/"}, poll: 1_000])
    assert config.shards.source == {:http, url}

    for {options, key, wrong} <- [
          {[source: :ftp], "shards.source", "is :ftp; it may be a source of shards"},
          {[source: {:http, "ftp://x"}], "shards.source",
           ~s(is "ftp://x"; it may be a URL that begins with https:// or http://)},
          {[source: {:http, "https://user:hunter2@uro.example"}], "shards.source", @password},
          {[source: {:http, nil}], "shards.source", "is {:http, nil}; it may be a source of shards"},
          {[source: {:uro, Enum, :nothing, []}], "shards.source", "there is no Enum.nothing/0"},
          {[poll: 5], "shards.poll", "is 5; it may be an integer from 100 to 3600000"},
          {[freshness: "30s"], "shards.freshness", ~s(is "30s"; it may be an integer from 1000 to 86400000)},
          {[telemetry_prefix: "uro"], "shards.telemetry_prefix", ~s(is "uro"; it may be a list of atoms)},
          {[pubsub: "Uro.PubSub"], "shards.pubsub", ~s(is "Uro.PubSub"; it may be a name)},
          {[pubsub: Uro.PubSub], "shards.pubsub", "there is no Phoenix.PubSub here, which Uro.PubSub would be one of"},
          {[trusted: [1]], "shards.trusted", "is [1]; it may be a list of strings"},
          {[trusted_only: 1], "shards.trusted_only", "is 1; it may be true or false"},
          {:uro, :shards, "is :uro; it may be a keyword list"},
          {[:uro], :shards, "is [:uro]; it may be a keyword list"}
        ] do
      assert {^key, ^wrong} = problem(token: @token, shards: options)
    end

    assert {:error, %ConfigError{problems: problems}} = Config.new(token: @token, shards: [surce: :uro, poll: 0])
    assert Enum.map(problems, & &1.key) == ["shards.surce", "shards.poll"]
    assert hd(problems).example == "did you mean source?"
  end

  test "where HTTP is served" do
    assert {:ok, %Config{web: %{port: nil, ip: {127, 0, 0, 1}, connections: 512}}} = Config.new(token: @token)

    assert {:ok, %Config{web: %{port: 0, ip: {0, 0, 0, 0, 0, 0, 0, 1}}}} =
             Config.new(token: @token, web: [port: 0, ip: "::1"])

    assert {"web.port", "is 65536; it may be a port"} = problem(token: @token, web: [port: 65_536])

    assert {"web.ip", ~s(is "localhost"; it may be an address)} =
             problem(token: @token, web: [port: 1, ip: "localhost"])
  end

  test "options that name channels have their ids, or say which name there is not" do
    id = "1100000000000000001"
    other = 1_100_000_000_000_000_002
    options = [token: @token, channels: [status: id]]

    assert {:ok, config} =
             Config.new(
               options ++
                 [board: [channels: [:status, other, id], voice_channels: [id]], announcements: [channel: :status]]
             )

    assert config.board.channels == [id, "1100000000000000002"]
    assert config.board.voice_channels == [id]
    assert config.announcements.channel == id
    assert {:ok, %{board: %{channels: []}, announcements: %{channel: nil}}} = Config.new(options)

    for {more, key, wrong} <- [
          {[board: [channels: [:stats]]], "board.channels", ":stats is not in `channels:` (there: :status)"},
          {[board: [voice_channels: [nil]]], "board.voice_channels", "is nil; it may be a channel"},
          {[board: [channels: ["general"]]], "board.channels", ~s(is "general"; it may be a channel)},
          {[board: [channels: :status]], "board.channels", "is :status; it may be a list"},
          {[board: [title: " "]], "board.title", "is blank"},
          {[board: [title: String.duplicate("x", 101)]], "board.title", "has 101 characters"},
          {[board: [interval: 999]], "board.interval", "is 999; it may be an integer from 1000 to 86400000"},
          {[board: [picture: 4_999]], "board.picture", "is 4999; it may be an integer from 5000 to 86400000, or nil"},
          {[announcements: [channel: :news]], "announcements.channel", ":news is not in `channels:` (there: :status)"},
          {[announcements: [per_hour: 0]], "announcements.per_hour", "is 0; it may be an integer from 1 to 1000"},
          {[join_link: "javascript:alert(1)"], :join_link, ~s|is "javascript:alert(1)"; it may be a http or https URL|},
          {[join_link: "https://v-sekai.org/{what}"], :join_link, "{what} is not a placeholder"},
          {[join_link: "https://{name}.evil.example/"], :join_link,
           ~s("https://{name}.evil.example/" has a placeholder before its path)},
          {[join_link: "https://x@{address}/"], :join_link,
           ~s("https://x@{address}/" has a placeholder before its path)}
        ] do
      assert problem(options ++ more) == {key, wrong}
    end
  end

  test "the presence is a template or a function" do
    assert {:ok, %{presence: function}} = Config.new(token: @token, presence: &Enum.count/1)
    assert is_function(function, 1)

    assert {:ok, %{presence: nil, presence_uncounted: nil}} =
             Config.new(token: @token, presence: nil, presence_uncounted: nil)

    assert {:presence, "{playrs} stands for nothing; there are " <> _} = problem(token: @token, presence: "{playrs}")
    assert {:presence, wrong} = problem(token: @token, presence: &Enum.map/2)
    assert wrong =~ "it may be a string"
    assert {:presence_uncounted, _} = problem(token: @token, presence_uncounted: &Enum.count/1)
  end

  test "every problem is told at once" do
    assert {:error, %ConfigError{problems: problems}} = Config.new(channels: 1, intents: 2, foo: 3)

    assert problems |> Enum.map(& &1.key) |> Enum.sort() == [:channels, :foo, :intents, :token]
  end

  test "intents are the bits that Discord documents" do
    assert Config.Checks.intent_bits([:guilds, :guild_messages, :message_content]) ==
             1 + 512 + 32_768
  end

  test "the token does not show when a configuration is printed, by Elixir or by Erlang" do
    {:ok, config} = Config.new(token: @token)
    refute inspect(config, structs: false, limit: :infinity) =~ @token
    refute :io_lib.format("~p", [config]) |> IO.iodata_to_binary() =~ @token
    assert UroDiscord.Secret.reveal(config.token) == @token
  end

  describe "config/config.exs" do
    @sample "config/config.exs"

    test "changes nothing of what is so without it, and leaves out no option" do
      assert [uro_discord: given] = Elixir.Config.Reader.read!(@sample, env: :test)
      assert Config.new!([enabled: false] ++ Keyword.delete(given, :enabled)) == Config.new!(enabled: false)
      text = File.read!(@sample)

      for option <- Config.Schema.options(),
          %{key: key} <- all(option),
          do: assert(text =~ ~r/^ +(# )?#{key}: /m, "#{key} is not in #{@sample}")
    end

    defp all(option), do: [option | Enum.flat_map(option.options || [], &all/1)]

    test "has examples that can be used as they stand" do
      examples = Regex.replace(~r/^( +)# ([a-z_]+: .*,)$/m, File.read!(@sample), "\\1\\2")
      path = Path.join(System.tmp_dir!(), "uro_discord-sample-#{System.unique_integer([:positive])}.exs")
      File.write!(path, examples)
      on_exit(fn -> File.rm!(path) end)

      assert [uro_discord: given] = Elixir.Config.Reader.read!(path, env: :test)
      given = Keyword.merge(given, enabled: true, token: @token, channels: [announcements: "1100000000000000001"])
      assert {:error, %ConfigError{problems: problems}} = Config.new(given)

      # What the host brings: its Repo, its files, and a PubSub, which another test may have made. The bridge of `bridges:` brings those of `web: [tls:]`.
      keys = for %{key: key} <- problems, to_string(key) != "shards.pubsub", do: to_string(key)
      assert Enum.sort(keys) == ["bridge_executable", "ca_file", "repo"]
    end
  end
end
