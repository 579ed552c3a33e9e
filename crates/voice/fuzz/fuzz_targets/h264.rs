//! Payloads of H.264, and a frame.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uro_discord_voice::fuzzing::h264(data));
