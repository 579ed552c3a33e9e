extends Node
## V-Sekai's NetworkManager, as far as voice knows it: its names, its signals, and the order in which it asks for what it sends
## (addons/network_manager/network_voice_manager.gd).


class Voice:
	extends Node
	var get_voice_buffers: Callable = func() -> Array: return []
	var get_sequence_id: Callable = func() -> int: return 100
	var should_send_audio: Callable = func() -> bool: return false


signal voice_packet_compressed(p_peer_id, p_sequence_id, p_buffer)
signal received_client_info(p_id, p_info)

var server_dedicated := false
var network_voice_manager: Node = Voice.new()
var _sent: Array[Array] = []


func _ready() -> void:
	add_child(network_voice_manager)


func _process(_delta: float) -> void:
	var voice := network_voice_manager
	var sequence: int = voice.get("get_sequence_id").call()
	for buffer: Dictionary in voice.get("get_voice_buffers").call():
		if not voice.get("should_send_audio").call():
			buffer = {"byte_array": PackedByteArray(), "buffer_size": 0}
		var opus: PackedByteArray = buffer["byte_array"].slice(0, buffer["buffer_size"])
		_sent.push_back([sequence, "" if opus.is_empty() else Marshalls.raw_to_base64(opus)])
		sequence += 1


func take_sent() -> Array[Array]:
	var sent := _sent
	_sent = []
	return sent
