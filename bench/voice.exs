# Voice sessions: what one costs, how many a core carries, instructions a frame. `bin/bench voice` takes about six minutes.

Logger.configure(level: :error)

Bench.Voice.Cost.run()
Bench.Voice.Capacity.run()
Bench.Voice.Instructions.run()
