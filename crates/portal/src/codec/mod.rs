//! Packets to samples and back. Samples are interleaved stereo at 48 kHz everywhere inside.

mod opus;
mod pcm;
pub(crate) mod toc;

use bytes::Bytes;
use uro_discord_opus::{LONGEST, Mode};

use crate::room::{Codec, Format};

/// Samples of each channel in the 20 ms that a room counts in.
pub(crate) const FRAME: usize = 960;

/// What a codec has against a packet.
pub(crate) type Error = uro_discord_opus::Error;

/// How a frame is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// In this mode, if there are several.
    pub(crate) mode: Option<Mode>,
    /// Both channels, not their mean.
    pub(crate) wide: bool,
}

/// Writes packets.
pub(crate) trait Encoder: Send {
    /// Interleaved stereo becomes a packet.
    fn encode(&mut self, pcm: &[f32], shape: Shape) -> Result<Bytes, Error>;
    /// Another one that goes on as this one would.
    fn split(&self) -> Box<dyn Encoder>;
}

/// Reads packets.
pub(crate) trait Decoder: Send {
    /// Adds a packet's samples, and says how many there are of each channel.
    fn decode(&mut self, packet: &[u8], pcm: &mut Vec<f32>) -> Result<usize, Error>;
    /// Adds what may have been in a lost packet of so many samples; the one after it may know.
    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<f32>);
}

/// For the mix of several: the frame's length, and as many channels as there are.
pub(crate) fn encoder(format: Format) -> Result<Box<dyn Encoder>, Error> {
    Ok(match format.codec {
        Codec::Opus => Box::new(opus::Encoder::new(format.channels)?),
        Codec::Pcm => Box::new(pcm::Encoder),
    })
}

pub(crate) fn decoder(codec: Codec) -> Result<Box<dyn Decoder>, Error> {
    Ok(match codec {
        Codec::Opus => Box::new(opus::Decoder::new()?),
        Codec::Pcm => Box::new(pcm::Decoder::default()),
    })
}

/// The samples of each channel in a packet; `None` if it is none.
pub(crate) fn samples(codec: Codec, packet: &[u8]) -> Option<usize> {
    match codec {
        Codec::Opus => toc::samples(packet),
        Codec::Pcm => pcm::samples(packet),
    }
}
