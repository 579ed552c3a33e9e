extends AudioStreamPlayer
## The microphone, on the bus that is sent. The bus is muted, so that nobody hears himself; what captures it hears it all the same.

var _was_muted := false


func _init(to: StringName) -> void:
	stream = AudioStreamMicrophone.new()
	bus = to
	playback_type = AudioServer.PLAYBACK_TYPE_STREAM


func _enter_tree() -> void:
	var index := AudioServer.get_bus_index(bus)
	_was_muted = AudioServer.is_bus_mute(index)
	AudioServer.set_bus_mute(index, true)


func _ready() -> void:
	play()


func _exit_tree() -> void:
	var index := AudioServer.get_bus_index(bus)
	if index >= 0:
		AudioServer.set_bus_mute(index, _was_muted)
