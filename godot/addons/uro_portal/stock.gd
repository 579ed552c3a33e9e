extends "hook.gd"
## Any Godot project: a bus of the mixer is sent, and each of Discord's speakers has a player in the world.

const Capture := preload("capture.gd")
const Microphone := preload("microphone.gd")
const VoicePacket := preload("voice_packet.gd")

var _portal: UroPortal
var _capture: Capture
var _microphone: Microphone
var _sequence := 0


func begin(portal: UroPortal) -> String:
	_portal = portal
	var to := portal.send_bus
	if to == &"":
		return "there is no bus for the microphone: set send_bus" if portal.send_microphone else ""
	var bus := AudioServer.get_bus_index(to)
	if bus < 0:
		return "there is no bus \"%s\": add it to the project's bus layout, or change send_bus" % to
	if _flows_into(portal.speaker_bus, to):
		return "the bus \"%s\" of Discord's speakers flows into \"%s\", which is sent: they would hear themselves" % [portal.speaker_bus, to]
	_capture = Capture.new(bus, portal.frame_ms, portal.send_threshold)
	if portal.send_microphone:
		_microphone = Microphone.new(to)
		portal.add_child(_microphone)
	return ""


func end() -> void:
	if _capture:
		_capture.end()
	if _microphone:
		_microphone.queue_free()
	_capture = null
	_microphone = null


func hello() -> Dictionary:
	return {"role": "world" if _capture else "listener", "codec": "pcm_s16le", "listens": "each"}


func opened() -> void:
	if _capture:
		_capture.forget()


func process() -> void:
	if not _capture:
		return
	for frame in _capture.take():
		voice.emit(0, _sequence, frame)
		_sequence = (_sequence + 1) & VoicePacket.SEQUENCE_MASK


func place(speaker: UroPortalSpeaker) -> String:
	var where: Node = _portal.speaker_parent if _portal.speaker_parent else _portal
	return speaker._place(where, _portal.speaker_scene, _portal.speaker_bus)


func hear(_id: int, speaker: UroPortalSpeaker, sequence: int, payload: PackedByteArray) -> void:
	if speaker and speaker._playout:
		speaker._playout.push(sequence, payload)


## Whether what a bus plays comes to another one.
static func _flows_into(from: StringName, to: StringName) -> bool:
	var bus := from
	for step in AudioServer.bus_count:
		if bus == to:
			return true
		var index := AudioServer.get_bus_index(bus)
		if index <= 0:
			return false
		bus = AudioServer.get_bus_send(index)
	return false
