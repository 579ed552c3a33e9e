# Tests print what they assert, not what the library logs on the way; `capture_log` shows it where a test fails.
ExUnit.start(capture_log: true, timeout: 120_000)
ExUnit.after_suite(fn _result -> File.rm_rf!(UroDiscord.DiscordSim.scratch()) end)
