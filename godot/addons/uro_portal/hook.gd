extends RefCounted
## How a kind of project joins its voice to the portal. This one does nothing; stock.gd and vsekai.gd are what there is.

## A packet for the portal.
signal voice(sender: int, sequence: int, payload: PackedByteArray)
## A player whose voice is sent has this name.
signal name_known(player: int, player_name: String)


## Empty when it went well, or what is wrong with the project.
func begin(_portal: UroPortal) -> String:
	return ""


func end() -> void:
	pass


## What this world asks of the portal: its role, its codec, and in which way it listens.
func hello() -> Dictionary:
	return {"role": "listener", "codec": "pcm_s16le", "listens": "each"}


## The portal has welcomed this world.
func opened() -> void:
	pass


## Called each frame while this world is welcome.
func process() -> void:
	pass


## Somebody came into the call; what is wrong with the project, or nothing.
func place(_speaker: UroPortalSpeaker) -> String:
	return ""


## Whoever speaks for the whole call is speaker 0.
func hear(_id: int, _speaker: UroPortalSpeaker, _sequence: int, _payload: PackedByteArray) -> void:
	pass
