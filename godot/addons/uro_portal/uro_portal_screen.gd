@icon("icon.svg")
class_name UroPortalScreen
extends Node
## Shows the picture that is on air in the portal, of another world or of somebody who sends pictures (JPEG): `texture` is for whatever is to show it, from
## the start on, and is black while there is none.

## The picture is another one, or there is none: `texture.get_size()` is how large it is.
signal picture_changed(is_there: bool)

## Nothing came for so long, in seconds: there is no picture any more.
const OLD := 10.0

## The portal; none: the one above this node.
@export var portal: UroPortal

var texture := ImageTexture.create_from_image(_black())
## There is a picture.
var is_there := false

var _portal: UroPortal
var _since := 0.0


func _enter_tree() -> void:
	_portal = portal if portal else UroPortal.above(self)
	if _portal:
		_portal._add_screen(self)
	else:
		push_warning("UroPortalScreen: it has no portal: set `portal`, or put it under a UroPortal")


func _exit_tree() -> void:
	if _portal:
		_portal._remove_screen(self)
	_portal = null
	_clear()


func _process(delta: float) -> void:
	_since += delta
	if _since > OLD:
		_clear()


func _show(image: Image) -> void:
	_since = 0.0
	is_there = true
	if Vector2i(texture.get_size()) == image.get_size() and texture.get_format() == image.get_format():
		texture.update(image)
	else:
		texture.set_image(image)
	picture_changed.emit(true)


func _clear() -> void:
	if not is_there:
		return
	is_there = false
	texture.set_image(_black())
	picture_changed.emit(false)


static func _black() -> Image:
	return Image.create_empty(16, 9, false, Image.FORMAT_RGB8)
