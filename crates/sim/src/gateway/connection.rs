//! One WebSocket of the gateway: a reader that judges what the client sends, a writer that sends its session's events.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt, stream::SplitStream};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, mpsc},
    time::{timeout, timeout_at},
};

use super::{
    Compression, Params,
    commands::{Client, Flow},
    hub::Connection,
    writer::{Sink, Writer},
};
use crate::{app::App, faults::GatewayFault, id::unix_ms};

/// A payload from a client may have so many bytes.
const MAX_PAYLOAD: usize = 4096;
/// Commands that a client may send in a minute.
const MAX_COMMANDS: usize = 120;
/// What waits to be sent beside dispatches: more than the answers to all commands of a minute.
const MAX_WAITING: usize = 256;
/// How long a closing connection may take to send what it has to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// The client closed with this code, or without one.
    Client(Option<u16>),
    /// We close with this code and reason.
    Close(u16, &'static str),
    /// We leave without a close frame.
    Drop,
}

/// Serves one connection until it ends.
pub async fn run(app: App, socket: WebSocket, params: Params) {
    let compression = match Compression::named(params.compress.as_deref()) {
        Ok(compression) => compression,
        Err(error) => return tracing::error!(%error, "no gateway connection"),
    };
    let (payloads, to_send) = mpsc::channel(MAX_WAITING);
    let (ends, mut told_to_end) = mpsc::channel(1);
    let wake = Arc::new(Notify::new());
    let id = app.state().gateway.connect(Connection {
        payloads: payloads.clone(),
        ends,
        wake: wake.clone(),
        compression: compression.name(),
        since: unix_ms(),
    });
    app.state().log.push(
        "connect",
        json!({"connection": id, "compression": compression.name()}),
    );
    let (sink, stream) = socket.split();
    let mut writer = Writer {
        app: app.clone(),
        connection: id,
        sink,
        compression,
    };
    let mut reader = Reader {
        client: Client::new(app.clone(), id, payloads.clone()),
        app: app.clone(),
        stream,
        commands: VecDeque::new(),
    };
    let end = match (params.v.as_deref(), params.encoding.as_deref()) {
        (Some("10"), None | Some("json")) => tokio::select! {
            // The hub has the sender as long as the connection is there.
            Some(end) = told_to_end.recv() => end,
            end = reader.run(&payloads) => end,
            end = writer.run(to_send, &wake) => end,
            () = app.shutdown() => End::Close(1001, "The simulator ends."),
        },
        (Some("10"), Some(_)) => End::Close(4002, "This simulator speaks JSON only."),
        _ => End::Close(4012, "Invalid API version."),
    };
    let end = match end {
        End::Client(None) => reader.parting().await,
        end => end,
    };
    forget(&app, id, &end);
    say_goodbye(writer.sink, reader.stream, end).await;
}

/// Takes the connection out of the state.
fn forget(app: &App, id: u64, end: &End) {
    let (code, by, ends_session) = match *end {
        // A client that closes with these codes logs off.
        End::Client(code) => (code, "client", matches!(code, Some(1000 | 1001))),
        End::Close(code, _) => (Some(code), "server", matches!(code, 4004 | 4010..=4014)),
        End::Drop => (None, "server", false),
    };
    let mut state = app.state();
    let session = state
        .gateway
        .session_of(id)
        .map(|session| session.id.clone());
    let ended = state.gateway.disconnect(id, ends_session);
    let data = json!({"connection": id, "session_id": session, "code": code, "by": by});
    state.log.push("disconnect", data);
    if let Some(user) = ended {
        state.session_ended(user);
    }
}

/// Sends a close frame, or the answer to the client's.
pub async fn say_goodbye(mut sink: Sink, mut stream: SplitStream<WebSocket>, end: End) {
    // A client that is gone already cannot be told.
    let _ = timeout(CLOSE_TIMEOUT, async {
        match end {
            End::Close(code, reason) => {
                let frame = CloseFrame {
                    code,
                    reason: reason.into(),
                };
                sink.send(Message::Close(Some(frame))).await?;
                // What the client still sends is read: TCP would reset the connection otherwise, and the code be lost.
                while let Some(Ok(_)) = stream.next().await {}
                Ok(())
            }
            End::Client(Some(_)) => sink.close().await,
            End::Client(None) | End::Drop => Ok(()),
        }
    })
    .await;
}

struct Reader {
    app: App,
    client: Client,
    stream: SplitStream<WebSocket>,
    /// When the commands of the last minute came.
    commands: VecDeque<Instant>,
}

impl Reader {
    async fn run(&mut self, payloads: &mpsc::Sender<Value>) -> End {
        let interval = self.app.state().settings.heartbeat_interval_ms;
        let hello = json!({"op": 10, "d": {"heartbeat_interval": interval, "_trace": []}, "s": null, "t": null});
        if payloads.try_send(hello).is_err() {
            return End::Drop;
        }
        let patience = Duration::from_millis(interval) * 3 / 2;
        let mut last_heartbeat = Instant::now();
        loop {
            let Ok(message) =
                timeout_at((last_heartbeat + patience).into(), self.stream.next()).await
            else {
                return self.violation("zombie", End::Close(4009, "Session timed out."));
            };
            let payload = match message {
                Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
                Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    return End::Client(frame.map(|frame| frame.code));
                }
                Some(Err(_)) | None => return End::Client(None),
            };
            if payload.len() > MAX_PAYLOAD {
                return self.violation(
                    "payload_size",
                    End::Close(4002, "Error while decoding payload."),
                );
            }
            if !self.count_command() {
                return self.violation(
                    "command_rate",
                    End::Close(4008, "You are being rate limited."),
                );
            }
            let Some((op, data)) = decode(&payload) else {
                return self.violation("decode", End::Close(4002, "Error while decoding payload."));
            };
            if op == 1 {
                last_heartbeat = Instant::now();
            }
            if let Some(end) = self.command(op, data).await {
                return end;
            }
        }
    }

    /// A client that closes and goes while we send may fail our writing before we have read its close frame, which is there.
    async fn parting(&mut self) -> End {
        let code = timeout(CLOSE_TIMEOUT, async {
            loop {
                match self.stream.next().await? {
                    Ok(Message::Close(frame)) => return frame.map(|frame| frame.code),
                    Ok(_) => {}
                    Err(_) => return None,
                }
            }
        });
        End::Client(code.await.ok().flatten())
    }

    /// Applies the faults that are set for the opcode, and carries it out.
    async fn command(&mut self, op: u64, data: Value) -> Option<End> {
        let fault = {
            let mut state = self.app.state();
            state.gateway.count_command(op);
            state.faults.for_opcode(op)
        };
        match fault {
            Some(GatewayFault::Drop) => return Some(End::Drop),
            Some(GatewayFault::Close(code)) => return Some(End::Close(code, "Fault.")),
            Some(GatewayFault::Ignore) => return None,
            Some(GatewayFault::Delay(delay)) => tokio::time::sleep(delay).await,
            None => {}
        }
        match self.client.command(op, &data) {
            Flow::Go => None,
            Flow::Close(code, reason) => Some(End::Close(code, reason)),
        }
    }

    fn count_command(&mut self) -> bool {
        let now = Instant::now();
        let window = Duration::from_millis(self.app.state().settings.command_window_ms);
        while self
            .commands
            .front()
            .is_some_and(|&at| now.duration_since(at) >= window)
        {
            self.commands.pop_front();
        }
        self.commands.push_back(now);
        self.commands.len() <= MAX_COMMANDS
    }

    fn violation(&self, kind: &'static str, end: End) -> End {
        let mut state = self.app.state();
        let user = state
            .gateway
            .session_of(self.client.connection())
            .map(|session| session.user);
        state.violation(kind, user);
        end
    }
}

/// A payload's opcode and data.
fn decode(payload: &[u8]) -> Option<(u64, Value)> {
    let Ok(Value::Object(mut payload)) = serde_json::from_slice(payload) else {
        return None;
    };
    let op = payload.get("op")?.as_u64()?;
    Some((op, payload.remove("d").unwrap_or(Value::Null)))
}
