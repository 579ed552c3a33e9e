# notify/2: beside discord.js and discord.py, and by itself. `bin/bench notify` takes about five minutes, most of it Discord's
# limits.

Logger.configure(level: :warning)
# Not in /tmp, which may be memory: what is accepted has to be on a disk.
folder = Path.expand("_build/bench-#{System.pid()}")
File.mkdir_p!(folder)

try do
  Bench.Notify.Peers.run(folder)
  Bench.Notify.Latency.run(folder)
  Bench.Notify.Acceptance.run(folder)
after
  File.rm_rf!(folder)
end
