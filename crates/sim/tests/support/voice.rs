//! A client of voice that does nothing by itself.

use std::net::SocketAddr;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use futures_util::{SinkExt, StreamExt};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio_tungstenite::tungstenite::Message;

use super::{
    Discord,
    gateway::{ALL_INTENTS, Gateway, identify_freely},
    soon,
    websocket::{WebSocket, connect},
};

pub const AES: &str = "aead_aes256_gcm_rtpsize";
pub const XCHACHA: &str = "aead_xchacha20_poly1305_rtpsize";

/// Leave to connect, from the gateway.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub user: String,
    pub session: String,
    pub token: String,
    pub endpoint: String,
}

/// Joins a channel on the gateway.
pub async fn join(discord: &Discord, gateway: &mut Gateway, channel: &str) -> Ticket {
    gateway.send(voice_state(discord, Some(channel))).await;
    ticket(gateway).await
}

/// The leave to connect that the gateway gives next.
pub async fn ticket(gateway: &mut Gateway) -> Ticket {
    let (mut state, mut server) = (None, None);
    while state.is_none() || server.is_none() {
        let payload = gateway.payload().await;
        let data = payload["d"].clone();
        match payload["t"].as_str() {
            Some("VOICE_STATE_UPDATE") if data["user_id"] == gateway.user => state = Some(data),
            Some("VOICE_SERVER_UPDATE") => server = Some(data),
            _ => {}
        }
    }
    let (state, server) = (state.unwrap(), server.unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Ticket {
        user: text(&state["user_id"]),
        session: text(&state["session_id"]),
        token: text(&server["token"]),
        endpoint: text(&server["endpoint"]),
    }
}

/// Op 4 of the gateway.
pub fn voice_state(discord: &Discord, channel: Option<&str>) -> Value {
    json!({"op": 4, "d": {
        "guild_id": discord.info().guild_id,
        "channel_id": channel.map(|name| discord.channel(name)),
        "self_mute": false,
        "self_deaf": false,
    }})
}

/// What the voice gateway said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Json(Value),
    /// Number, opcode and payload.
    Binary(u16, u8, Vec<u8>),
    Close(u16),
    Nothing,
}

/// A connection to the voice gateway.
pub struct VoiceGateway {
    socket: WebSocket,
    /// The newest number.
    pub sequence: Option<u16>,
}

impl VoiceGateway {
    pub async fn connect(discord: &Discord, endpoint: &str, query: &str) -> Self {
        let scheme = if discord.info().ca_file.is_some() {
            "wss"
        } else {
            "ws"
        };
        let socket = connect(discord, &format!("{scheme}://{endpoint}/{query}")).await;
        Self {
            socket,
            sequence: None,
        }
    }

    /// Connects, and takes Hello.
    pub async fn open(discord: &Discord, endpoint: &str) -> Self {
        let mut gateway = Self::connect(discord, endpoint, "?v=8").await;
        assert_eq!(gateway.json().await["op"], 8);
        gateway
    }

    pub async fn send(&mut self, op: u8, data: Value) {
        let text = json!({"op": op, "d": data}).to_string();
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub async fn send_binary(&mut self, op: u8, payload: &[u8]) {
        let message = [&[op][..], payload].concat();
        self.socket
            .send(Message::Binary(message.into()))
            .await
            .unwrap();
    }

    pub async fn said(&mut self) -> Said {
        match soon(self.socket.next()).await {
            Some(Ok(Message::Text(text))) => {
                let payload: Value = serde_json::from_str(&text).unwrap();
                if let Some(number) = payload["seq"].as_u64() {
                    self.sequence = Some(number.try_into().unwrap());
                }
                Said::Json(payload)
            }
            Some(Ok(Message::Binary(bytes))) => {
                let number = u16::from_be_bytes([bytes[0], bytes[1]]);
                self.sequence = Some(number);
                Said::Binary(number, bytes[2], bytes[3..].to_vec())
            }
            Some(Ok(Message::Close(frame))) => {
                Said::Close(frame.map_or(1005, |frame| frame.code.into()))
            }
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => Said::Nothing,
        }
    }

    pub async fn json(&mut self) -> Value {
        match self.said().await {
            Said::Json(payload) => payload,
            other => panic!("instead of JSON: {other:?}"),
        }
    }

    /// The data of the next message with this opcode; others are passed over.
    pub async fn next(&mut self, op: u8) -> Value {
        loop {
            match self.said().await {
                Said::Json(payload) if payload["op"] == op => return payload["d"].clone(),
                Said::Json(_) | Said::Binary(..) => {}
                other => panic!("instead of op {op}: {other:?}"),
            }
        }
    }

    /// The code of the close frame that comes, whatever comes before.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.said().await {
                Said::Json(_) | Said::Binary(..) => {}
                Said::Close(code) => return code,
                Said::Nothing => panic!("no close frame"),
            }
        }
    }

    /// All that came until the heartbeat that is sent now is answered.
    pub async fn so_far(&mut self) -> Vec<Said> {
        let sequence = self.sequence.map_or(-1, i64::from);
        self.send(3, json!({"t": 77, "seq_ack": sequence})).await;
        let mut said = Vec::new();
        loop {
            match self.said().await {
                Said::Json(payload) if payload["op"] == 6 => return said,
                other => said.push(other),
            }
        }
    }
}

/// Identify.
pub fn identify(discord: &Discord, ticket: &Ticket, dave: u16) -> Value {
    json!({
        "server_id": discord.info().guild_id,
        "user_id": ticket.user,
        "session_id": ticket.session,
        "token": ticket.token,
        "max_dave_protocol_version": dave,
    })
}

/// Resume.
pub fn resume(discord: &Discord, ticket: &Ticket, seq_ack: Value) -> Value {
    json!({
        "server_id": discord.info().guild_id,
        "session_id": ticket.session,
        "token": ticket.token,
        "seq_ack": seq_ack,
    })
}

/// Encryption of packets, written apart from the simulator's.
pub struct Transport {
    mode: String,
    key: [u8; 32],
    pub nonce: u32,
}

impl Transport {
    pub fn new(description: &Value) -> Self {
        let key: Vec<u8> = serde_json::from_value(description["secret_key"].clone()).unwrap();
        Self {
            mode: description["mode"].as_str().unwrap().to_owned(),
            key: key.try_into().unwrap(),
            nonce: 0,
        }
    }

    pub fn seal(&mut self, clear: &[u8], body: &[u8]) -> Vec<u8> {
        self.nonce += 1;
        let nonce = self.nonce.to_be_bytes();
        let sealed = if self.mode == AES {
            let mut sealed = body.to_vec();
            self.aes()
                .seal_in_place_append_tag(Self::short(nonce), Aad::from(clear), &mut sealed)
                .unwrap();
            sealed
        } else {
            let payload = Payload {
                msg: body,
                aad: clear,
            };
            self.xchacha().encrypt(&Self::long(nonce), payload).unwrap()
        };
        [clear, &sealed, &nonce].concat()
    }

    pub fn open(&self, packet: &[u8], clear: usize) -> Option<Vec<u8>> {
        let (packet, nonce) = packet.split_last_chunk::<4>()?;
        let (clear, sealed) = packet.split_at(clear);
        if self.mode == AES {
            let mut opened = sealed.to_vec();
            let opened = self
                .aes()
                .open_in_place(Self::short(*nonce), Aad::from(clear), &mut opened)
                .ok()?;
            Some(opened.to_vec())
        } else {
            let payload = Payload {
                msg: sealed,
                aad: clear,
            };
            self.xchacha().decrypt(&Self::long(*nonce), payload).ok()
        }
    }

    fn aes(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.key).unwrap())
    }

    fn xchacha(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.key.into())
    }

    fn short(nonce: [u8; 4]) -> Nonce {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&nonce);
        Nonce::assume_unique_for_key(bytes)
    }

    fn long(nonce: [u8; 4]) -> XNonce {
        let mut bytes = [0; 24];
        bytes[..4].copy_from_slice(&nonce);
        bytes.into()
    }
}

/// An RTP header as clients send it.
pub fn header(sequence: u16, timestamp: u32, ssrc: u32) -> [u8; 12] {
    let mut header = [0x80, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&sequence.to_be_bytes());
    header[4..8].copy_from_slice(&timestamp.to_be_bytes());
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    header
}

/// A user in a call.
pub struct Caller {
    /// His session of the gateway.
    pub main: Gateway,
    pub ticket: Ticket,
    pub gateway: VoiceGateway,
    pub udp: UdpSocket,
    pub address: SocketAddr,
    pub ssrc: u32,
    pub transport: Transport,
    pub description: Value,
    pub sequence: u16,
    pub timestamp: u32,
}

impl Caller {
    /// Joins a channel without DAVE, and is ready to speak.
    pub async fn join(discord: &Discord, user: &str, channel: &str, mode: &str) -> Self {
        Self::join_with(discord, user, channel, mode, 0).await
    }

    pub async fn join_with(
        discord: &Discord,
        user: &str,
        channel: &str,
        mode: &str,
        dave: u16,
    ) -> Self {
        identify_freely(discord).await;
        let (mut main, _) = Gateway::identified(discord, user, ALL_INTENTS).await;
        let ticket = join(discord, &mut main, channel).await;
        Self::connect(discord, main, ticket, mode, dave).await
    }

    /// Connects with a ticket.
    pub async fn connect(
        discord: &Discord,
        main: Gateway,
        ticket: Ticket,
        mode: &str,
        dave: u16,
    ) -> Self {
        let mut gateway = VoiceGateway::open(discord, &ticket.endpoint).await;
        gateway.send(0, identify(discord, &ticket, dave)).await;
        let ready = gateway.next(2).await;
        let server = format!("{}:{}", ready["ip"].as_str().unwrap(), ready["port"]);
        let ssrc = u32::try_from(ready["ssrc"].as_u64().unwrap()).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        udp.connect(server).await.unwrap();
        let address = discover(&udp, ssrc).await;
        let data = json!({"address": address.ip(), "port": address.port(), "mode": mode});
        gateway
            .send(1, json!({"protocol": "udp", "data": data}))
            .await;
        let description = gateway.next(4).await;
        gateway
            .send(5, json!({"speaking": 1, "delay": 0, "ssrc": ssrc}))
            .await;
        // The answer to a heartbeat comes when the voice gateway knows that we speak.
        gateway.so_far().await;
        Self {
            main,
            ticket,
            gateway,
            udp,
            address,
            ssrc,
            transport: Transport::new(&description),
            description,
            sequence: 100,
            timestamp: 5_000,
        }
    }

    /// Speaks one frame.
    pub async fn speak(&mut self, frame: &[u8]) {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(960);
        let header = header(self.sequence, self.timestamp, self.ssrc);
        let packet = self.transport.seal(&header, frame);
        self.udp.send(&packet).await.unwrap();
    }

    /// The next frame that is heard, and its SSRC.
    pub async fn hear(&mut self) -> (u32, Vec<u8>) {
        let mut buffer = [0; 2048];
        loop {
            let length = soon(self.udp.recv(&mut buffer)).await.unwrap();
            let packet = &buffer[..length];
            if length <= 8 || (200..=206).contains(&packet[1]) {
                continue;
            }
            // The relay's packets have an extension of one word.
            assert_eq!((packet[0] & 0xdf, packet[1]), (0x90, 0x78));
            let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
            let mut body = self.transport.open(packet, 16).expect("our key");
            if packet[0] & 0x20 != 0 {
                let padding = usize::from(*body.last().unwrap());
                body.truncate(body.len() - padding);
            }
            return (ssrc, body[4..].to_vec());
        }
    }
}

/// IP discovery.
pub async fn discover(udp: &UdpSocket, ssrc: u32) -> SocketAddr {
    let mut request = [0; 74];
    request[..4].copy_from_slice(&[0, 1, 0, 70]);
    request[4..8].copy_from_slice(&ssrc.to_be_bytes());
    udp.send(&request).await.unwrap();
    let mut answer = [0; 128];
    let length = soon(udp.recv(&mut answer)).await.unwrap();
    assert_eq!((length, &answer[..4]), (74, &[0, 2, 0, 70][..]));
    assert_eq!(answer[4..8], ssrc.to_be_bytes());
    let end = answer[8..72].iter().position(|&byte| byte == 0).unwrap();
    let ip = std::str::from_utf8(&answer[8..8 + end]).unwrap();
    SocketAddr::new(
        ip.parse().unwrap(),
        u16::from_be_bytes([answer[72], answer[73]]),
    )
}

/// A session of the gateway.
pub async fn identified(discord: &Discord, user: &str) -> Gateway {
    identify_freely(discord).await;
    Gateway::identified(discord, user, ALL_INTENTS).await.0
}

/// What the control interface shows of a user in a channel.
pub async fn shown(discord: &Discord, channel: &str, user: &str) -> Value {
    let voice = discord.seen("/voice").await;
    let channels = voice["channels"].as_array().unwrap();
    let channel = channels.iter().find(|c| c["name"] == channel).unwrap();
    let users = channel["users"].as_array().unwrap();
    let user = users.iter().find(|u| u["name"] == user);
    user.cloned().unwrap_or(Value::Null)
}

/// `uro` and `peer` on the stage, where there is no DAVE.
pub async fn stage(discord: &Discord, modes: [&str; 2]) -> (Caller, Caller) {
    (
        Caller::join(discord, "uro", "stage", modes[0]).await,
        Caller::join(discord, "peer", "stage", modes[1]).await,
    )
}
