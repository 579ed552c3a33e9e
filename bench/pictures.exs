# Pictures of a portal: from glass to glass, what a viewer costs, the first picture. `bin/bench pictures` takes about ten minutes.

Logger.configure(level: :error)

Bench.Pictures.Glass.run()
Bench.Pictures.Viewers.run()
