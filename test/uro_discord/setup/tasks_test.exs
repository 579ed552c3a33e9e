defmodule UroDiscord.Setup.TasksTest do
  # The tasks, which read the application's environment and write to Mix's shell; and a release, in a VM of its own.
  use UroDiscord.Case, async: false
  import ExUnit.CaptureIO

  alias UroDiscord.JSON
  alias UroDiscord.Setup.{Doctor, Invite}

  setup do
    sim = start_sim!()
    config = sim |> DiscordSim.config() |> Keyword.put(:channels, news: sim.info["channels"]["announcements"])
    for {key, value} <- config, do: Application.put_env(:uro_discord, key, value)
    on_exit(fn -> for {key, _value} <- config, do: Application.delete_env(:uro_discord, key) end)
    Mix.shell(Mix.Shell.Process)
    on_exit(fn -> Mix.shell(Mix.Shell.IO) end)
    {:ok, sim: sim, config: config}
  end

  test "mix uro_discord.invite prints the link, and of each permission what it is for", %{sim: sim} do
    Mix.Tasks.UroDiscord.Invite.run([])
    assert_received {:mix_shell, :info, [text]}
    assert [link | _] = String.split(text, "\n")

    assert %{"client_id" => id, "permissions" => "117760"} =
             link |> URI.parse() |> Map.fetch!(:query) |> URI.decode_query()

    assert id == sim.info["application_id"]
    assert text =~ "View Channels (notifications: sees the channel)"
    refute text =~ "guild_id"

    Application.put_env(:uro_discord, :board, voice_channels: [sim.info["channels"]["lobby"]])
    on_exit(fn -> Application.delete_env(:uro_discord, :board) end)
    Mix.Tasks.UroDiscord.Invite.run(["--guild", "1300000000000000100"])
    assert_received {:mix_shell, :info, [text]}
    assert text =~ "guild_id=1300000000000000100"
    assert text =~ ~r/in these channels only:\n  Manage Channels in \d+ \(the status of a voice channel: /

    assert_raise Mix.Error, ~r/is no server's id/, fn -> Mix.Tasks.UroDiscord.Invite.run(["--guild", "home"]) end
    assert capture_io(fn -> Invite.run() end) =~ "client_id=#{id}"
    Application.delete_env(:uro_discord, :token)
    assert_raise Mix.Error, ~r/token: is missing/, fn -> Mix.Tasks.UroDiscord.Invite.run([]) end
  end

  test "mix uro_discord.doctor says what it found, and ends as that is", %{sim: sim} do
    assert capture_io(fn -> assert Mix.Tasks.UroDiscord.Doctor.run([]) == :ok end) =~ "Discord knows it: the bot is uro"
    Application.put_env(:uro_discord, :channels, rules: sim.info["channels"]["rules"])

    text = capture_io(fn -> assert catch_exit(Mix.Tasks.UroDiscord.Doctor.run([])) == {:shutdown, 1} end)
    assert text =~ ~r/^  wrong    channel: :rules .*lacks Send Messages/m
    # No colour where there is no terminal.
    refute text =~ "\e["

    json = capture_io(fn -> assert catch_exit(Mix.Tasks.UroDiscord.Doctor.run(["--json"])) == {:shutdown, 1} end)
    assert {:ok, %{"exit_status" => 1, "findings" => findings}} = JSON.decode(json)
    assert %{"state" => "wrong", "advice" => _} = Enum.find(findings, &(&1["check"] == "channel"))

    Application.put_env(:uro_discord, :api_url, "http://127.0.0.1:1/api/v10")
    text = capture_io(fn -> assert catch_exit(Mix.Tasks.UroDiscord.Doctor.run([])) == {:shutdown, 2} end)
    assert text =~ ~r"^  unknown  discord: Discord was not reached at http://127.0.0.1:1/api/v10"m
    assert catch_exit(Mix.Tasks.UroDiscord.Doctor.run(["--jsn"])) == {:shutdown, 2}
    assert_received {:mix_shell, :error, [usage]}
    assert usage =~ "--jsn is not understood"
  end

  test "a server that is off is told", %{config: config} do
    Application.put_env(:uro_discord, :enabled, false)
    findings = Doctor.findings()
    assert %{state: :warning} = Enum.find(findings, &(&1.check == :configuration))
    Application.put_env(:uro_discord, :enabled, config[:enabled])
  end

  test "in a server it looks at what that one was started with", %{sim: sim} do
    start_uro_discord!(sim, channels: [rules: sim.info["channels"]["rules"]])
    assert [%{state: :wrong, found: found}] = Enum.filter(Doctor.findings(), &(&1.check == :channel))
    assert found =~ ":rules"
  end

  test "it knows UroDiscord by how it answers", %{sim: sim} do
    start_uro_discord!(sim, web: [port: 0])

    url = eventually(fn -> with({:ok, %{web: %{url: url}}} <- UroDiscord.status(), do: url, else: (_ -> nil)) end)
    accounts = [directory: UroDiscord.TestDirectory, client_secret: "0123456789abcdef", public_url: url]
    findings = Doctor.findings(accounts: accounts)
    assert %{state: :ok, found: found} = Enum.find(findings, &(&1.check == :public_url))
    assert found == "UroDiscord answers at #{url}"
  end

  test "colours, on a terminal" do
    Application.put_env(:elixir, :ansi_enabled, true)
    on_exit(fn -> Application.put_env(:elixir, :ansi_enabled, false) end)
    text = Doctor.Report.render([Doctor.Finding.wrong(:token, "is none", "get one")], false)
    assert text =~ IO.ANSI.red() <> "wrong  " <> IO.ANSI.reset()
  end

  # As `bin/uro eval` does it: no Mix, nothing started; once with what was built, and once without it.
  @tag :tmp_dir
  test "in a release, also where the NIF and the bridge are missing", %{tmp_dir: folder, config: config} do
    built = Application.app_dir(:uro_discord)
    app = Path.join(folder, "uro_discord")
    File.mkdir_p!(Path.join(app, "priv/native"))
    File.cp_r!(Path.join(built, "ebin"), Path.join(app, "ebin"))

    script = """
    for {key, value} <- #{inspect(config)}, do: Application.put_env(:uro_discord, key, value)
    System.halt(UroDiscord.Setup.Doctor.run(json: true))
    """

    run = fn app -> System.cmd("elixir", ["-pa", Path.join(app, "ebin"), "-e", script], stderr_to_stdout: true) end
    assert {json, 0} = run.(built)
    assert {:ok, %{"exit_status" => 0}} = JSON.decode(json)

    assert {text, 1} = run.(app)
    assert text =~ ~r/^  wrong    nif: there is no .*uro_discord_nif\.so\n.*URO_DISCORD_NATIVE/m
    assert text =~ ~r/^  wrong    bridge: it does not start: .*no such file/m
    assert text =~ ~r/^  unknown  discord: Discord was not asked/m

    File.write!(Path.join(app, "priv/native/uro_discord_nif.so"), "no library")
    assert {text, 1} = run.(app)
    assert text =~ ~r/^  wrong    nif: .*is there, and cannot be loaded/m
  end
end
