# Tests print what they assert, not what the library logs on the way; `capture_log` shows it where a test fails.
missing = if UroDiscord.Clients.installed?(), do: [], else: [needs: :clients]

if missing != [],
  do: IO.puts("the clients are not installed (test/clients/install): what is held against them is left out")

namespaces = UroDiscord.Network.problem()
if namespaces, do: IO.puts("#{namespaces}: what pulls cables between machines is left out")
missing = missing ++ if namespaces, do: [needs: :namespaces], else: []

# A busy machine has 5 s for a message where the test says nothing else; ExUnit's own 100 ms are for an idle one.
ExUnit.start(capture_log: true, timeout: 120_000, assert_receive_timeout: 5_000, exclude: missing)
ExUnit.after_suite(fn _result -> File.rm_rf!(UroDiscord.DiscordSim.scratch()) end)
