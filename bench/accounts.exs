# Roles of linked users: beside Alliance Auth, and then by itself. `bin/bench accounts` takes about six minutes, most of it Alliance Auth's
# own pace. BENCH_MEMBERS: how many for both (20); BENCH_ALONE: how many for UroDiscord alone (1000,10000).

Logger.configure(level: :warning)
# Not in /tmp, which may be memory.
folder = Path.expand("_build/bench-#{System.pid()}")
File.mkdir_p!(folder)

try do
  Bench.Accounts.Peers.run(folder)
after
  File.rm_rf!(folder)
end
