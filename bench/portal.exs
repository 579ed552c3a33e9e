# A portal: delay, what rooms and packets cost, memory, quality. `bin/bench portal` takes about five minutes.

Logger.configure(level: :error)

Bench.Portal.Room.run()
Bench.Portal.Sockets.ears()
Bench.Portal.Sockets.rooms()
# valgrind and what scores speech take minutes to install.
unless Bench.small?() do
  Bench.Portal.Sockets.instructions()
  Bench.Portal.Quality.run()
end
