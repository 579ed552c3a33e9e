@icon("icon.svg")
class_name UroPortal
extends Node3D
## Joins this world to a voice call in Discord: the world is heard there, and who speaks there is heard here, each from a place
## that the world chooses. It connects by itself, and again when the connection is lost. See the README beside this file.

## The portal has welcomed this world.
signal connected()
## What had been connected is so no longer; unless it was closed from here, another attempt follows.
signal disconnected(reason: String)
signal speaker_joined(speaker: UroPortalSpeaker)
## The speaker's node is taken out of the world after this.
signal speaker_left(speaker: UroPortalSpeaker)
signal speaking_changed(speaker: UroPortalSpeaker, speaking: bool)
## What went wrong, as a word for programs and a sentence for people.
signal error(code: String, message: String)

enum Mode {
	## Any Godot project: a bus of the mixer is sent, and Discord's speakers are played, each by a player of its own.
	STOCK,
	## A V-Sekai client that is in a shard: its players' packets are sent as they are, and this peer speaks for the call.
	VSEKAI,
}

const Advice := preload("advice.gd")
const Backoff := preload("backoff.gd")
const Connection := preload("connection.gd")
const Hook := preload("hook.gd")
const Roster := preload("roster.gd")
const Stock := preload("stock.gd")
const VSekai := preload("vsekai.gd")
## A connection that lasted so long was a good one, in milliseconds: the next attempt need not wait long.
const GOOD_MS := 10_000

## The portal's address, as UroDiscord.Portal.url/2 gives it, e.g. https://example.org/portal/lobby, or a link with a token,
## https://example.org/portal/lobby/#TOKEN
@export var address := ""
## The token by which the portal knows this world, from UroDiscord.Portal.token/2 with the role "peer". Better: `token_provider`.
@export var token := ""
@export var mode := Mode.STOCK
## How much sound is in a packet, in milliseconds. V-Sekai's voice takes 10, its newest engine 20.
@export_enum("10:10", "20:20") var frame_ms := 10
## Which shard this world is, where there are several. It is shown to whoever asks who is in the portal.
@export var shard_id := ""
## Connects as soon as the node and its parents are ready, if it has an address by then. One that comes later wants `open`.
@export var autostart := true
## Connects again when the connection is lost.
@export var reconnect := true
## STUN and TURN servers, as WebRTCPeerConnection.initialize takes them. A portal with a public address needs none.
@export var ice_servers: Array[Dictionary] = []
@export_group("World to Discord", "send_")
## The bus whose sound is sent. Empty: nothing is.
@export var send_bus: StringName = &""
## Puts the microphone on that bus, and mutes it here.
@export var send_microphone := false
## What is quieter than this is silence, in decibels.
@export_range(-90, -20) var send_threshold := -60.0
@export_group("Discord to world", "speaker_")
## What is put into the world for each speaker; it has an audio player in it. None: an AudioStreamPlayer3D.
@export var speaker_scene: PackedScene
## Where they are put. None: under this node.
@export var speaker_parent: Node
## The bus of the players that are made without a scene.
@export var speaker_bus: StringName = &"Master"

## Gives a token, and may take its time: it is called, and awaited, before each connection.
var token_provider := Callable()

var _wanted := false
var _is_connected := false
## Counts the attempts, so that what comes late of an older one is known.
var _attempt := 0
var _wait := 0.0
var _connected_at := 0
var _backoff := Backoff.new()
var _roster := Roster.new()
var _connection: Connection
var _hook: Hook
var _camera: UroPortalCamera
var _screens: Array[UroPortalScreen] = []
## What the portal was told of both.
var _told_pictures := [false, false]


func _init() -> void:
	_roster.joined.connect(_on_speaker_joined)
	_roster.left.connect(speaker_left.emit)
	_roster.speaking_changed.connect(speaking_changed.emit)


func _ready() -> void:
	for warning in Advice.warnings(send_microphone):
		push_warning("UroPortal: " + warning)
	if autostart:
		# Children are ready before their parents: what those set in their own _ready (the address, token_provider) counts.
		_start.call_deferred()


func _start() -> void:
	if is_inside_tree() and address != "":
		open()


func _exit_tree() -> void:
	close()
	# Whoever takes the node to another place wants it to go on there.
	request_ready()


func _get_configuration_warnings() -> PackedStringArray:
	var list := Advice.warnings(send_microphone)
	if address == "":
		list.push_back("The address is empty: it is the portal's, e.g. https://example.org/portal/lobby")
	return list


## Connects, and keeps the connection until `close`.
func open() -> void:
	if _wanted:
		return
	_hook = VSekai.new() if mode == Mode.VSEKAI else Stock.new()
	_hook.voice.connect(_on_voice_of_world)
	_hook.name_known.connect(name_player)
	var problem := _hook.begin(self)
	if problem != "":
		_hook.end()
		_fail("not_possible", problem)
		return
	_wanted = true
	_backoff.reset()
	_connect()


func close() -> void:
	if not _wanted:
		return
	_wanted = false
	_attempt += 1
	_drop_connection()
	_hook.end()
	_roster.clear()
	_set_disconnected("closed")


func is_connected_to_portal() -> bool:
	return _is_connected


## Who is in the call.
func speakers() -> Array[UroPortalSpeaker]:
	return _roster.speakers()


## Gives a player whose voice this world forwards a name, by which Discord knows who speaks.
func name_player(sender: int, player_name: String) -> void:
	if _connection:
		_connection.send_control({"type": "name", "sender": sender, "name": player_name})


## The portal that a node is under, if there is one.
static func above(node: Node) -> UroPortal:
	var parent := node.get_parent()
	while parent and not parent is UroPortal:
		parent = parent.get_parent()
	return parent as UroPortal


func _process(delta: float) -> void:
	if _connection:
		_connection.process(delta)
	elif _wanted and _wait > 0.0:
		_wait -= delta
		if _wait <= 0.0:
			_connect()
	if _is_connected:
		_hook.process()
		_connection.flush()
	_roster.process()


func _connect() -> void:
	_attempt += 1
	var attempt := _attempt
	_wait = 0.0
	if token_provider.is_valid():
		var fresh: Variant = await token_provider.call()
		if attempt != _attempt:
			return
		if not fresh is String or fresh == "":
			_on_ended("no_token", "token_provider gave no token", true, 0.0)
			return
		token = fresh
	var place := address.get_slice("#", 0).trim_suffix("/").trim_suffix("/peer")
	var key := token if token != "" else address.get_slice("#", 1) if address.contains("#") else ""
	if place == "" or key == "":
		_on_ended("not_configured", "the portal needs its address and a token", false, 0.0)
		return
	_connection = Connection.new(place + "/peer", key, _hello())
	_connection.opened.connect(_on_opened)
	_connection.control_received.connect(_on_control)
	_connection.voice_received.connect(_on_voice)
	_connection.picture_received.connect(_on_picture)
	_connection.ended.connect(_on_ended)
	add_child(_connection)
	_connection.begin(ice_servers)


func _hello() -> Dictionary:
	var how := _hook.hello()
	return {
		"type": "hello",
		"proto": 1,
		"role": how["role"],
		"shard_id": shard_id,
		"voice": {"codec": how["codec"], "frame_ms": frame_ms, "channels": 1, "rate": Advice.HERTZ},
		"listens": how["listens"],
	}


func _on_opened() -> void:
	_is_connected = true
	_connected_at = Time.get_ticks_msec()
	_hook.opened()
	_told_pictures = [false, false]
	_tell_pictures()
	connected.emit()


func _on_control(message: Dictionary) -> void:
	match message.get("type"):
		"roster":
			_roster.update(message.get("speakers"))
		"speaking":
			_roster.set_speaking(message.get("id"), message.get("speaking"))
		"on_air":
			_on_air(message.get("peer"))
		"error":
			_fail(str(message.get("code")), str(message.get("message")))


func _on_voice(speaker: int, sequence: int, payload: PackedByteArray) -> void:
	_hook.hear(speaker, _roster.by_id(speaker), sequence, payload)


func _on_voice_of_world(sender: int, sequence: int, payload: PackedByteArray) -> void:
	if _connection:
		_connection.send_voice(sender, sequence, payload)


## A world has one camera; false for another one.
func _add_camera(camera: UroPortalCamera) -> bool:
	if _camera and _camera != camera:
		_fail("one_camera", "a portal shows one camera of a world: \"%s\" is there already" % _camera.name)
		return false
	_camera = camera
	_tell_pictures()
	return true


func _remove_camera(camera: UroPortalCamera) -> void:
	if _camera == camera:
		_camera = null
		_tell_pictures()


func _add_screen(screen: UroPortalScreen) -> void:
	_screens.push_back(screen)
	_tell_pictures()


func _remove_screen(screen: UroPortalScreen) -> void:
	_screens.erase(screen)
	_tell_pictures()


## Tells the portal whether this world shows pictures and sees them, if that is new.
func _tell_pictures() -> void:
	if not _is_connected or not _connection:
		return
	var now := [_camera != null and _camera.enabled, not _screens.is_empty()]
	if now != _told_pictures:
		_told_pictures = now
		_connection.send_control({"type": "video", "shows": now[0], "sees": now[1]})


func _can_show() -> bool:
	return _is_connected and _connection != null and _connection.can_show()


func _picture_backlog() -> int:
	return _connection.picture_backlog()


func _show(jpeg: PackedByteArray) -> void:
	_connection.send_picture(jpeg)


func _on_picture(jpeg: PackedByteArray) -> void:
	var image := Image.new()
	if _screens.is_empty() or image.load_jpg_from_buffer(jpeg) != OK:
		return
	for screen in _screens:
		screen._show(image)


## Whose camera is on air, by number; null: nobody's.
func _on_air(peer: Variant) -> void:
	if _camera:
		_camera._set_on_air((peer is float or peer is int) and int(peer) == _connection.peer_number)
	if peer == null:
		for screen in _screens:
			screen._clear()


func _on_speaker_joined(speaker: UroPortalSpeaker) -> void:
	var problem := _hook.place(speaker)
	if problem != "":
		_fail("bad_scene", problem)
	speaker_joined.emit(speaker)


func _on_ended(code: String, message: String, retry: bool, wait: float) -> void:
	_drop_connection()
	if code != "bye":
		_fail(code, message)
	if _is_connected and Time.get_ticks_msec() - _connected_at > GOOD_MS:
		_backoff.reset()
	_set_disconnected(message)
	# Whoever heard of it may have closed the portal.
	if not _wanted:
		return
	# With a provider a token that was refused may be replaced by a better one.
	if reconnect and (retry or (token_provider.is_valid() and code != "no_webrtc")):
		_wait = _backoff.next(wait)
	else:
		close()


func _drop_connection() -> void:
	if not _connection:
		return
	_connection.close()
	_connection.queue_free()
	_connection = null


func _set_disconnected(reason: String) -> void:
	if _is_connected:
		_is_connected = false
		if _camera:
			_camera._set_on_air(false)
		_roster.silence()
		disconnected.emit(reason)


func _fail(code: String, message: String) -> void:
	push_warning("UroPortal: %s (%s)" % [message, code])
	error.emit(code, message)
