//! Sending a stream as fast as the client reads: all frames are made before the first is sent.

use axum::extract::ws::Message;
use futures_util::SinkExt;
use serde_json::json;
use tokio::time::Instant;

use super::Recording;
use crate::gateway::{Compression, CompressionError, Writer};

impl Recording {
    /// The frames of all events, the first of which has the number `first` in its session.
    fn pack(
        &self,
        first: u64,
        compression: &mut Compression,
    ) -> Result<Vec<Message>, CompressionError> {
        let events = (first..).zip(&self.events);
        events
            .map(|(sequence, (kind, data))| {
                compression.pack(&format!(
                    r#"{{"t":"{kind}","s":{sequence},"op":0,"d":{data}}}"#
                ))
            })
            .collect()
    }
}

/// What a frame to the client takes (RFC 6455, section 5.2), in bytes.
fn frame_size(message: &Message) -> u64 {
    let payload = match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        _ => 0,
    };
    let header = match payload {
        ..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    header + payload as u64
}

impl Writer {
    /// Sends a stream. What else there is to send, answers to heartbeats among it, waits. `false`: the client is gone.
    pub async fn play(&mut self, mut recording: Recording, first: u64) -> bool {
        let begins = recording.begins.take();
        let mut compression = std::mem::replace(&mut self.compression, Compression::None);
        // Too long for a thread that others' connections need.
        let packed = tokio::task::spawn_blocking(move || {
            let frames = recording.pack(first, &mut compression);
            (frames, compression)
        });
        let frames = match packed.await {
            Ok((Ok(frames), compression)) => {
                self.compression = compression;
                frames
            }
            Ok((Err(error), _)) => {
                tracing::error!(%error, "gateway connection ends");
                return false;
            }
            Err(error) => {
                tracing::error!(%error, "gateway connection ends");
                return false;
            }
        };
        if let Some(begins) = begins {
            // Whoever asked for the stream may be gone.
            let _ = begins.send(frames.iter().map(frame_size).sum());
        }
        let began = Instant::now();
        for frame in frames {
            // Not each flushed by itself: Discord's come in large writes too when there are so many.
            if self.sink.feed(frame).await.is_err() {
                return false;
            }
        }
        let sent = self.sink.flush().await.is_ok();
        let took = began.elapsed().as_micros() as u64;
        let data = json!({"connection": self.connection, "took_us": took});
        self.app.state().log.push("stream_sent", data);
        sent
    }
}
