extends RefCounted
## Who is in the call, as the portal tells it. Speakers are known by their Discord user, as ids are of one session only: whoever
## is still there after a reconnection keeps the node, and with it the place in the world.

signal joined(speaker: UroPortalSpeaker)
signal left(speaker: UroPortalSpeaker)
signal speaking_changed(speaker: UroPortalSpeaker, speaking: bool)

## More than a portal tells of: each is a node in the world.
const MOST := 1024

var _by_user := {}
var _by_id := {}


func speakers() -> Array[UroPortalSpeaker]:
	var list: Array[UroPortalSpeaker] = []
	list.assign(_by_user.values())
	return list


## The whole list, as it is now.
func update(entries: Variant) -> void:
	if not entries is Array:
		return
	var gone := _by_user.duplicate()
	var new: Array[UroPortalSpeaker] = []
	_by_id.clear()
	for entry: Variant in (entries as Array).slice(0, MOST):
		if not entry is Dictionary or not entry.get("id") is float:
			continue
		var user := str(entry.get("user", ""))
		var speaker: UroPortalSpeaker = _by_user.get(user)
		if not speaker:
			speaker = UroPortalSpeaker.new()
			speaker.user = user
			new.push_back(speaker)
		gone.erase(user)
		speaker.id = int(entry["id"])
		speaker.name = str(entry.get("name", user))
		_by_user[user] = speaker
		_by_id[speaker.id] = speaker
	for user: String in gone:
		_remove(user)
	for speaker in new:
		joined.emit(speaker)


func set_speaking(id: Variant, speaking: Variant) -> void:
	if not id is float or not speaking is bool:
		return
	var speaker: UroPortalSpeaker = _by_id.get(int(id))
	if speaker and speaker.speaking != speaking:
		speaker.speaking = speaking
		speaking_changed.emit(speaker, speaking)


## Null if nobody has this id now.
func by_id(id: int) -> UroPortalSpeaker:
	return _by_id.get(id)


func process() -> void:
	for speaker: UroPortalSpeaker in _by_user.values():
		if speaker._playout:
			speaker._playout.process()


## Nobody is heard any more, but may be again.
func silence() -> void:
	for id: int in _by_id.keys():
		set_speaking(float(id), false)
	_by_id.clear()


func clear() -> void:
	_by_id.clear()
	for user: String in _by_user.keys():
		_remove(user)


func _remove(user: String) -> void:
	var speaker: UroPortalSpeaker = _by_user[user]
	_by_user.erase(user)
	left.emit(speaker)
	speaker._remove()
