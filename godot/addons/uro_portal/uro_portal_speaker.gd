class_name UroPortalSpeaker
extends RefCounted
## Somebody in the Discord call.

const Playout := preload("playout.gd")

## The id in packets. It may be another after a reconnection; `user` stays.
var id := 0
## The Discord user's id.
var user := ""
var name := ""
var speaking := false
## What the portal put into the world for this speaker: an AudioStreamPlayer3D, or an instance of the portal's `speaker_scene`.
## Null where voices are not played here, as in V-Sekai, where the portal's own player speaks for all.
var node: Node
## What plays the voice: `node` itself, or the player in it. Its volume, bus and attenuation are the world's to set.
var player: Node

var _playout: Playout


## How loud the voice is now, from 0 to 1, e.g. for a mouth that moves.
func level() -> float:
	return _playout.level if _playout and speaking else 0.0


## Packets played, lost, late and skipped, for whoever looks for the cause of a bad sound.
func statistics() -> Dictionary:
	if not _playout:
		return {}
	return {"played": _playout.played, "lost": _playout.lost, "late": _playout.late, "skipped": _playout.skipped}


func _place(where: Node, scene: PackedScene, bus: StringName) -> String:
	node = scene.instantiate() if scene else AudioStreamPlayer3D.new()
	player = _find_player(node)
	if not player:
		node.free()
		node = null
		return "speaker_scene has no AudioStreamPlayer, AudioStreamPlayer2D or AudioStreamPlayer3D"
	if not scene:
		player.set("bus", bus)
	node.name = "Speaker_%s" % user
	_playout = Playout.new(player)
	where.add_child(node)
	return ""


func _remove() -> void:
	_playout = null
	player = null
	if is_instance_valid(node):
		node.queue_free()
	node = null


static func _find_player(root: Node) -> Node:
	for kind: String in ["AudioStreamPlayer3D", "AudioStreamPlayer2D", "AudioStreamPlayer"]:
		if root.is_class(kind):
			return root
		var found := root.find_children("*", kind, true, false)
		if not found.is_empty():
			return found[0]
	return null
