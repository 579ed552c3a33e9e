//! What the tests of the endpoint share.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(dead_code, reason = "each test uses another part of it")]

pub mod call;
pub mod client;
pub mod guest;
pub mod heard;
pub mod relay;
pub mod server;

use std::{path::Path, time::Duration};

use call::Person;
use relay::Conditions;
use uro_portal_peer::{signal::Signal, source::pcm};

/// What people in the call sound like. Their tones fit into frames a whole number of times.
pub const ANN: Person = Person {
    user: 80_351_110_224_678_912,
    name: "Ann",
    hertz: Some(550.0),
};
pub const BOB: Person = Person {
    user: 80_351_110_224_678_913,
    name: "Bob",
    hertz: Some(750.0),
};
/// And a guest.
pub const GUEST: f64 = 400.0;
pub const ANOTHER: f64 = 950.0;

/// The share of a tone that stands for nothing else being heard, and of one that was mended.
pub const CLEAR: f64 = 0.7;
pub const MENDED: f64 = 0.5;

/// A network that loses 3 % and holds up by 50 ms.
pub const BAD: Conditions = Conditions {
    loss: 0.03,
    jitter: Duration::from_millis(50),
    seed: 12,
};

/// What the microphone hears, again and again: a second of a tone (WAV).
pub fn record(path: &Path, hertz: f64) {
    let mut samples = vec![0.0; 48_000];
    Signal::tone(hertz).fill(&mut samples);
    let samples = pcm(&samples);
    let size = samples.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + size).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    for number in [1_u16, 1] {
        file.extend(number.to_le_bytes());
    }
    for number in [48_000_u32, 96_000] {
        file.extend(number.to_le_bytes());
    }
    for number in [2_u16, 16] {
        file.extend(number.to_le_bytes());
    }
    file.extend(b"data");
    file.extend(size.to_le_bytes());
    file.extend(samples);
    std::fs::write(path, file).unwrap();
}
