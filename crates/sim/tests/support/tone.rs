//! Tones, by which those who hear them know who speaks.

use base64::{Engine, engine::general_purpose::STANDARD};

const RATE: f64 = 48_000.0;

/// Samples from base64 of 16 bits each, little endian.
pub fn samples(base64: &str) -> Vec<f64> {
    let bytes = STANDARD.decode(base64).unwrap();
    bytes
        .chunks_exact(2)
        .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])))
        .collect()
}

/// The share of the samples' energy that is in a tone (Goertzel).
pub fn share(samples: &[f64], hertz: u32) -> f64 {
    let coefficient = 2.0 * (std::f64::consts::TAU * f64::from(hertz) / RATE).cos();
    let (last, before) = samples.iter().fold((0.0, 0.0), |(last, before), sample| {
        (sample + coefficient * last - before, last)
    });
    let power = last * last + before * before - coefficient * last * before;
    let energy: f64 = samples.iter().map(|sample| sample * sample).sum();
    2.0 * power / (samples.len() as f64 * energy)
}
