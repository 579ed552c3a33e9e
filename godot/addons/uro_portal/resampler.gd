extends RefCounted
## Brings mono sound from one rate to another, piece by piece, by cubics through four samples.

var _step: float
## Where the next sample is, counted from the second of the samples in `_kept`.
var _position := 0.0
var _kept := PackedFloat32Array([0.0, 0.0, 0.0])


func _init(from_rate: float, to_rate: float) -> void:
	_step = from_rate / to_rate


func resample(samples: PackedFloat32Array) -> PackedFloat32Array:
	if is_equal_approx(_step, 1.0):
		return samples
	var input := _kept
	input.append_array(samples)
	# A cubic stands on the samples from `at - 1` to `at + 2`, counted from the second.
	var end := input.size() - 3
	var output := PackedFloat32Array()
	output.resize(int(ceil(maxf(end - _position, 0.0) / _step)) + 1)
	var count := 0
	while _position < end:
		var at := int(_position)
		output[count] = cubic_interpolate(input[at + 1], input[at + 2], input[at], input[at + 3], _position - at)
		count += 1
		_position += _step
	output.resize(count)
	_position -= end
	_kept = input.slice(end)
	return output
