#![doc = include_str!("../README.md")]
#![warn(clippy::undocumented_unsafe_blocks)]

mod decoder;
mod encoder;
mod packet;

pub use decoder::Decoder;
pub use encoder::{Application, Encoder, Mode};
pub use packet::{LONGEST, frame_samples, samples};

/// Samples in a second.
const RATE: i32 = 48_000;

/// Why something cannot be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is empty.
    #[error("there is no packet")]
    NoPacket,
    /// The decoder does not take it.
    #[error("it cannot be decoded")]
    Decode(#[from] opus_pure::Error),
    /// The encoder does not take it; libopus's number for the reason.
    #[error("libopus does not encode it (error {0})")]
    Encode(i32),
}
