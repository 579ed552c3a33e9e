extends RefCounted
## What a bus plays, in frames for the portal: PCM of 16 bits, little endian, mono, 48 kHz.

const Advice := preload("advice.gd")
const Resampler := preload("resampler.gd")
## How much the bus keeps for us while the game stalls, in seconds. What is older is lost.
const BUFFER := 0.5
## Speech goes on for so long below the threshold before it is silence, in milliseconds.
const HANGOVER_MS := 300

var _effect: AudioEffectCapture
var _resampler: Resampler
var _waiting := PackedFloat32Array()
var _frame_samples: int
var _frame_ms: int
var _threshold: float
var _quiet_ms := HANGOVER_MS


func _init(bus: int, frame_ms: int, silence_db: float) -> void:
	_frame_ms = frame_ms
	_frame_samples = Advice.HERTZ * frame_ms / 1000
	_threshold = db_to_linear(silence_db)
	_resampler = Resampler.new(AudioServer.get_mix_rate(), Advice.HERTZ)
	_effect = AudioEffectCapture.new()
	_effect.buffer_length = BUFFER
	AudioServer.add_bus_effect(bus, _effect)


## Takes the effect off its bus, which may have another index by now.
func end() -> void:
	for bus in AudioServer.bus_count:
		for index in AudioServer.get_bus_effect_count(bus):
			if AudioServer.get_bus_effect(bus, index) == _effect:
				AudioServer.remove_bus_effect(bus, index)
				return


## What there was to hear was long ago, and nobody is to hear it now.
func forget() -> void:
	_effect.clear_buffer()
	_waiting.clear()
	_quiet_ms = HANGOVER_MS


## The frames since the last call; a silent one is empty.
func take() -> Array[PackedByteArray]:
	var stereo := _effect.get_buffer(_effect.get_frames_available())
	var mono := PackedFloat32Array()
	mono.resize(stereo.size())
	for index in stereo.size():
		var sample := stereo[index]
		mono[index] = (sample.x + sample.y) * 0.5
	_waiting.append_array(_resampler.resample(mono))
	var frames: Array[PackedByteArray] = []
	var at := 0
	while _waiting.size() - at >= _frame_samples:
		frames.push_back(_frame(at))
		at += _frame_samples
	_waiting = _waiting.slice(at)
	return frames


func _frame(from: int) -> PackedByteArray:
	var pcm := PackedByteArray()
	pcm.resize(_frame_samples * 2)
	var loudest := 0.0
	for index in _frame_samples:
		var sample := clampf(_waiting[from + index], -1.0, 1.0)
		loudest = maxf(loudest, absf(sample))
		pcm.encode_s16(index * 2, int(sample * 32767.0))
	_quiet_ms = 0 if loudest > _threshold else _quiet_ms + _frame_ms
	return pcm if _quiet_ms < HANGOVER_MS else PackedByteArray()
