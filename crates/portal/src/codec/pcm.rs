//! Samples as they are: 16 bits, little endian, mono.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Error, LONGEST, Shape};

/// How much a made-up sample is of the one that it repeats: after 20 ms half is left.
const FADE: f32 = 0.999_3;

pub(super) fn samples(packet: &[u8]) -> Option<usize> {
    let count = packet.len() / 2;
    (packet.len().is_multiple_of(2) && (1..=LONGEST).contains(&count)).then_some(count)
}

pub(super) struct Encoder;

impl super::Encoder for Encoder {
    fn encode(&mut self, pcm: &[f32], _: Shape) -> Result<Bytes, Error> {
        let mut packet = BytesMut::with_capacity(pcm.len());
        for both in pcm.chunks_exact(2) {
            let sample = f32::midpoint(both[0], both[1]) * 32_767.0;
            packet.put_i16_le(sample.round() as i16);
        }
        Ok(packet.freeze())
    }

    fn split(&self) -> Box<dyn super::Encoder> {
        Box::new(Self)
    }
}

/// It conceals by the last 10 ms, backwards and forwards and ever softer: there is no step at either end.
#[derive(Default)]
pub(super) struct Decoder {
    last: Vec<f32>,
    /// How many samples were made up since the last real one.
    made_up: usize,
}

/// What is repeated.
const REPEATED: usize = 480;

impl super::Decoder for Decoder {
    fn decode(&mut self, packet: &[u8], pcm: &mut Vec<f32>) -> Result<usize, Error> {
        let (samples, _) = packet.as_chunks::<2>();
        let values = samples
            .iter()
            .map(|two| f32::from(i16::from_le_bytes(*two)) / 32_768.0);
        let start = pcm.len();
        for value in values {
            pcm.extend([value, value]);
        }
        let decoded = &pcm[start..];
        let from = decoded.len().saturating_sub(2 * REPEATED);
        self.last.clear();
        self.last.extend(decoded[from..].iter().step_by(2));
        self.made_up = 0;
        Ok(samples.len())
    }

    fn conceal(&mut self, samples: usize, _: Option<&[u8]>, pcm: &mut Vec<f32>) {
        let length = self.last.len();
        for _ in 0..samples {
            let place = self.made_up % (2 * length).max(1);
            let mirrored = if place < length {
                length - 1 - place
            } else {
                place - length
            };
            let sample = self.last.get(mirrored).copied().unwrap_or(0.0);
            let fade = FADE.powi(i32::try_from(self.made_up).unwrap_or(i32::MAX));
            pcm.extend([sample * fade; 2]);
            self.made_up += 1;
        }
    }
}
