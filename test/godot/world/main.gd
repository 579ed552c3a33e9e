extends Node3D
## The world under test: told what to do by the page, in JSON, and says what it sees in lines that begin with "URO ".

const Capture := preload("res://addons/uro_portal/capture.gd")
const PicturePace := preload("res://addons/uro_portal/picture_pace.gd")
const PicturePacket := preload("res://addons/uro_portal/picture_packet.gd")
const Resampler := preload("res://addons/uro_portal/resampler.gd")
const VoicePacket := preload("res://addons/uro_portal/voice_packet.gd")
const RATE := 48000

var _portal: UroPortal
var _tone: AudioStreamGeneratorPlayback
var _hertz := 0.0
var _phase := 0.0
## What the speakers' bus plays.
var _ears: AudioEffectCapture
var _heard := PackedByteArray()
## Another peer, which sees what the first one shows.
var _viewer: UroPortal
var _screen: UroPortalScreen
var _bars: Array[ColorRect] = []
var _colours: Array[Color] = []
var _turned := 0.0
## The colours that are looked for, and their orders that were seen.
var _wanted: Array[Color] = []
var _orders := {}


func _ready() -> void:
	# A bus stands to the right of those that it sends to, and is mixed first.
	for bus: StringName in [&"Discord", &"World"]:
		AudioServer.add_bus()
		AudioServer.set_bus_name(AudioServer.bus_count - 1, bus)
	_ears = AudioEffectCapture.new()
	_ears.buffer_length = 2.0
	AudioServer.add_bus_effect(AudioServer.get_bus_index(&"Discord"), _ears)
	var player := AudioStreamPlayer.new()
	var generator := AudioStreamGenerator.new()
	generator.mix_rate = RATE
	generator.buffer_length = 0.2
	player.stream = generator
	player.bus = &"World"
	player.playback_type = AudioServer.PLAYBACK_TYPE_STREAM
	add_child(player)
	player.play()
	_tone = player.get_stream_playback()
	_say({"event": "started", "version": Engine.get_version_info()["string"], "mix_rate": AudioServer.get_mix_rate()})


func _process(delta: float) -> void:
	while true:
		var line := str(JavaScriptBridge.eval("next()"))
		if line == "":
			break
		var told: Dictionary = JSON.parse_string(line)
		call("_do_" + str(told["do"]), told)
	_speak()
	_listen()
	_turn(delta)
	_look()


func _say(event: Dictionary) -> void:
	print("URO ", JSON.stringify(event))


func _do_open(told: Dictionary) -> void:
	_portal = UroPortal.new()
	_portal.autostart = false
	_portal.address = told["address"]
	_portal.token = told.get("token", "")
	_portal.mode = UroPortal.Mode.VSEKAI if told.get("vsekai", false) else UroPortal.Mode.STOCK
	_portal.frame_ms = told.get("frame_ms", 10)
	_portal.shard_id = "7"
	_portal.send_bus = &"World"
	_portal.speaker_bus = &"Discord"
	_watch()
	if told.has("fresh"):
		# As a parent does in its _ready, which comes after its children's.
		_portal.autostart = true
		add_child(_portal)
		_portal.token_provider = func() -> String: return told["fresh"]
		return
	add_child(_portal)
	_portal.open()


func _watch() -> void:
	_portal.connected.connect(func() -> void: _say({"event": "connected"}))
	_portal.disconnected.connect(func(reason: String) -> void: _say({"event": "disconnected", "reason": reason}))
	_portal.error.connect(func(code: String, message: String) -> void: _say({"event": "error", "code": code, "message": message}))
	_portal.speaker_joined.connect(func(speaker: UroPortalSpeaker) -> void: _say(_about("speaker_joined", speaker)))
	_portal.speaker_left.connect(func(speaker: UroPortalSpeaker) -> void: _say(_about("speaker_left", speaker)))
	_portal.speaking_changed.connect(func(speaker: UroPortalSpeaker, speaking: bool) -> void: _say(_about("speaking" if speaking else "silent", speaker)))


## The example's world instead.
func _do_example(told: Dictionary) -> void:
	var example: Node3D = load("res://example/world.tscn").instantiate()
	_portal = example.get_node("UroPortal")
	_portal.address = told["link"]
	_watch()
	add_child(example)


func _do_state(_told: Dictionary) -> void:
	var places := {}
	for speaker in _portal.speakers():
		var at: Vector3 = speaker.node.global_position
		places[speaker.user] = [at.x, at.y, at.z, speaker.node.get_node("Name").text]
	_say({"event": "state", "text": _portal.get_node("../State").text, "places": places})


func _do_close(_told: Dictionary) -> void:
	_portal.queue_free()
	await _portal.tree_exited
	_say({"event": "closed", "effects": AudioServer.get_bus_effect_count(AudioServer.get_bus_index(&"World"))})


## A camera shows bars of these colours, which move.
func _do_show(told: Dictionary) -> void:
	var view := SubViewport.new()
	view.size = Vector2i(640, 360)
	view.render_target_update_mode = SubViewport.UPDATE_ALWAYS
	for colour: String in told["colours"]:
		_colours.push_back(Color(colour))
	for index in _colours.size():
		var bar := ColorRect.new()
		bar.position = Vector2(index * 640.0 / _colours.size(), 0)
		bar.size = Vector2(640.0 / _colours.size(), 360)
		view.add_child(bar)
		_bars.push_back(bar)
	var camera := UroPortalCamera.new()
	camera.viewport = view
	camera.max_size = Vector2i(320, 180)
	camera.add_child(view)
	camera.on_air_changed.connect(func(on_air: bool) -> void: _say({"event": "on_air", "on_air": on_air}))
	_portal.add_child(camera)


func _turn(delta: float) -> void:
	_turned += delta
	for index in _bars.size():
		_bars[index].color = _colours[(index + int(_turned * 4.0)) % _colours.size()]


func _do_watch(told: Dictionary) -> void:
	_viewer = UroPortal.new()
	_viewer.autostart = false
	_viewer.address = told["address"]
	_viewer.token = told["token"]
	_screen = UroPortalScreen.new()
	_screen.picture_changed.connect(_on_picture_changed)
	_viewer.connected.connect(func() -> void: _say({"event": "watching"}))
	_viewer.error.connect(func(code: String, message: String) -> void: _say({"event": "error", "code": code, "message": message}))
	_viewer.add_child(_screen)
	add_child(_viewer)
	_viewer.open()


func _on_picture_changed(is_there: bool) -> void:
	if not is_there:
		_say({"event": "black"})


## Waits until bars of these colours are seen, twice in another order.
func _do_see(told: Dictionary) -> void:
	_orders.clear()
	for colour: String in told["colours"]:
		_wanted.push_back(Color(colour))


func _look() -> void:
	if _wanted.is_empty() or not _screen.is_there:
		return
	var image := _screen.texture.get_image()
	var order := PackedInt32Array()
	for index in _wanted.size():
		var pixel := image.get_pixel(int((index + 0.5) * image.get_width() / _wanted.size()), image.get_height() / 2)
		for other in _wanted.size():
			var far := maxf(maxf(absf(pixel.r - _wanted[other].r), absf(pixel.g - _wanted[other].g)), absf(pixel.b - _wanted[other].b))
			if far < 0.25:
				order.push_back(other)
	if order.size() != _wanted.size():
		return
	_orders[str(order)] = true
	if _orders.size() > 1:
		_wanted.clear()
		_say({"event": "seen", "width": image.get_width(), "height": image.get_height()})


func _do_hide(_told: Dictionary) -> void:
	_bars.clear()
	_colours.clear()
	for child in _portal.get_children():
		if child is UroPortalCamera:
			child.queue_free()


func _do_leave(_told: Dictionary) -> void:
	_viewer.queue_free()
	await _viewer.tree_exited
	_say({"event": "left"})


## Pictures are cut and put together, and fewer and smaller where the way is full.
func _do_check_pictures(_told: Dictionary) -> void:
	var picture := PackedByteArray()
	picture.resize(40_000)
	for index in picture.size():
		picture[index] = index % 251
	var messages := PicturePacket.encode(0x01020304, 0x0A141E28, picture)
	var packets := PicturePacket.new()
	var early := packets.take(messages[2]).size() + packets.take(messages[0]).size() + packets.take(messages[2]).size()
	var whole := packets.take(messages[1])
	var late := packets.take(PicturePacket.encode(0x01020303, 0, picture.slice(0, 10))[0])
	var pace := PicturePace.new()
	_say({
		"event": "checked_pictures", "header": messages[2].slice(0, PicturePacket.HEADER).hex_encode(), "messages": messages.size(),
		"early": early, "same": whole == picture, "late": late.size(), "free": _taken(pace, 10.0, 0), "full": _taken(pace, 20.0, 100_000),
		"step": pace.step, "again": _taken(pace, 60.0, 0), "back": pace.step,
		"fitted": [str(UroPortalCamera.fitted(Vector2i(1920, 1080), Vector2(640, 360))), str(UroPortalCamera.fitted(Vector2i(100, 33), Vector2(640, 360)))],
	})


## How many pictures are taken in so many seconds, with so much on its way.
func _taken(pace: PicturePace, seconds: float, backlog: int) -> int:
	var taken := 0
	for frame in int(seconds * 60.0):
		if pace.due(1.0 / 60.0, backlog):
			taken += 1
	return taken


## 0: silence.
func _do_tone(told: Dictionary) -> void:
	_hertz = told["hertz"]
	_say({"event": "speaks"})


## What the speakers' bus has played since the last time, as samples of 16 bits.
func _do_heard(_told: Dictionary) -> void:
	var statistics := {}
	for speaker in _portal.speakers():
		statistics[speaker.user] = speaker.statistics()
	_say({"event": "heard", "pcm": Marshalls.raw_to_base64(_heard), "statistics": statistics})
	_heard = PackedByteArray()


## A V-Sekai player comes into the shard.
func _do_player(told: Dictionary) -> void:
	get_node("/root/NetworkManager").emit_signal("received_client_info", int(told["player"]), {"display_name": told["name"]})
	_say({"event": "played"})


## And speaks: packets, as the network brings them.
func _do_say(told: Dictionary) -> void:
	var sequence := int(told["sequence"])
	for opus: String in told["opus"]:
		get_node("/root/NetworkManager").emit_signal("voice_packet_compressed", int(told["player"]), sequence, Marshalls.base64_to_raw(opus))
		sequence += 1
	_say({"event": "said"})


## What V-Sekai has sent for this peer since the last time.
func _do_spoken(_told: Dictionary) -> void:
	_say({"event": "spoken", "packets": get_node("/root/NetworkManager").call("take_sent")})


## Whether the pieces keep to what they are for.
func _do_check(_told: Dictionary) -> void:
	var packets: Array[Array] = []
	var take := func(sender: int, sequence: int, payload: PackedByteArray) -> void: packets.push_back([sender, sequence, payload.hex_encode()])
	var message := VoicePacket.encode(0x7F000001, 0xABCDEF, PackedByteArray([1, 2, 3])) + VoicePacket.encode(2, 0, PackedByteArray())
	var fine := VoicePacket.decode(message, take)
	var short := VoicePacket.decode(message.slice(0, 12), take)
	var resampler := Resampler.new(44100.0, RATE)
	var samples := PackedByteArray()
	for piece in 100:
		var input := PackedFloat32Array()
		for index in 441:
			input.push_back(sin(TAU * 1000.0 * (piece * 441 + index) / 44100.0))
		for sample in resampler.resample(input):
			samples.append_array([0, 0])
			samples.encode_s16(samples.size() - 2, int(sample * 30000.0))
	_say({
		"event": "checked", "bytes": message.hex_encode(), "packets": packets, "fine": fine, "short": short,
		"distance": [VoicePacket.distance(1, 0xFFFFFF), VoicePacket.distance(0xFFFFFF, 1)],
		"resampled": Marshalls.raw_to_base64(samples),
	})


func _about(event: String, speaker: UroPortalSpeaker) -> Dictionary:
	return {
		"event": event, "id": speaker.id, "user": speaker.user, "name": speaker.name,
		"node": str(speaker.node.name) if speaker.node else "", "class": speaker.player.get_class() if speaker.player else "",
	}


func _speak() -> void:
	var samples := PackedVector2Array()
	samples.resize(_tone.get_frames_available())
	if _hertz > 0.0:
		for index in samples.size():
			var sample := sin(_phase) * 0.25
			samples[index] = Vector2(sample, sample)
			_phase = fmod(_phase + TAU * _hertz / RATE, TAU)
	_tone.push_buffer(samples)


func _listen() -> void:
	var stereo := _ears.get_buffer(_ears.get_frames_available())
	var at := _heard.size()
	_heard.resize(at + stereo.size() * 2)
	for index in stereo.size():
		_heard.encode_s16(at + index * 2, int(clampf((stereo[index].x + stereo[index].y) * 0.5, -1.0, 1.0) * 32767.0))
