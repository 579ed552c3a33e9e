# Voice sessions: what one costs, how many a core carries, instructions a frame. `bin/bench voice` takes about six minutes.

Logger.configure(level: :error)

Bench.Voice.Cost.run()
Bench.Voice.Capacity.run()
# valgrind and songbird are left out of a small run: they take minutes to install and to build.
unless Bench.small?(), do: Bench.Voice.Instructions.run()
