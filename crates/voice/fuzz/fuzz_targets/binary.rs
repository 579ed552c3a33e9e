//! A binary message of the voice gateway, MLS and all, to somebody in a group.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uro_discord_voice::fuzzing::binary(data));
