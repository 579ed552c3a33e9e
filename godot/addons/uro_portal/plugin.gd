@tool
extends EditorPlugin
## Shows UroPortal among the nodes, and offers to set what the project needs.

const Advice := preload("advice.gd")
const ITEM := "Uro Portal: set what voice needs"


func _enter_tree() -> void:
	add_tool_menu_item(ITEM, _set_up)


func _exit_tree() -> void:
	remove_tool_menu_item(ITEM)


func _set_up() -> void:
	var changed := Advice.apply()
	var error := ProjectSettings.save()
	if error != OK:
		push_error("Uro Portal: project.godot was not written: %s" % error_string(error))
		return
	print("Uro Portal: %s" % ("nothing was to change" if changed.is_empty() else "set " + ", ".join(changed)))
