//! A stream of video packets, some retransmitted.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| uro_discord_voice::fuzzing::video_packets(data));
