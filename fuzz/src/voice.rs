//! What a voice server sends, and the session as a machine.

use crate::Target;
use uro_discord_voice::fuzzing;

pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("voice-binary", fuzzing::binary),
    ("voice-core", fuzzing::core),
    ("voice-dave-decrypt", fuzzing::dave_decrypt),
    ("voice-discovery", fuzzing::discovery),
    ("voice-text", fuzzing::text),
];
