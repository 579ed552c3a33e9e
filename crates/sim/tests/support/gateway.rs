//! A client of the gateway that does nothing by itself.

use std::time::Duration;

use flate2::{Decompress, FlushDecompress};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use super::{
    Discord, soon,
    websocket::{WebSocket, connect},
};

/// All intents, the privileged ones among them.
pub const ALL_INTENTS: u64 = 53_608_447;

/// What the gateway said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Payload(Value),
    Close(u16),
    /// The connection ended with no close frame.
    Nothing,
}

/// A connection.
pub struct Gateway {
    socket: WebSocket,
    inflate: Decompress,
    /// Who identified.
    pub user: String,
}

impl Gateway {
    /// Connects with a query such as `?v=10&encoding=json`.
    pub async fn connect(discord: &Discord, query: &str) -> Self {
        let url = format!("{}{query}", discord.info().gateway);
        let socket = connect(discord, &url).await;
        Self {
            socket,
            inflate: Decompress::new(true),
            user: String::new(),
        }
    }

    /// Connects, and takes Hello.
    pub async fn open(discord: &Discord) -> Self {
        let mut gateway = Self::connect(discord, "/?v=10&encoding=json").await;
        assert_eq!(gateway.payload().await["op"], 10);
        gateway
    }

    /// Connects and identifies; answers also READY.
    pub async fn identified(discord: &Discord, user: &str, intents: u64) -> (Self, Value) {
        let mut gateway = Self::open(discord).await;
        gateway.send(identify(discord, user, intents)).await;
        let ready = gateway.event("READY").await;
        gateway.user = ready["d"]["user"]["id"].as_str().unwrap().to_owned();
        (gateway, ready)
    }

    pub async fn send(&mut self, payload: Value) {
        self.send_text(payload.to_string()).await;
    }

    pub async fn send_text(&mut self, text: String) {
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    pub async fn close(&mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        self.socket.close(Some(frame)).await.unwrap();
        while soon(self.socket.next()).await.is_some() {}
    }

    pub async fn said(&mut self) -> Said {
        match soon(self.socket.next()).await {
            Some(Ok(Message::Text(text))) => Said::Payload(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Binary(packed))) => {
                let mut unpacked = Vec::with_capacity(1 << 20);
                self.inflate
                    .decompress_vec(&packed, &mut unpacked, FlushDecompress::Sync)
                    .unwrap();
                Said::Payload(serde_json::from_slice(&unpacked).unwrap())
            }
            Some(Ok(Message::Close(frame))) => {
                Said::Close(frame.map_or(1005, |frame| frame.code.into()))
            }
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => Said::Nothing,
        }
    }

    /// The next payload.
    pub async fn payload(&mut self) -> Value {
        match self.said().await {
            Said::Payload(payload) => payload,
            other => panic!("instead of a payload: {other:?}"),
        }
    }

    /// The next dispatch of this type; others are passed over.
    pub async fn event(&mut self, kind: &str) -> Value {
        loop {
            let payload = self.payload().await;
            if payload["t"] == kind {
                return payload;
            }
        }
    }

    /// The types of the dispatches that have come: all that the gateway sent before it answers a heartbeat.
    pub async fn events(&mut self) -> Vec<Value> {
        self.send(json!({"op": 1, "d": null})).await;
        let mut events = Vec::new();
        loop {
            let payload = self.payload().await;
            match payload["op"].as_u64() {
                Some(11) => return events,
                _ => events.push(payload),
            }
        }
    }

    /// The code of the close frame that comes, whatever comes before.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.said().await {
                Said::Payload(_) => {}
                Said::Close(code) => return code,
                Said::Nothing => panic!("no close frame"),
            }
        }
    }
}

pub fn identify(discord: &Discord, user: &str, intents: u64) -> Value {
    let token = &discord.info().users[user].token;
    json!({"op": 2, "d": {"token": token, "intents": intents, "properties": {}, "compress": true}})
}

/// Lets bots identify as often as they like.
pub async fn identify_freely(discord: &Discord) {
    discord
        .tell("/settings", json!({"identify_interval_ms": 0}))
        .await;
}

/// A short heartbeat interval, in milliseconds.
pub async fn heartbeat_interval(discord: &Discord, interval: Duration) {
    let ms = u64::try_from(interval.as_millis()).unwrap();
    discord
        .tell("/settings", json!({"heartbeat_interval_ms": ms}))
        .await;
}

/// The types of dispatches.
pub fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["t"].as_str().unwrap())
        .collect()
}
