//! A datagram taken for an answer to IP discovery.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uro_discord_voice::fuzzing::discovery(data));
