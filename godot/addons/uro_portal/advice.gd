@tool
extends RefCounted
## Which project settings voice needs, and what goes wrong without.

const BUFFER := "network/limits/webrtc/max_channel_in_buffer_kb"
const BUFFER_KB := 1024
const RATE := "audio/driver/mix_rate"
const RATE_WEB := "audio/driver/mix_rate.web"
const INPUT := "audio/driver/enable_input"
## Discord's, and so the portal's.
const HERTZ := 48000


## What to change, a sentence each.
static func warnings(microphone: bool) -> PackedStringArray:
	var list := PackedStringArray()
	if int(ProjectSettings.get_setting(BUFFER, 64)) < BUFFER_KB:
		list.push_back("Set %s to %d or more: when the game stalls, voices are lost with less." % [BUFFER, BUFFER_KB])
	if not Engine.is_editor_hint() and roundi(AudioServer.get_mix_rate()) != HERTZ:
		list.push_back("Set %s and %s to %d: sound is resampled to it, as it is mixed at %d Hz." % [RATE, RATE_WEB, HERTZ, roundi(AudioServer.get_mix_rate())])
	if microphone and not bool(ProjectSettings.get_setting(INPUT, false)):
		list.push_back("Set %s to true: without it there is no microphone." % INPUT)
	return list


## Sets all of it in the project, without saving; what was changed.
static func apply() -> PackedStringArray:
	var changed := PackedStringArray()
	for wanted: Array in [[BUFFER, BUFFER_KB], [RATE, HERTZ], [RATE_WEB, HERTZ], [INPUT, true]]:
		var setting: String = wanted[0]
		var enough: bool = setting == BUFFER and int(ProjectSettings.get_setting(BUFFER, 64)) >= BUFFER_KB
		if enough or ProjectSettings.get_setting(setting) == wanted[1]:
			continue
		ProjectSettings.set_setting(setting, wanted[1])
		changed.push_back("%s=%s" % [setting, wanted[1]])
	return changed
