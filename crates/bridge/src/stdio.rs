//! The two pipes to Elixir, without tokio's stdin and stdout: those hand every read and write to another thread, and carry
//! some 16,000 messages a second where the pipes themselves carry 400,000.

use crate::fault::Fault;
use bytes::BytesMut;
use std::io;
use std::os::fd::AsFd;
use tokio::io::Interest;
use tokio::net::unix::pipe::{Receiver, Sender};

/// How much one read may bring: what a pipe holds on Linux.
const READ: usize = 64 * 1024;

/// Takes stdin and stdout.
///
/// # Errors
///
/// [`Fault::NotAPort`] unless both are pipes.
pub fn open() -> Result<(Input, Sender), Fault> {
    let stdin = own(io::stdin())
        .and_then(Receiver::from_owned_fd)
        .map_err(Fault::NotAPort)?;
    let stdout = own(io::stdout())
        .and_then(Sender::from_owned_fd)
        .map_err(Fault::NotAPort)?;
    Ok((Input(stdin), stdout))
}

fn own(stream: impl AsFd) -> io::Result<std::os::fd::OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}

/// The pipe from Elixir.
pub struct Input(Receiver);

impl Input {
    /// Waits for bytes and adds them to `buffer`; no bytes means the end.
    pub async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        buffer.reserve(READ);
        loop {
            self.0.readable().await?;
            match self.0.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Waits until the other side has closed, though bytes may still be there to read: for whoever cannot read on, and
    /// must still learn that nobody is there any more.
    pub async fn closed(&self) -> io::Result<()> {
        // Of what this interest waits for, only the closing ever comes to a pipe.
        self.0.ready(Interest::PRIORITY).await.map(drop)
    }
}
