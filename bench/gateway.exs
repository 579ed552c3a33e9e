# The gateway: the same events to discord.js, discord.py, twilight and to us; the bridge's memory; how soon it is back after it
# was killed. `bin/bench gateway` takes about five minutes.

Logger.configure(level: :error)

Bench.Gateway.Ceiling.run()
Bench.Gateway.Peers.run()
Bench.Gateway.Memory.run()
Bench.Gateway.Kills.run()
