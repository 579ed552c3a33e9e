//! Opus, by `crates/opus`.

use bytes::Bytes;
use uro_discord_opus::{self as opus, Application};

use super::{Error, LONGEST, Shape, toc};

/// Bits of a second for speech in one channel and in two: above what Discord's own clients use.
const BIT_RATE: [i32; 2] = [64_000, 96_000];

/// Of 10: what lies above costs half as much again and cannot be heard at these rates.
const COMPLEXITY: i32 = 5;

/// The longest packet.
const MAX_PACKET: usize = 1275;

#[derive(Clone)]
pub(super) struct Encoder {
    state: opus::Encoder,
    channels: usize,
    shape: Shape,
    mono: Vec<f32>,
}

impl Encoder {
    pub(super) fn new(channels: u8) -> Result<Self, Error> {
        let channels = usize::from(channels);
        let wide = channels == 2;
        let rate = BIT_RATE[usize::from(wide)];
        Ok(Self {
            state: opus::Encoder::new(channels, Application::Audio, rate, COMPLEXITY)?,
            channels,
            shape: Shape { mode: None, wide },
            mono: Vec::new(),
        })
    }

    fn shape(&mut self, shape: Shape) -> Result<(), Error> {
        if self.shape.mode != shape.mode {
            self.state.force_mode(shape.mode)?;
        }
        if self.channels == 2 && self.shape.wide != shape.wide {
            self.state.force_channels(if shape.wide { 2 } else { 1 })?;
            self.state.bit_rate(BIT_RATE[usize::from(shape.wide)])?;
        }
        self.shape = shape;
        Ok(())
    }
}

impl super::Encoder for Encoder {
    fn encode(&mut self, pcm: &[f32], shape: Shape) -> Result<Bytes, Error> {
        self.shape(shape)?;
        let mut packet = [0; MAX_PACKET];
        let size = if self.channels == 2 {
            self.state.encode(pcm, &mut packet)?
        } else {
            self.mono.clear();
            self.mono.extend(
                pcm.chunks_exact(2)
                    .map(|both| f32::midpoint(both[0], both[1])),
            );
            self.state.encode(&self.mono, &mut packet)?
        };
        Ok(Bytes::copy_from_slice(&packet[..size]))
    }

    fn split(&self) -> Box<dyn super::Encoder> {
        Box::new(self.clone())
    }
}

pub(super) struct Decoder(opus::Decoder);

impl Decoder {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self(opus::Decoder::new(2)?))
    }
}

impl super::Decoder for Decoder {
    fn decode(&mut self, packet: &[u8], pcm: &mut Vec<f32>) -> Result<usize, Error> {
        let start = pcm.len();
        pcm.resize(start + 2 * toc::samples(packet).unwrap_or(LONGEST), 0.0);
        let decoded = self.0.decode(packet, &mut pcm[start..]);
        let samples = *decoded.as_ref().unwrap_or(&0);
        pcm.truncate(start + 2 * samples);
        decoded
    }

    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<f32>) {
        let start = pcm.len();
        pcm.resize(start + 2 * samples, 0.0);
        let room = &mut pcm[start..];
        let done = match next {
            Some(next) => self.0.recover(next, room),
            None => self.0.conceal(room),
        };
        if done.is_err() {
            // Of a length that Opus has not, or the next one is no packet: silence.
            pcm[start..].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decoder as _;
    use super::*;

    /// What is lost is in the packet after it (in-band FEC), and better than what a decoder makes up.
    #[test]
    fn what_is_lost_is_recovered() {
        let mut encoder = opus::Encoder::new(1, Application::Voip, 32_000, 5).unwrap();
        encoder.force_mode(Some(opus::Mode::Hybrid)).unwrap();
        encoder.protect(25).unwrap();
        let mut random = fastrand::Rng::with_seed(2);
        let mut hertz = 150.0;
        let mut phase = 0.0_f32;
        let packets: Vec<Vec<u8>> = (0..200)
            .map(|_| {
                hertz = (hertz + (random.f32() - 0.5) * 40.0).clamp(100.0, 250.0);
                let loud = 0.1 + 0.3 * random.f32();
                let pcm: Vec<f32> = (0..960)
                    .map(|_| {
                        phase += hertz / 48_000.0 * std::f32::consts::TAU;
                        (1..8_u8).map(|k| (phase * f32::from(k)).sin()).sum::<f32>() * loud / 4.0
                    })
                    .collect();
                let mut packet = [0; MAX_PACKET];
                let size = encoder.encode(&pcm, &mut packet).unwrap();
                packet[..size].to_vec()
            })
            .collect();
        let heard = |lose: bool, fec: bool| {
            let mut decoder = Decoder::new().unwrap();
            let mut pcm = Vec::new();
            for (n, packet) in packets.iter().enumerate() {
                if lose && n % 10 == 5 {
                    let next = packets.get(n + 1).filter(|_| fec);
                    decoder.conceal(960, next.map(Vec::as_slice), &mut pcm);
                } else {
                    decoder.decode(packet, &mut pcm).unwrap();
                }
            }
            pcm
        };
        let whole = heard(false, false);
        let off = |pcm: &[f32]| -> f32 {
            let difference = whole.iter().zip(pcm).map(|(a, b)| (a - b).powi(2));
            let power: f32 = whole.iter().map(|a| a * a).sum();
            10.0 * (difference.sum::<f32>() / power).log10()
        };
        let (with, without) = (off(&heard(true, true)), off(&heard(true, false)));
        assert!(
            with < without - 2.0,
            "with {with:.1} dB, without {without:.1} dB"
        );
    }
}
