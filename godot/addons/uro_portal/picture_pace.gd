extends RefCounted
## How often pictures are taken, how large and how good, by what the way to the portal carries. What has not left yet when the next picture is due says it:
## then that one is not taken, so that no picture is late; and where that goes on, pictures become fewer and smaller. More is tried after a calm while.

## Of what is wanted: how often, how large, how good.
const STEPS: Array[Vector3] = [
	Vector3(1.0, 1.0, 1.0), Vector3(0.66, 1.0, 0.9), Vector3(0.66, 0.75, 0.85), Vector3(0.5, 0.5, 0.8),
	Vector3(0.33, 0.5, 0.7), Vector3(0.33, 0.25, 0.7), Vector3(0.1, 0.25, 0.6),
]
## With so much of the picture before on its way still, in bytes, the next one waits.
const LEFT := 16 * 1024
## It is judged by so long, in seconds.
const WINDOW := 2.0
## The shares of that in which a picture waited: the way is full, or there is room.
const FULL := 0.25
const CALM := 0.02
## More is tried after so long, in seconds: at first, and at most, where it failed.
const PATIENCE := 6.0
const LONGEST := 60.0

var step := 0
## Pictures a second, at best.
var rate := 15.0

var _since := LONGEST
var _passed := 0.0
var _waited := 0.0
var _calm := 0.0
var _patience := PATIENCE
## For how long a trial goes on.
var _trial := 0.0


## Whether a picture is to be taken now, with so many bytes on their way. To be asked each frame.
func due(delta: float, backlog: int) -> bool:
	_since += delta
	var is_time := _since >= interval()
	var waits := is_time and backlog > LEFT
	_passed += delta
	if waits:
		_waited += delta
	if _passed >= WINDOW:
		_judge()
	if waits or not is_time:
		return false
	# A little of what is late is made up for, so that the rate is what it should be.
	_since = clampf(_since - interval(), 0.0, interval() * 0.5)
	return true


## In seconds.
func interval() -> float:
	return 1.0 / (rate * STEPS[step].x)


func size() -> float:
	return STEPS[step].y


func quality() -> float:
	return STEPS[step].z


## A picture was larger than one may be.
func shrink() -> void:
	step = mini(step + 1, STEPS.size() - 1)
	_calm = 0.0


func _judge() -> void:
	var share := _waited / _passed
	_trial = maxf(_trial - _passed, 0.0)
	if share > FULL:
		if _trial > 0.0:
			_patience = minf(_patience * 2.0, LONGEST)
		_trial = 0.0
		shrink()
	elif share > CALM:
		_calm = 0.0
	else:
		_calm += _passed
		if step == 0:
			_patience = PATIENCE
		elif _calm >= _patience:
			step -= 1
			_calm = 0.0
			_trial = WINDOW * 4.0
	_passed = 0.0
	_waited = 0.0
