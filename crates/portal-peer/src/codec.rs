//! Opus, of one channel.

use bytes::Bytes;
use opus_pure::{Application, MAX_PACKET_BYTES, OpusDecoder, OpusEncoder};

/// What the codec says when it fails.
pub type CodecError = opus_pure::Error;

const RATE: i32 = 48_000;
const BITS_A_SECOND: i32 = 64_000;
/// The longest packet there is, of 120 ms.
const LONGEST: usize = 5_760;

/// Makes packets.
pub struct Encoder {
    encoder: OpusEncoder,
    packet: Vec<u8>,
}

impl Encoder {
    /// With what suits speech and tones.
    ///
    /// # Errors
    /// When the codec cannot be had.
    pub fn new() -> Result<Self, CodecError> {
        let mut encoder = OpusEncoder::new(RATE, 1, Application::Audio)?;
        encoder.bitrate_bps = BITS_A_SECOND;
        Ok(Self {
            encoder,
            packet: vec![0; MAX_PACKET_BYTES],
        })
    }

    /// Makes a packet of samples: 480 or 960.
    ///
    /// # Errors
    /// When there are as many as no packet has.
    pub fn encode(&mut self, samples: &[f32]) -> Result<Bytes, CodecError> {
        let length = self
            .encoder
            .encode(samples, samples.len(), &mut self.packet)?;
        Ok(Bytes::copy_from_slice(&self.packet[..length]))
    }
}

/// Reads packets; those of two channels become one.
pub struct Decoder {
    decoder: OpusDecoder,
    samples: Vec<f32>,
}

impl Decoder {
    /// One for each stream.
    ///
    /// # Errors
    /// When the codec cannot be had.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self {
            decoder: OpusDecoder::new(RATE, 1)?,
            samples: vec![0.0; LONGEST],
        })
    }

    /// The samples of a packet.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[f32], CodecError> {
        let samples = self.decoder.decode(packet, LONGEST, &mut self.samples)?;
        Ok(&self.samples[..samples])
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
