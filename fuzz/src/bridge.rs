//! What Discord's gateway sends, and what a shard tells it.

use crate::Target;

pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("bridge-payload", uro_discord_bridge::fuzzing::payload),
    ("bridge-commands", uro_discord_bridge::fuzzing::commands),
    ("bridge-shard", uro_discord_bridge::fuzzing::shard),
];
