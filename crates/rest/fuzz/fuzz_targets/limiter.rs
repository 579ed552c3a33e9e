//! Whatever happens to the limiter, its timers are in the future and nobody waits in vain.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| uro_discord_rest::script::run(script));
