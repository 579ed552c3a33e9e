//! Tones, by which those who hear them know who speaks.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::{BTreeMap, VecDeque};
use uro_portal_peer::codec::Decoder;
use uro_portal_peer::signal::share;

/// Samples in which a tone is looked for: the last fifth of a second.
const WINDOW: usize = 9_600;

/// The share of a tone that stands for nothing else being heard, and of one of which packets were lost.
pub const CLEAR: f64 = 0.7;
pub const MENDED: f64 = 0.5;

/// What is heard, by speaker.
#[derive(Default)]
pub struct Ears(BTreeMap<u64, Ear>);

struct Ear {
    decoder: Decoder,
    samples: VecDeque<f32>,
}

impl Ears {
    /// Takes a packet. The share of this tone in what the speaker said last, or nothing before he has said enough.
    pub fn hear(&mut self, speaker: u64, packet: &[u8], hertz: f64) -> f64 {
        let ear = self.0.entry(speaker).or_insert_with(|| Ear {
            decoder: Decoder::new().expect("a decoder"),
            samples: VecDeque::new(),
        });
        ear.samples.extend(ear.decoder.decode(packet).unwrap());
        let old = ear.samples.len().saturating_sub(WINDOW);
        ear.samples.drain(..old);
        if ear.samples.len() < WINDOW {
            return 0.0;
        }
        share(ear.samples.make_contiguous(), hertz)
    }
}
