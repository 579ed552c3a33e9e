//! Opus, of one channel.

use bytes::Bytes;
use uro_discord_opus::Application;

/// What the codec says when it fails.
pub type CodecError = uro_discord_opus::Error;

const BITS_A_SECOND: i32 = 64_000;
const COMPLEXITY: i32 = 5;
/// The longest packet there is, of 120 ms.
const LONGEST: usize = 5_760;
/// No packet is larger.
const LARGEST: usize = 1_275;

/// Makes packets.
#[derive(Debug)]
pub struct Encoder {
    encoder: uro_discord_opus::Encoder,
    packet: Vec<u8>,
}

impl Encoder {
    /// With what suits speech and tones.
    ///
    /// # Errors
    /// When the codec cannot be had.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self {
            encoder: uro_discord_opus::Encoder::new(
                1,
                Application::Audio,
                BITS_A_SECOND,
                COMPLEXITY,
            )?,
            packet: vec![0; LARGEST],
        })
    }

    /// Makes a packet of samples: 480 or 960.
    ///
    /// # Errors
    /// When there are as many as no packet has.
    pub fn encode(&mut self, samples: &[f32]) -> Result<Bytes, CodecError> {
        let length = self.encoder.encode(samples, &mut self.packet)?;
        Ok(Bytes::copy_from_slice(&self.packet[..length]))
    }
}

/// Reads packets; those of two channels become one.
#[derive(Debug)]
pub struct Decoder {
    decoder: uro_discord_opus::Decoder,
    samples: Vec<f32>,
}

impl Decoder {
    /// One for each stream.
    ///
    /// # Errors
    /// When the codec cannot be had.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self {
            decoder: uro_discord_opus::Decoder::new(1)?,
            samples: vec![0.0; LONGEST],
        })
    }

    /// The samples of a packet.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[f32], CodecError> {
        let samples = self.decoder.decode(packet, &mut self.samples)?;
        Ok(&self.samples[..samples])
    }

    /// So many samples in place of those that were lost.
    ///
    /// # Errors
    /// When there are as many as no packet has.
    pub fn conceal(&mut self, samples: usize) -> Result<&[f32], CodecError> {
        let samples = &mut self.samples[..samples.min(LONGEST)];
        self.decoder.conceal(samples)?;
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{Signal, share};

    #[test]
    fn a_tone_survives_both_frame_lengths() {
        for length in [480, 960] {
            let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
            let mut signal = Signal::tone(440.0);
            let mut heard = Vec::new();
            for _ in 0..50 {
                let mut frame = vec![0.0; length];
                signal.fill(&mut frame);
                let packet = encoder.encode(&frame).unwrap();
                assert_eq!(crate::recording::samples(&packet), Some(length as u32));
                heard.extend(decoder.decode(&packet).unwrap());
            }
            assert!(share(&heard[4_800..], 440.0) > 0.95);
        }
    }
}
