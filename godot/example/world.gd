extends Node3D
## Puts whoever is in the call on a circle around the player, and says how the connection is.

const RADIUS := 3.0

@onready var _portal: UroPortal = $UroPortal
@onready var _state: Label = $State


func _ready() -> void:
	var link := OS.get_environment("URO_PORTAL")
	if link != "":
		_portal.address = link
	_portal.connected.connect(func() -> void: _state.text = "In the call")
	_portal.disconnected.connect(func(reason: String) -> void: _state.text = "Not in the call: " + reason)
	_portal.error.connect(func(_code: String, message: String) -> void: _state.text = message)
	_portal.speaker_joined.connect(_on_speaker_joined)
	_portal.speaker_left.connect(_on_speaker_left)
	_portal.speaking_changed.connect(_on_speaking_changed)
	if _portal.address == "":
		_state.text = "Set the address of the node UroPortal to the link that bin/demo prints."
	else:
		_state.text = "Connecting …"
		_portal.open()


func _on_speaker_joined(speaker: UroPortalSpeaker) -> void:
	var label: Label3D = speaker.node.get_node("Name")
	label.text = speaker.name
	_arrange(_portal.speakers())


func _on_speaker_left(_speaker: UroPortalSpeaker) -> void:
	_arrange(_portal.speakers())


func _on_speaking_changed(speaker: UroPortalSpeaker, speaking: bool) -> void:
	var body: MeshInstance3D = speaker.node.get_node("Body")
	var material: StandardMaterial3D = body.get_active_material(0)
	material.emission_energy_multiplier = 1.0 if speaking else 0.0


## The first stands in front, the others to both sides.
func _arrange(speakers: Array[UroPortalSpeaker]) -> void:
	for index in speakers.size():
		var side := 1.0 if index % 2 == 0 else -1.0
		var angle := side * ceilf(index / 2.0) * 0.6
		var body: Node3D = speakers[index].node
		if body:
			body.position = Vector3(sin(angle), 0.0, -cos(angle)) * RADIUS
