//! What a peer publishes, frame by frame.

use bytes::Bytes;

use crate::{
    codec::{CodecError, Decoder, Encoder},
    control::{Codec, Voice},
    signal::Signal,
};

/// Frames to publish.
pub struct Source {
    voice: Voice,
    from: From,
    /// Samples of a file that do not fill a frame yet.
    rest: Vec<f32>,
}

enum From {
    Signal {
        signal: Signal,
        encoder: Box<Encoder>,
    },
    File {
        packets: Vec<(u32, Bytes)>,
        next: usize,
        repeat: bool,
        decoder: Box<Decoder>,
    },
}

impl Source {
    /// Of a signal, without end.
    ///
    /// # Errors
    /// When the codec cannot be had.
    pub fn signal(signal: Signal, voice: Voice) -> Result<Self, CodecError> {
        let encoder = Box::new(Encoder::new()?);
        Ok(Self::new(voice, From::Signal { signal, encoder }))
    }

    /// Of the packets of a file; those of Opus stay as they are.
    ///
    /// # Errors
    /// When the codec cannot be had.
    pub fn file(
        packets: Vec<(u32, Bytes)>,
        repeat: bool,
        voice: Voice,
    ) -> Result<Self, CodecError> {
        let decoder = Box::new(Decoder::new()?);
        let from = From::File {
            packets,
            next: 0,
            repeat,
            decoder,
        };
        Ok(Self::new(voice, from))
    }

    fn new(voice: Voice, from: From) -> Self {
        Self {
            voice,
            from,
            rest: Vec::new(),
        }
    }

    /// The next frame and how many samples it has; `None` at the end.
    ///
    /// # Errors
    /// When the codec fails.
    pub fn frame(&mut self) -> Result<Option<(u32, Bytes)>, CodecError> {
        let samples = self.voice.samples();
        match &mut self.from {
            From::Signal { signal, encoder } => {
                let mut frame = vec![0.0; samples as usize];
                signal.fill(&mut frame);
                let payload = match self.voice.codec {
                    Codec::Opus => encoder.encode(&frame)?,
                    Codec::Pcm => pcm(&frame),
                };
                Ok(Some((samples, payload)))
            }
            From::File {
                packets,
                next,
                repeat,
                decoder,
            } => {
                while self.voice.codec == Codec::Opus || self.rest.len() < samples as usize {
                    if *next == packets.len() && *repeat {
                        *next = 0;
                    }
                    let Some((samples, packet)) = packets.get(*next) else {
                        return Ok(None);
                    };
                    *next += 1;
                    if self.voice.codec == Codec::Opus {
                        return Ok(Some((*samples, packet.clone())));
                    }
                    self.rest.extend(decoder.decode(packet)?);
                }
                let frame: Vec<f32> = self.rest.drain(..samples as usize).collect();
                Ok(Some((samples, pcm(&frame))))
            }
        }
    }
}

/// Samples as they are on a data channel.
#[must_use]
pub fn pcm(samples: &[f32]) -> Bytes {
    samples
        .iter()
        .flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes())
        .collect()
}

/// Samples from a data channel.
#[must_use]
pub fn from_pcm(payload: &[u8]) -> Vec<f32> {
    payload
        .chunks_exact(2)
        .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
        .collect()
}
