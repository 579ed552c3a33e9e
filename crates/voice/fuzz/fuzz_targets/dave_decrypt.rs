//! A frame, from somebody in the group and from somebody who is not.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uro_discord_voice::fuzzing::dave_decrypt(data));
