extends RefCounted
## How long to wait before the next attempt, in seconds: nearly nothing at first, then twice as long each time, by chance a little
## less, so that many worlds do not all come back at once.

const AT_ONCE := 0.2
const FIRST := 0.5
const LONGEST := 30.0

var _failures := 0


func reset() -> void:
	_failures = 0


## `at_least`: what the portal asked for, of all worlds alike.
func next(at_least: float) -> float:
	var wait := minf(FIRST * pow(2.0, _failures - 1), LONGEST) * randf_range(0.75, 1.0)
	if _failures == 0:
		wait = randf_range(0.01, AT_ONCE)
	_failures = mini(_failures + 1, 16)
	return maxf(wait, at_least * randf_range(1.0, 1.25))
