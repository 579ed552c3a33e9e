//! Signals, and frames of them.

use std::time::Duration;

use bytes::Bytes;
use uro_discord_opus::{Application, Decoder, Encoder};

use crate::{Error, SAMPLES};

/// The tone of bursts, and how long a look for it is: 2.5 ms.
const BURST: f32 = 2_000.0;
const LOOK: usize = 120;
/// A burst begins every so many frames, and is so long.
const EVERY: u32 = 20;
const LONG: u32 = 5;
/// A burst is there when its tone is as loud as this.
const LOUD: f32 = 0.15;

/// As those who speak, it pauses: for the last 15 of 100 frames. In a pause a stream goes to where it should be.
const PAUSE: (u32, u32) = (85, 100);

/// A hum, and bursts of a tone in it or none.
#[derive(Clone, Copy)]
pub struct Signal {
    pub hum: f32,
    pub bursts: bool,
}

impl Signal {
    fn sample(self, number: u32, at: u32) -> f32 {
        // Whole periods of both go into a second.
        let time = f64::from((number * SAMPLES + at) % 48_000) / 48_000.0;
        let sine = |hertz: f32| (std::f64::consts::TAU * f64::from(hertz) * time).sin() as f32;
        let burst = self.bursts && number % EVERY < LONG;
        let hum = if number % PAUSE.1 < PAUSE.0 {
            0.1
        } else {
            0.0005
        };
        hum * sine(self.hum) + if burst { 0.4 * sine(BURST) } else { 0.0 }
    }

    fn frame(self, number: u32) -> Vec<f32> {
        (0..SAMPLES).map(|at| self.sample(number, at)).collect()
    }
}

/// Speaks a signal, by an encoder as browsers have it.
pub struct Mouth {
    encoder: Encoder,
    signal: Signal,
    number: u32,
}

impl Mouth {
    pub fn new(signal: Signal) -> Result<Self, Error> {
        Ok(Self {
            encoder: Encoder::new(1, Application::Voip, 32_000, 9)?,
            signal,
            number: 0,
        })
    }

    pub fn frame(&mut self) -> Result<Bytes, Error> {
        let frame = self.signal.frame(self.number);
        self.number += 1;
        encode(&mut self.encoder, &frame)
    }

    pub fn frames(mut self, count: usize) -> Result<Vec<Bytes>, Error> {
        (0..count).map(|_| self.frame()).collect()
    }
}

pub fn encode(encoder: &mut Encoder, frame: &[f32]) -> Result<Bytes, Error> {
    let mut packet = [0; 1_275];
    let length = encoder.encode(frame, &mut packet)?;
    Ok(Bytes::copy_from_slice(&packet[..length]))
}

/// Hears when bursts begin.
pub struct Ear {
    decoder: Decoder,
    loud: bool,
}

impl Ear {
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            decoder: Decoder::new(1)?,
            loud: false,
        })
    }

    /// How far into the packet a burst begins, if one does.
    pub fn hear(&mut self, packet: &[u8]) -> Result<Option<Duration>, Error> {
        let mut samples = [0.0; 5_760];
        let count = self.decoder.decode(packet, &mut samples)?;
        let mut began = None;
        for (place, look) in samples[..count].chunks_exact(LOOK).enumerate() {
            let loud = amplitude(look) > LOUD;
            if loud && !self.loud {
                began.get_or_insert(Duration::from_micros(2_500) * place as u32);
            }
            self.loud = loud;
        }
        Ok(began)
    }
}

/// How loud the burst's tone is.
fn amplitude(look: &[f32]) -> f32 {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (at, sample) in look.iter().enumerate() {
        let angle = std::f32::consts::TAU * BURST * at as f32 / 48_000.0;
        real += sample * angle.cos();
        imaginary += sample * angle.sin();
    }
    2.0 * real.hypot(imaginary) / look.len() as f32
}
