extends RefCounted
## Plays one speaker's packets: in their order, with what is lost faded over, and a small delay against jitter.

const Advice := preload("advice.gd")
const VoicePacket := preload("voice_packet.gd")
## What is kept in hand, in seconds. The portal evens out Discord's jitter; this is for the way from there and for the game's frames.
const DELAY := 0.06
## A packet that is missing is waited for until so much is left to play, in seconds.
const URGENT := 0.02
## When clocks differ or the game stalled, more than this is in hand, in seconds, and some is skipped.
const TOO_MUCH := 0.25
const BUFFER := 0.5
## A number further away than this is of a stream that begins anew.
const WINDOW := 64

## Packets played, and those that were not: lost on the way, too late, or skipped as there was too much in hand.
var played := 0
var lost := 0
var late := 0
var skipped := 0
## The loudest sample of the last packet, from 0 to 1.
var level := 0.0

## An AudioStreamPlayer, AudioStreamPlayer2D or AudioStreamPlayer3D.
var _player: Node
var _playback: AudioStreamGeneratorPlayback
var _capacity := 0
var _next := 0
var _waiting := {}
var _last := PackedVector2Array()


func _init(player: Node) -> void:
	_player = player
	var generator := AudioStreamGenerator.new()
	generator.mix_rate = Advice.HERTZ
	generator.buffer_length = BUFFER
	_player.set("stream", generator)
	# On the web the default plays samples, which cannot be made while they are heard.
	_player.set("playback_type", AudioServer.PLAYBACK_TYPE_STREAM)


func push(sequence: int, payload: PackedByteArray) -> void:
	var ahead := VoicePacket.distance(sequence, _next)
	if absi(ahead) > WINDOW:
		_waiting.clear()
		_next = sequence
	elif ahead < 0:
		late += 1
		return
	_waiting[sequence] = payload


## To be called each frame.
func process() -> void:
	if not _player.call("is_inside_tree"):
		return
	if not _player.get("playing"):
		_start()
	if _waiting.is_empty():
		return
	if _in_hand() <= 0.0:
		_next = _first_waiting()
		_push_silence(DELAY)
	while not _waiting.is_empty():
		if _waiting.has(_next):
			_play(_waiting[_next])
			_waiting.erase(_next)
		elif _in_hand() < URGENT:
			lost += 1
			_fade()
		else:
			return
		_next = (_next + 1) & VoicePacket.SEQUENCE_MASK


func _start() -> void:
	_player.call("play")
	_playback = _player.call("get_stream_playback")
	_capacity = _playback.get_frames_available()


func _in_hand() -> float:
	return float(_capacity - _playback.get_frames_available()) / Advice.HERTZ


func _first_waiting() -> int:
	var first := -1
	for sequence: int in _waiting:
		if first < 0 or VoicePacket.distance(sequence, first) < 0:
			first = sequence
	return first


func _play(pcm: PackedByteArray) -> void:
	level = 0.0
	var samples := pcm.size() / 2
	if samples == 0:
		return
	if _in_hand() > TOO_MUCH:
		skipped += 1
		return
	_last.resize(samples)
	for index in samples:
		var sample := pcm.decode_s16(index * 2) / 32768.0
		level = maxf(level, absf(sample))
		_last[index] = Vector2(sample, sample)
	played += 1
	_playback.push_buffer(_last)


## What was heard last once more, quieter each time.
func _fade() -> void:
	for index in _last.size():
		_last[index] *= 0.5
	_playback.push_buffer(_last)


func _push_silence(seconds: float) -> void:
	var silence := PackedVector2Array()
	silence.resize(int(seconds * Advice.HERTZ))
	_playback.push_buffer(silence)
