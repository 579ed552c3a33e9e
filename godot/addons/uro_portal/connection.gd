extends Node
## One session with a portal, from the offer to the end: WebRTC with three data channels, set up by one HTTP request. It is used
## once; whoever wants another session makes another connection.

signal opened()
signal control_received(message: Dictionary)
signal voice_received(speaker: int, sequence: int, payload: PackedByteArray)
signal picture_received(jpeg: PackedByteArray)
## `retry` is false where another attempt would fare no better; `wait`: for how many seconds the portal asked.
signal ended(code: String, message: String, retry: bool, wait: float)

const PicturePacket := preload("picture_packet.gd")
const VoicePacket := preload("voice_packet.gd")
## From the offer to the portal's welcome, in seconds.
const SETUP_TIMEOUT := 20.0
## A path that is interrupted may come back by itself, in seconds.
const INTERRUPTION := 5.0
## How often the portal is asked whether it is there, in seconds.
const PULSE := 0.5
const ANSWER_LIMIT := 64 * 1024
## Packets go in one message up to so many bytes, which is one datagram.
const MESSAGE_SIZE := 1200
## What the portal takes at most at once; what waits beyond is lost rather than late.
const VOICE_BACKLOG := 64 * 1024

## By which the portal tells of this world.
var peer_number := -1

var _url: String
var _token: String
var _hello: Dictionary
var _peer: WebRTCPeerConnection
var _control: WebRTCDataChannel
var _voice: WebRTCDataChannel
var _video: WebRTCDataChannel
var _pictures := PicturePacket.new()
## Pictures that were sent.
var _picture := 0
var _request: HTTPRequest
var _question: HTTPRequest
## Whether the question is on its way.
var _asking := false
## Where the portal ends this session.
var _location := ""
var _said_hello := false
var _is_open := false
var _is_over := false
var _elapsed := 0.0
var _interrupted := 0.0
var _pulse := 0.0
var _answered := true
var _message := PackedByteArray()


## `url`: the portal's endpoint for peers. `hello`: what is said first.
func _init(url: String, token: String, hello: Dictionary) -> void:
	_url = url
	_token = token
	_hello = hello


func begin(ice_servers: Array) -> void:
	_peer = WebRTCPeerConnection.new()
	var error := _peer.initialize({"iceServers": ice_servers})
	if error == OK:
		_control = _peer.create_data_channel("vsk-control", {"ordered": true})
		_voice = _peer.create_data_channel("vsk-voice", {"ordered": false, "maxRetransmits": 0})
		# A picture is many datagrams, and of no use without one of them.
		_video = _peer.create_data_channel("vsk-video", {"ordered": false, "maxRetransmits": 1})
	if not _control or not _voice or not _video:
		_end("no_webrtc", "WebRTC is missing: outside of web exports it takes the webrtc-native extension (see the add-on's README)", false)
		return
	_peer.session_description_created.connect(_on_offer)
	error = _peer.create_offer()
	if error != OK:
		_end("no_webrtc", "WebRTC makes no offer: %s" % error_string(error), false)


func _exit_tree() -> void:
	close()


## Says good-bye, and ends the session on the portal's side. The connection is of no use afterwards.
func close() -> void:
	if _is_over:
		return
	send_control({"type": "bye"})
	_finish()


func send_control(message: Dictionary) -> void:
	if _control and _control.get_ready_state() == WebRTCDataChannel.STATE_OPEN:
		_control.write_mode = WebRTCDataChannel.WRITE_MODE_TEXT
		_control.put_packet(JSON.stringify(message).to_utf8_buffer())


## What is sent within a frame of the game goes together, when `flush` is called at the latest.
func send_voice(sender: int, sequence: int, payload: PackedByteArray) -> void:
	if not _is_open:
		return
	if _message.size() + VoicePacket.HEADER + payload.size() > MESSAGE_SIZE:
		flush()
	_message.append_array(VoicePacket.encode(sender, sequence, payload))


func flush() -> void:
	if _message.is_empty():
		return
	if _voice.get_ready_state() == WebRTCDataChannel.STATE_OPEN and _voice.get_buffered_amount() < VOICE_BACKLOG:
		_voice.write_mode = WebRTCDataChannel.WRITE_MODE_BINARY
		_voice.put_packet(_message)
	_message = PackedByteArray()


func send_picture(jpeg: PackedByteArray) -> void:
	if not can_show():
		return
	_picture += 1
	_video.write_mode = WebRTCDataChannel.WRITE_MODE_BINARY
	for message in PicturePacket.encode(_picture, Time.get_ticks_msec(), jpeg):
		_video.put_packet(message)


func can_show() -> bool:
	return _is_open and _video.get_ready_state() == WebRTCDataChannel.STATE_OPEN


## What has not left yet, in bytes.
func picture_backlog() -> int:
	return _video.get_buffered_amount()


## To be called each frame.
func process(delta: float) -> void:
	if _is_over or not _peer:
		return
	_peer.poll()
	_elapsed += delta
	if not _said_hello and _control.get_ready_state() == WebRTCDataChannel.STATE_OPEN and _voice.get_ready_state() == WebRTCDataChannel.STATE_OPEN:
		_said_hello = true
		send_control(_hello)
	while not _is_over and _control.get_available_packet_count() > 0:
		_on_control(_control.get_packet())
	while not _is_over and _voice.get_available_packet_count() > 0:
		VoicePacket.decode(_voice.get_packet(), voice_received.emit)
	_receive_pictures()
	if not _is_over:
		_check(delta)


## Of several the newest one is of use.
func _receive_pictures() -> void:
	var newest := PackedByteArray()
	while not _is_over and _video.get_available_packet_count() > 0:
		var whole := _pictures.take(_video.get_packet())
		if not whole.is_empty():
			newest = whole
	if not newest.is_empty():
		picture_received.emit(newest)


func _check(delta: float) -> void:
	var state := _peer.get_connection_state()
	_interrupted = _interrupted + delta if state == WebRTCPeerConnection.STATE_DISCONNECTED else 0.0
	var is_closed := _control.get_ready_state() == WebRTCDataChannel.STATE_CLOSED
	if state == WebRTCPeerConnection.STATE_FAILED or state == WebRTCPeerConnection.STATE_CLOSED or is_closed or _interrupted > INTERRUPTION:
		_end("lost", "the connection to the portal was lost" if _is_open else "no way to the portal: is its UDP port reachable?")
	elif not _is_open and _elapsed > SETUP_TIMEOUT:
		_end("timeout", "the portal did not welcome this world within %d s" % int(SETUP_TIMEOUT))
	elif _is_open:
		_feel(delta)


## A portal that is killed says good-bye to nobody, and WebRTC takes long to notice. One that has no answer is asked by HTTP whom
## it knows.
func _feel(delta: float) -> void:
	_pulse += delta
	if _pulse < PULSE:
		return
	_pulse = 0.0
	if _answered:
		_answered = false
		send_control({"type": "ping"})
		return
	if not _question:
		_question = HTTPRequest.new()
		_question.timeout = SETUP_TIMEOUT
		_question.request_completed.connect(_on_known)
		add_child(_question)
	if _asking:
		return
	_asking = _question.request(_absolute(_location), _headers(["Content-Type: application/trickle-ice-sdpfrag"]), HTTPClient.METHOD_PATCH, "a=end-of-candidates") == OK


func _on_known(_result: int, status: int, _headers_of_it: PackedStringArray, body: PackedByteArray) -> void:
	_asking = false
	# A 404 of a proxy says nothing of the session.
	if status == HTTPClient.RESPONSE_NOT_FOUND and _said(body).get("error") in ["no_session", "no_portal"]:
		_end("forgotten", "the portal has begun anew")


func _said(body: PackedByteArray) -> Dictionary:
	var json := JSON.new()
	return json.data if json.parse(body.get_string_from_utf8()) == OK and json.data is Dictionary else {}


func _on_offer(type: String, sdp: String) -> void:
	if type != "offer":
		return
	_peer.set_local_description(type, sdp)
	_request = HTTPRequest.new()
	_request.timeout = SETUP_TIMEOUT
	_request.body_size_limit = ANSWER_LIMIT
	_request.request_completed.connect(_on_answer)
	add_child(_request)
	# Our candidates need not be in it: the portal sees where the checks come from.
	var error := _request.request(_url, _headers(["Content-Type: application/sdp"]), HTTPClient.METHOD_POST, sdp)
	if error != OK:
		_end("bad_address", "%s cannot be asked: %s" % [_url, error_string(error)], false)


func _on_answer(result: int, status: int, headers: PackedStringArray, body: PackedByteArray) -> void:
	if _is_over:
		return
	if result != HTTPRequest.RESULT_SUCCESS:
		_end("unreachable", "%s did not answer (HTTPRequest's result %d)" % [_url, result])
	elif status == 201:
		_location = _header(headers, "location")
		var error := _peer.set_remote_description("answer", body.get_string_from_utf8())
		if error != OK:
			_end("bad_answer", "the portal's answer was not understood: %s" % error_string(error))
	else:
		_refused(status, headers, body)


func _refused(status: int, headers: PackedStringArray, body: PackedByteArray) -> void:
	var said := _said(body)
	var message := str(said.get("message", "the portal answered %d" % status))
	# A portal that is not there may be opened later, and one that is full has room later.
	var retry := status >= 500 or status in [404, 408, 409, 429]
	_end(str(said.get("error", "http_%d" % status)), message, retry, maxf(float(_header(headers, "retry-after")), 0.0))


func _on_control(packet: PackedByteArray) -> void:
	var json := JSON.new()
	if json.parse(packet.get_string_from_utf8()) != OK or not json.data is Dictionary:
		return
	var message: Dictionary = json.data
	match message.get("type"):
		"welcome":
			_is_open = true
			peer_number = int(message.get("peer", -1))
			opened.emit()
		"pong":
			_answered = true
		"bye":
			_end("bye", str(message.get("reason", "the portal said good-bye")))
		_:
			control_received.emit(message)


func _end(code: String, message: String, retry := true, wait := 0.0) -> void:
	if _is_over:
		return
	_finish()
	ended.emit(code, message, retry, wait)


func _finish() -> void:
	_is_over = true
	_is_open = false
	for request: HTTPRequest in [_request, _question]:
		if request:
			request.cancel_request()
	if _location != "":
		_delete()
	if _peer:
		_peer.close()


## It has a request of its own under the tree's root, as it may outlive this node.
func _delete() -> void:
	var tree := get_tree()
	if not tree:
		return
	var request := HTTPRequest.new()
	request.timeout = SETUP_TIMEOUT
	request.request_completed.connect(func(_result: int, _status: int, _headers: PackedStringArray, _body: PackedByteArray) -> void: request.queue_free())
	request.ready.connect(request.request.bind(_absolute(_location), _headers([]), HTTPClient.METHOD_DELETE))
	tree.root.add_child.call_deferred(request)


func _headers(more: Array) -> PackedStringArray:
	return PackedStringArray(["Authorization: Bearer " + _token] + more)


static func _header(headers: PackedStringArray, name: String) -> String:
	for line in headers:
		var colon := line.find(":")
		if colon > 0 and line.substr(0, colon).to_lower() == name:
			return line.substr(colon + 1).strip_edges()
	return ""


## A location may be without the host, as RFC 9110 has it.
func _absolute(location: String) -> String:
	if location.contains("://"):
		return location
	var host := _url.find("/", _url.find("://") + 3)
	return (_url.substr(0, host) if host > 0 else _url) + location
