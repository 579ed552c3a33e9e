//! For tests of parts: what Elixir would hear of them.
#![allow(clippy::unwrap_used)]

use crate::sender::FrameSender;
use bytes::{Buf as _, BytesMut};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::time::timeout;
use uro_discord_wire::{FromBridge, frame};

/// The other end of a sender.
pub struct Hearing {
    pipe: DuplexStream,
    buffer: BytesMut,
}

impl Hearing {
    pub fn new(sender: &FrameSender) -> Self {
        let (pipe, output) = tokio::io::duplex(64 * 1024);
        tokio::spawn(sender.clone().write_to(output));
        Self {
            pipe,
            buffer: BytesMut::new(),
        }
    }

    /// The first message of which `wanted` makes something.
    pub async fn until<T>(&mut self, wanted: impl Fn(FromBridge<'_>) -> Option<T>) -> T {
        let hear = async {
            loop {
                if let Some(content) = frame::first(&self.buffer).unwrap() {
                    let found = wanted(FromBridge::decode(content).unwrap());
                    let length = frame::PREFIX + content.len();
                    self.buffer.advance(length);
                    if let Some(found) = found {
                        return found;
                    }
                } else {
                    let read = self.pipe.read_buf(&mut self.buffer).await.unwrap();
                    assert_ne!(read, 0, "the sender ended");
                }
            }
        };
        timeout(Duration::from_secs(20), hear).await.unwrap()
    }
}
