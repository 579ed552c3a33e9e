//! One WebSocket of the voice gateway.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use axum::extract::ws::{Message, WebSocket};
use futures_util::{SinkExt, StreamExt, stream::SplitStream};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout_at};

use super::{
    commands::{Client, UNKNOWN_OPCODE},
    op,
    outbox::{Link, WAITING},
};
use crate::{
    app::App,
    faults::GatewayFault,
    gateway::{End, Sink, say_goodbye},
};

/// Messages that a client may send in ten seconds. Discord does not say how many it takes; this is far more than a client
/// has use for.
const MAX_COMMANDS: usize = 120;
const COMMAND_WINDOW: Duration = Duration::from_secs(10);

/// Serves one connection until it ends.
pub async fn run(app: App, socket: WebSocket, version: Option<String>) {
    let (messages, mut to_send) = mpsc::channel(WAITING);
    let (ends, mut told_to_end) = mpsc::channel(1);
    let link = app.state().calls.next_link();
    let (mut sink, stream) = socket.split();
    let client = Client::new(
        app.clone(),
        Link {
            id: link,
            messages,
            ends,
        },
    );
    let mut reader = Reader {
        app: app.clone(),
        client,
        stream,
        commands: VecDeque::new(),
    };
    let end = match version.as_deref() {
        // Version 9 has the channel in Identify and Resume, and is no different otherwise.
        Some("8" | "9") => tokio::select! {
            end = reader.run() => end,
            Some(end) = told_to_end.recv() => end,
            end = write(&mut sink, &mut to_send) => end,
            () = app.shutdown() => End::Close(1001, "The simulator ends."),
        },
        _ => End::Close(4012, "Unknown protocol: this simulator has version 8."),
    };
    // A session that was ended has its reason, whatever its client sent on it since.
    let end = told_to_end.try_recv().unwrap_or(end);
    // What was sent before the end is sent, as far as the client takes it.
    while let Ok(message) = to_send.try_recv() {
        if !matches!(end, End::Close(..)) || sink.feed(message).await.is_err() {
            break;
        }
    }
    app.state()
        .voice_connection_ended(link, reader.client.user(), end);
    say_goodbye(sink, reader.stream, end).await;
}

/// Sends until the client is gone.
async fn write(sink: &mut Sink, messages: &mut mpsc::Receiver<Message>) -> End {
    while let Some(message) = messages.recv().await {
        if sink.send(message).await.is_err() {
            return End::Client(None);
        }
    }
    End::Drop
}

struct Reader {
    app: App,
    client: Client,
    stream: SplitStream<WebSocket>,
    /// When the commands of the last while came.
    commands: VecDeque<Instant>,
}

impl Reader {
    async fn run(&mut self) -> End {
        let interval = self.app.state().settings.voice_heartbeat_interval_ms;
        self.client
            .link()
            .send(op::HELLO, json!({"v": 8, "heartbeat_interval": interval}));
        let patience = Duration::from_millis(interval) * 3 / 2;
        let mut last_heartbeat = Instant::now();
        loop {
            let Ok(message) =
                timeout_at((last_heartbeat + patience).into(), self.stream.next()).await
            else {
                return self.violation("zombie", End::Close(4009, "Session timed out."));
            };
            let (op, data) = match message {
                Some(Ok(Message::Text(text))) => match decode(&text) {
                    Some((op, data)) => match op.try_into() {
                        Ok(op) => (op, Data::Json(data)),
                        Err(_) => return UNKNOWN_OPCODE,
                    },
                    None => return self.undecodable(),
                },
                Some(Ok(Message::Binary(bytes))) => match bytes.split_first() {
                    Some((&op, _)) => (op, Data::Binary(bytes.slice(1..))),
                    None => return self.undecodable(),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    return End::Client(frame.map(|frame| frame.code));
                }
                Some(Err(_)) | None => return End::Client(None),
            };
            if !self.count_command() {
                return self.violation("rate", End::Close(4021, "Rate limited."));
            }
            if op == op::HEARTBEAT {
                last_heartbeat = Instant::now();
            }
            let fault = self.app.state().faults.for_voice_opcode(op);
            match fault {
                Some(GatewayFault::Drop) => return End::Drop,
                Some(GatewayFault::Close(code)) => return End::Close(code, "Fault."),
                Some(GatewayFault::Ignore) => continue,
                Some(GatewayFault::Delay(delay)) => tokio::time::sleep(delay).await,
                None => {}
            }
            let end = match data {
                Data::Json(data) => self.client.command(op, &data),
                Data::Binary(payload) => self.client.binary_command(op, &payload),
            };
            if let Err(end) = end {
                return end;
            }
        }
    }

    fn undecodable(&self) -> End {
        self.violation("decode", End::Close(4002, "Failed to decode payload."))
    }

    fn violation(&self, kind: &'static str, end: End) -> End {
        self.app
            .state()
            .voice_violation_on(self.client.link().id, kind);
        end
    }

    fn count_command(&mut self) -> bool {
        let now = Instant::now();
        while self
            .commands
            .front()
            .is_some_and(|&at| now.duration_since(at) >= COMMAND_WINDOW)
        {
            self.commands.pop_front();
        }
        self.commands.push_back(now);
        self.commands.len() <= MAX_COMMANDS
    }
}

enum Data {
    Json(Value),
    Binary(axum::body::Bytes),
}

/// A payload's opcode and data.
fn decode(payload: &str) -> Option<(u64, Value)> {
    let Ok(Value::Object(mut payload)) = serde_json::from_str(payload) else {
        return None;
    };
    let op = payload.get("op")?.as_u64()?;
    Some((op, payload.remove("d").unwrap_or(Value::Null)))
}
