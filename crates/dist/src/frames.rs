//! Frames: a big-endian `u32` length and so many bytes; a length of 0 is a tick.

use bytes::{Buf as _, Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, timeout_at};

/// The longest frame that is taken. What is said to us comes in pieces of [`CHUNK`](crate::CHUNK) bytes.
pub const MAX_FRAME: usize = 1024 * 1024;

/// How long a frame may take, from its first byte to its last.
const DEADLINE: Duration = Duration::from_secs(10);

const READ: usize = 64 * 1024;

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Its length says so, before any of it is there.
    #[error("a frame of {0} bytes is over the limit of {MAX_FRAME}")]
    TooLong(usize),
    /// It is sent too slowly.
    #[error("a frame did not come within {DEADLINE:?}: {0} bytes of it are there")]
    TooSlow(usize),
    /// Nothing at all came.
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    /// The other side closed in the middle of one.
    #[error("the connection ended after {0} bytes of a frame")]
    CutShort(usize),
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

pub struct Frames<R> {
    input: R,
    buffer: BytesMut,
    /// When the first byte of what is in the buffer came.
    begun: Option<Instant>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: BytesMut::new(),
            begun: None,
        }
    }

    /// The next frame, empty for a tick, or `None` at the end. Something must come within `idle`. Not to be cancelled.
    pub async fn next(&mut self, idle: Duration) -> Result<Option<Bytes>, FrameError> {
        let silent = Instant::now() + idle;
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<4>() {
                let length = u32::from_be_bytes(*prefix) as usize;
                if length > MAX_FRAME {
                    return Err(FrameError::TooLong(length));
                }
                if self.buffer.len() >= 4 + length {
                    self.buffer.advance(4);
                    let frame = self.buffer.split_to(length).freeze();
                    self.begun = None;
                    return Ok(Some(frame));
                }
            }
            if !self.buffer.is_empty() {
                self.begun.get_or_insert_with(Instant::now);
            }
            // The length that is claimed takes no memory: there is room for as much as one read brings.
            self.buffer.reserve(READ);
            let deadline = self.begun.map_or(silent, |begun| begun + DEADLINE);
            let read = timeout_at(deadline, self.input.read_buf(&mut self.buffer)).await;
            match read {
                Ok(Ok(0)) if self.buffer.is_empty() => return Ok(None),
                Ok(Ok(0)) => return Err(FrameError::CutShort(self.buffer.len())),
                Ok(Ok(_)) => {}
                // As Erlang ends TLS.
                Ok(Err(error)) if ended(&error) && self.buffer.is_empty() => return Ok(None),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) if self.begun.is_some() => {
                    return Err(FrameError::TooSlow(self.buffer.len()));
                }
                Err(_) => return Err(FrameError::Silent(idle)),
            }
        }
    }
}

fn ended(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}
