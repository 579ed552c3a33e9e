@icon("icon.svg")
class_name UroPortalCamera
extends Node
## Shows this world to whoever watches the portal: what a viewport or a texture shows goes there as pictures (JPEG), as many and as large as the way carries. A
## portal shows one camera of a world. Whoever may watch sees it while it is on air: say so to those who are in the picture (`on_air`).

## Its pictures are seen by those who watch, or are so no longer.
signal on_air_changed(on_air: bool)

const Pace := preload("picture_pace.gd")
const PicturePacket := preload("picture_packet.gd")
## The most pixels that a portal takes.
const LARGEST := Vector2i(1920, 1080)
const SMALLEST := Vector2i(16, 16)
## Where nothing is drawn for so long, in seconds, that is said.
const BLANK := 3.0

## The portal; none: the one above this node.
@export var portal: UroPortal
## What is shown; none, and no texture: what the player sees.
@export var viewport: Viewport
## What is shown instead of a viewport.
@export var texture: Texture2D
## Off: it is no camera, and nothing is sent.
@export var enabled := true:
	set(value):
		enabled = value
		if _portal:
			_portal._tell_pictures()
## Pictures a second.
@export_range(1, 30) var max_fps := 15
## Pictures are made smaller until they fit into this.
@export var max_size := Vector2i(640, 360)
## Of JPEG.
@export_range(0.1, 1.0) var quality := 0.75

## Its pictures are seen by those who watch.
var on_air := false

var _portal: UroPortal
var _pace := Pace.new()
var _blank := 0.0


func _enter_tree() -> void:
	_portal = portal if portal else UroPortal.above(self)
	if not _portal:
		push_warning("UroPortalCamera: it has no portal: set `portal`, or put it under a UroPortal")
	elif not _portal._add_camera(self):
		_portal = null


func _exit_tree() -> void:
	if _portal:
		_portal._remove_camera(self)
	_portal = null
	_set_on_air(false)


## How it is: `step` is 0 at best; `fps`, `size` (a share of max_size) and `quality` are what it has come to.
func statistics() -> Dictionary:
	return {"step": _pace.step, "fps": 1.0 / _pace.interval(), "size": _pace.size(), "quality": quality * _pace.quality()}


func _process(delta: float) -> void:
	if not enabled or not _portal or not _portal._can_show():
		return
	_pace.rate = max_fps
	if not _pace.due(delta, _portal._picture_backlog()):
		return
	var image := _take()
	if not image:
		_say_blank()
		return
	_blank = 0.0
	var jpeg := image.save_jpg_to_buffer(quality * _pace.quality())
	if jpeg.size() > PicturePacket.LIMIT:
		_pace.shrink()
	elif not jpeg.is_empty():
		_portal._show(jpeg)


func _take() -> Image:
	var source := texture
	if not source:
		source = (viewport if viewport else get_viewport()).get_texture()
	var image := source.get_image()
	if not image or image.is_empty() or (image.is_compressed() and image.decompress() != OK):
		return null
	var size := fitted(image.get_size(), Vector2(max_size.clamp(SMALLEST, LARGEST)) * _pace.size())
	if size != image.get_size():
		image.resize(size.x, size.y, Image.INTERPOLATE_BILINEAR)
	image.convert(Image.FORMAT_RGB8)
	return image


## Without a renderer, as with --headless, there are no pictures.
func _say_blank() -> void:
	var before := _blank
	_blank += _pace.interval()
	if before < BLANK and _blank >= BLANK:
		_portal._fail("no_picture", "nothing is drawn that a camera could show: with --headless there are no pictures, run it in a display (Xvfb)")


func _set_on_air(value: bool) -> void:
	if on_air != value:
		on_air = value
		on_air_changed.emit(value)


## The size of a picture in so much room: never larger than it is, its sides even, as JPEG's colours have them.
static func fitted(size: Vector2i, room: Vector2) -> Vector2i:
	var share := minf(1.0, minf(room.x / size.x, room.y / size.y))
	return Vector2i(maxi(roundi(size.x * share) & ~1, 2), maxi(roundi(size.y * share) & ~1, 2))
