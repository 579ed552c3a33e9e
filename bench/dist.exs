# A bridge that runs elsewhere, beside one on the Port: what carrying costs, events, and portals of several bridges under one VM. `bin/bench dist` makes this
# VM a node, and takes about three minutes.

Logger.configure(level: :error)

Bench.Dist.Carrying.run()
Bench.Dist.Events.run()
Bench.Dist.Portals.run()
