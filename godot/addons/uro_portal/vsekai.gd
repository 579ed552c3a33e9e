extends "hook.gd"
## Joins V-Sekai's voice to the portal: its players' packets go out as they are, and what comes back is spoken by the peer that
## this game is in the shard. V-Sekai's code is not changed: its NetworkManager is found by its name and used as it is.

const VoicePacket := preload("voice_packet.gd")
## The call as a whole.
const MIX := 0
## The most that waits to be spoken, in packets. The oldest goes first.
const LONGEST := 16
## So many lost packets in a row are told as lost, so that the listeners' decoders hide them.
const CONCEALED := 5

var _manager: Node
var _players: Node
var _callables := {}
var _queue: Array[Dictionary] = []
var _expected := -1
## V-Sekai's number of the first packet in the queue.
var _number := 0


func begin(portal: UroPortal) -> String:
	var root := portal.get_tree().root
	_manager = root.get_node_or_null("NetworkManager")
	_players = root.get_node_or_null("VSKNetworkManager")
	if not _manager or not _manager.get("network_voice_manager"):
		return "there is no V-Sekai here: /root/NetworkManager with a network_voice_manager is missing"
	if _manager.get("server_dedicated"):
		return "a dedicated server does not tell of its players' voices: run the portal in a client or in a listening host"
	var speaker: Node = _manager.get("network_voice_manager")
	for hook: StringName in [&"get_voice_buffers", &"get_sequence_id", &"should_send_audio"]:
		_callables[hook] = speaker.get(hook)
	# The listeners' buffers are where this peer's voice has got to.
	var number: Callable = _callables[&"get_sequence_id"]
	_number = number.call() if number.is_valid() else 0
	_manager.connect("voice_packet_compressed", _on_voice)
	_manager.connect("received_client_info", _on_client_info)
	speaker.set("get_voice_buffers", _take_buffers)
	speaker.set("get_sequence_id", _sequence_id)
	speaker.set("should_send_audio", _has_voice)
	return ""


func end() -> void:
	if not is_instance_valid(_manager) or _callables.is_empty():
		return
	_manager.disconnect("voice_packet_compressed", _on_voice)
	_manager.disconnect("received_client_info", _on_client_info)
	for hook: StringName in _callables:
		_manager.get("network_voice_manager").set(hook, _callables[hook])
	_callables.clear()


func hello() -> Dictionary:
	return {"role": "world", "codec": "opus", "listens": "mix"}


## Tells anew who plays, as a new session does not know.
func opened() -> void:
	if not is_instance_valid(_players):
		return
	var names: Dictionary = _players.get("player_display_names")
	for player: int in names:
		name_known.emit(player, str(names[player]))


func hear(id: int, _speaker: UroPortalSpeaker, sequence: int, opus: PackedByteArray) -> void:
	if id != MIX:
		return
	var ahead := VoicePacket.distance(sequence, _expected)
	if _expected >= 0 and ahead < 0 and ahead > -LONGEST:
		# Its place may still be kept for it.
		var place := _queue.size() + ahead
		if place >= 0 and _queue[place]["buffer_size"] == 0:
			_queue[place] = _buffer(opus)
		return
	if _expected >= 0 and ahead > 0 and ahead <= CONCEALED:
		for lost in ahead:
			_push(PackedByteArray())
	_push(opus)
	_expected = (sequence + 1) & VoicePacket.SEQUENCE_MASK


func _push(opus: PackedByteArray) -> void:
	_queue.push_back(_buffer(opus))
	if _queue.size() > LONGEST:
		_queue.pop_front()
		_number = (_number + 1) & VoicePacket.SEQUENCE_MASK


func _buffer(opus: PackedByteArray) -> Dictionary:
	return {"byte_array": opus, "buffer_size": opus.size()}


## V-Sekai asks for the number first, and then for what it belongs to.
func _sequence_id() -> int:
	return _number


func _take_buffers() -> Array:
	# Nobody is to hear this machine's microphone; if nobody took it, it would pile up.
	var microphone: Callable = _callables[&"get_voice_buffers"]
	if microphone.is_valid():
		microphone.call()
	var buffers := _queue
	_queue = []
	_number = (_number + buffers.size()) & VoicePacket.SEQUENCE_MASK
	return buffers


func _has_voice() -> bool:
	return true


func _on_voice(player: int, sequence: int, opus: PackedByteArray) -> void:
	voice.emit(player, sequence, opus)


func _on_client_info(player: int, info: Dictionary) -> void:
	name_known.emit(player, str(info.get("display_name", "")))
