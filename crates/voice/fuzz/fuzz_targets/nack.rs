//! A datagram taken for RTCP with feedback.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uro_discord_voice::fuzzing::nack(data));
