extends RefCounted
## The bytes of the channel "vsk-voice", which are V-Sekai's own, little endian:
## 09 | sender: u32 | sequence: u24 | size: u16 | payload. Several may be in one message.

const COMMAND := 9
const HEADER := 10
const SEQUENCE_MASK := 0xFFFFFF


static func encode(sender: int, sequence: int, payload: PackedByteArray) -> PackedByteArray:
	var packet := PackedByteArray()
	packet.resize(HEADER)
	packet.encode_u8(0, COMMAND)
	packet.encode_u32(1, sender)
	packet.encode_u16(5, sequence & 0xFFFF)
	packet.encode_u8(7, (sequence >> 16) & 0xFF)
	packet.encode_u16(8, payload.size())
	packet.append_array(payload)
	return packet


## Calls `take(sender, sequence, payload)` for each packet of a message; false when the message is not as it should be.
static func decode(message: PackedByteArray, take: Callable) -> bool:
	var at := 0
	while at < message.size():
		if message.size() - at < HEADER or message.decode_u8(at) != COMMAND:
			return false
		var size := message.decode_u16(at + 8)
		if message.size() - at - HEADER < size:
			return false
		var sequence := message.decode_u16(at + 5) | message.decode_u8(at + 7) << 16
		take.call(message.decode_u32(at + 1), sequence, message.slice(at + HEADER, at + HEADER + size))
		at += HEADER + size
	return true


## How far one sequence number is ahead of another; negative when it is behind. They wrap after 24 bits.
static func distance(sequence: int, other: int) -> int:
	var ahead := (sequence - other) & SEQUENCE_MASK
	return ahead - (SEQUENCE_MASK + 1) if ahead > SEQUENCE_MASK >> 1 else ahead
