extends Node
## V-Sekai's VSKNetworkManager, as far as voice knows it.

var player_display_names := {2: "Lyuma"}
