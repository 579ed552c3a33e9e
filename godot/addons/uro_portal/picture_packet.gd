extends RefCounted
## Pictures on the channel vsk-video, as docs/portal.md of uro_discord has them: a picture goes in chunks, each a message with a header. Chunks overtake
## each other, and some are lost; a picture that is not whole when a newer one is, is lost too.

const VERSION := 1
const JPEG := 1
const HEADER := 16
## What every WebRTC takes at once, with the header.
const PAYLOAD := 16 * 1024 - HEADER
## Bytes and chunks of a picture.
const LIMIT := 512 * 1024
const CHUNKS := 512
const NUMBER_MASK := 0xFFFFFFFF
## Pictures that come at a time.
const UNDER_WAY := 2

## By number, as they began to come.
var _parts := {}
var _newest := -1


## The messages of a picture.
static func encode(number: int, time_ms: int, picture: PackedByteArray) -> Array[PackedByteArray]:
	var messages: Array[PackedByteArray] = []
	var chunks := ceili(picture.size() / float(PAYLOAD))
	for chunk in chunks:
		var message := PackedByteArray()
		message.resize(HEADER)
		message.encode_u8(0, VERSION)
		message.encode_u8(1, JPEG)
		message.encode_u16(2, 0)
		message.encode_u32(4, number & NUMBER_MASK)
		message.encode_u32(8, time_ms & NUMBER_MASK)
		message.encode_u16(12, chunk)
		message.encode_u16(14, chunks)
		message.append_array(picture.slice(chunk * PAYLOAD, mini((chunk + 1) * PAYLOAD, picture.size())))
		messages.push_back(message)
	return messages


## The picture that is whole by this message, or nothing.
func take(message: PackedByteArray) -> PackedByteArray:
	var nothing := PackedByteArray()
	if message.size() <= HEADER or message.decode_u8(0) != VERSION or message.decode_u8(1) != JPEG:
		return nothing
	var number := message.decode_u32(4)
	var chunk := message.decode_u16(12)
	var chunks := message.decode_u16(14)
	if chunk >= chunks or chunks > CHUNKS or not _is_newer(number):
		return nothing
	if not _parts.has(number):
		if _parts.size() >= UNDER_WAY:
			_parts.erase(_parts.keys()[0])
		var places: Array[PackedByteArray] = []
		places.resize(chunks)
		_parts[number] = {"places": places, "missing": chunks, "bytes": 0}
	var part: Dictionary = _parts[number]
	var filled: Array[PackedByteArray] = part["places"]
	if filled.size() != chunks or not filled[chunk].is_empty():
		return nothing
	part["bytes"] += message.size() - HEADER
	if part["bytes"] > LIMIT:
		_parts.erase(number)
		return nothing
	filled[chunk] = message.slice(HEADER)
	part["missing"] -= 1
	if part["missing"] > 0:
		return nothing
	_newest = number
	for other: int in _parts.keys():
		if not _is_newer(other):
			_parts.erase(other)
	var whole := PackedByteArray()
	for payload in filled:
		whole.append_array(payload)
	return whole


## Numbers go on at 0 after the last one.
func _is_newer(number: int) -> bool:
	var ahead := (number - _newest) & NUMBER_MASK
	return _newest < 0 or (ahead != 0 and ahead <= NUMBER_MASK >> 1)
