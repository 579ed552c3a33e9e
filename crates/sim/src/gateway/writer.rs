//! What a connection sends: its session's events, and payloads that answer commands.

use axum::extract::ws::{Message, WebSocket};
use futures_util::{SinkExt, stream::SplitSink};
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use super::{Compression, connection::End, session::Pending};
use crate::app::App;

/// The sending half of a connection.
pub type Sink = SplitSink<WebSocket, Message>;

/// The writer of one connection. As it waits for a client that reads slowly, events wait in the session.
pub struct Writer {
    pub app: App,
    pub connection: u64,
    pub sink: Sink,
    pub compression: Compression,
}

impl Writer {
    /// Sends until the client is gone.
    pub async fn run(&mut self, mut payloads: mpsc::Receiver<Value>, wake: &Notify) -> End {
        loop {
            let payload = tokio::select! {
                payload = payloads.recv() => match payload {
                    None => return End::Drop,
                    payload => payload,
                },
                () = wake.notified() => None,
            };
            // What happened before a command was answered comes before the answer.
            loop {
                let pending = self.app.state().gateway.take(self.connection);
                match pending {
                    Pending::Lost => return End::Close(4000, "The client reads too slowly."),
                    Pending::Recording(recording, first) => {
                        if !self.play(recording, first).await {
                            return End::Client(None);
                        }
                    }
                    Pending::Events(events) if events.is_empty() => break,
                    Pending::Events(events) => {
                        if !self.send_all(&events).await {
                            return End::Client(None);
                        }
                    }
                }
            }
            if let Some(payload) = payload
                && !self.send_all(&[payload.to_string()]).await
            {
                return End::Client(None);
            }
        }
    }

    /// Together: a segment for each small event overruns the client's socket, and TCP then waits. `false`: the client is gone.
    async fn send_all(&mut self, payloads: &[impl AsRef<str>]) -> bool {
        for payload in payloads {
            match self.compression.pack(payload.as_ref()) {
                Ok(message) => {
                    if self.sink.feed(message).await.is_err() {
                        return false;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "gateway connection ends");
                    return false;
                }
            }
        }
        self.sink.flush().await.is_ok()
    }
}
