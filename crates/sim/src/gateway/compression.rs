//! Transport compression: one stream for the whole connection, flushed after each message.

use axum::extract::ws::Message;
use flate2::{Compress, FlushCompress, Status};
use zstd::stream::raw::{Encoder, Operation, OutBuffer};

const CHUNK: usize = 16 * 1024;

/// How a connection's messages to the client are packed.
pub enum Compression {
    /// Text frames.
    None,
    /// `zlib-stream`.
    Zlib(Box<Compress>),
    /// `zstd-stream`.
    Zstd(Box<Encoder<'static>>),
}

/// A message could not be packed: a fault in a compression library.
#[derive(Debug, thiserror::Error)]
#[error("compression failed: {0}")]
pub struct CompressionError(#[from] std::io::Error);

impl Compression {
    /// By the `compress` of the gateway's address; what Discord does not know it ignores.
    pub fn named(name: Option<&str>) -> Result<Self, CompressionError> {
        Ok(match name {
            Some("zlib-stream") => {
                Self::Zlib(Box::new(Compress::new(flate2::Compression::fast(), true)))
            }
            Some("zstd-stream") => Self::Zstd(Box::new(Encoder::new(1)?)),
            _ => Self::None,
        })
    }

    /// Its name in the gateway's address, or `none`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zlib(_) => "zlib-stream",
            Self::Zstd(_) => "zstd-stream",
        }
    }

    /// The frame that carries this payload.
    pub fn pack(&mut self, payload: &str) -> Result<Message, CompressionError> {
        match self {
            Self::None => Ok(Message::Text(payload.into())),
            Self::Zlib(zlib) => Ok(Message::Binary(deflate(zlib, payload.as_bytes())?.into())),
            Self::Zstd(zstd) => Ok(Message::Binary(zstandard(zstd, payload.as_bytes())?.into())),
        }
    }
}

fn deflate(zlib: &mut Compress, mut input: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(CHUNK);
    loop {
        let before = zlib.total_in();
        let status = zlib
            .compress_vec(input, &mut packed, FlushCompress::Sync)
            .map_err(std::io::Error::other)?;
        let read = usize::try_from(zlib.total_in() - before).unwrap_or(usize::MAX);
        input = input.get(read..).unwrap_or_default();
        // A sync flush is over when it leaves room in the output.
        if input.is_empty() && (packed.len() < packed.capacity() || status == Status::BufError) {
            return Ok(packed);
        }
        packed.reserve(CHUNK);
    }
}

fn zstandard(zstd: &mut Encoder<'static>, mut input: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    let mut chunk = vec![0; CHUNK];
    while !input.is_empty() {
        let status = zstd.run_on_buffers(input, &mut chunk)?;
        packed.extend_from_slice(chunk.get(..status.bytes_written).unwrap_or_default());
        input = input.get(status.bytes_read..).unwrap_or_default();
    }
    loop {
        let mut out = OutBuffer::around(chunk.as_mut_slice());
        let remaining = zstd.flush(&mut out)?;
        packed.extend_from_slice(out.as_slice());
        if remaining == 0 {
            return Ok(packed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Messages of sizes around the chunk, through one stream; each must be readable when its frame has come.
    fn messages() -> Vec<String> {
        [0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 300_000]
            .iter()
            .map(|&length| {
                (0..length)
                    .map(|i| char::from(b'a' + (i * i % 23) as u8))
                    .collect()
            })
            .collect()
    }

    fn frame(compression: &mut Compression, message: &str) -> Vec<u8> {
        match compression.pack(message).unwrap() {
            Message::Binary(bytes) => bytes.to_vec(),
            other => panic!("expected a binary frame, got {other:?}"),
        }
    }

    #[test]
    fn zlib_frames_end_at_a_sync_flush() {
        let mut compression = Compression::named(Some("zlib-stream")).unwrap();
        let mut inflate = flate2::Decompress::new(true);
        for message in messages() {
            let frame = frame(&mut compression, &message);
            assert!(
                frame.ends_with(&[0, 0, 0xff, 0xff]),
                "frame of {} bytes",
                message.len()
            );
            let mut read = Vec::with_capacity(message.len() + 64);
            inflate
                .decompress_vec(&frame, &mut read, flate2::FlushDecompress::Sync)
                .unwrap();
            assert_eq!(read, message.as_bytes());
        }
    }

    #[test]
    fn zstd_frames_are_readable_one_by_one() {
        let mut compression = Compression::named(Some("zstd-stream")).unwrap();
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for message in messages() {
            sent.extend(frame(&mut compression, &message));
            expected.extend_from_slice(message.as_bytes());
            let mut read = vec![0; expected.len()];
            zstd::stream::read::Decoder::new(sent.as_slice())
                .unwrap()
                .read_exact(&mut read)
                .unwrap();
            assert_eq!(read, expected);
        }
    }
}
