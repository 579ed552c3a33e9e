//! The voice gateway, versions 4 to 8, as far as a session that joins, speaks and leaves needs it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_websockets::{Message, ServerBuilder};
use uro_discord_voice::fuzzing::{Answer, DaveServer, Message as Dave};

use super::media::Media;
use super::{KEY, text};
use crate::Error;

const MODES: [&str; 2] = ["aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize"];

#[derive(Default)]
struct Call {
    /// End-to-end encryption, if the call has it.
    dave: Option<DaveServer>,
    clients: BTreeMap<u64, Client>,
}

struct Client {
    ssrc: u32,
    mode: String,
    speaks: bool,
    messages: mpsc::UnboundedSender<Message>,
}

/// All calls, and who is in them.
#[derive(Clone)]
pub struct Calls {
    calls: Rc<RefCell<HashMap<u64, Call>>>,
    ssrcs: Rc<RefCell<u32>>,
    media: Media,
    udp_port: u16,
}

/// What Identify said.
struct Identity {
    user: u64,
    /// The guild, in which nobody is in two channels.
    guild: u64,
    /// It is the MLS group's name.
    channel: u64,
    dave: bool,
    listens: bool,
    ssrc: u32,
}

impl Calls {
    /// None yet; their datagrams go to this port.
    pub fn new(media: Media, udp_port: u16) -> Self {
        Self {
            calls: Rc::default(),
            ssrcs: Rc::default(),
            media,
            udp_port,
        }
    }

    /// Serves a connection to its end.
    ///
    /// # Errors
    ///
    /// When the client is none of the voice gateway, or says what it may not.
    pub async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Error> {
        let (request, mut socket) = ServerBuilder::new().accept(stream).await?;
        let numbered = request.uri().query() != Some("v=4");
        let (messages, mut to_send) = mpsc::unbounded_channel::<Message>();
        socket
            .send(text(8, json!({"v": 8, "heartbeat_interval": 41_250.0})))
            .await?;
        let mut identity = None;
        let result = loop {
            let received = tokio::select! {
                Some(message) = to_send.recv() => {
                    // Before version 8, binary messages have no number in front.
                    let message = match message.is_binary() && !numbered {
                        true => Message::binary(message.as_payload()[2..].to_vec()),
                        false => message,
                    };
                    if let Err(error) = socket.send(message).await {
                        break Err(error.into());
                    }
                    continue;
                }
                received = socket.next() => received,
            };
            let handled = match received {
                Some(Ok(message)) if message.is_close() => break Ok(()),
                Some(Ok(message)) => self.message(&message, &mut identity, &messages),
                // Clients do not take their time to say farewell.
                Some(Err(_)) | None => break Ok(()),
            };
            if let Err(error) = handled {
                break Err(error);
            }
        };
        if let Some(identity) = identity {
            self.leave(&identity);
        }
        result
    }

    fn message(
        &self,
        message: &Message,
        identity: &mut Option<Identity>,
        messages: &mpsc::UnboundedSender<Message>,
    ) -> Result<(), Error> {
        let Some(json) = message.as_text() else {
            if let (true, Some(identity)) = (message.is_binary(), identity) {
                self.dave(identity, Answer::binary(message.as_payload()));
            }
            return Ok(());
        };
        let payload: Value = serde_json::from_str(json)?;
        let (op, data) = (&payload["op"], &payload["d"]);
        match (op.as_u64(), identity.as_ref()) {
            (Some(0), None) => {
                let identified = self.identify(data)?;
                let ready = json!({"ssrc": identified.ssrc, "ip": "127.0.0.1", "port": self.udp_port,
                    "modes": MODES, "experiments": [], "heartbeat_interval": 41_250});
                messages.send(text(2, ready))?;
                *identity = Some(identified);
            }
            (Some(1), Some(identity)) => {
                let mode = data["data"]["mode"].as_str().ok_or("no mode")?;
                self.enter(identity, mode, messages.clone())?;
            }
            (Some(3), _) => {
                let answer = match data {
                    Value::Object(beat) => json!({"t": beat.get("t")}),
                    nonce => nonce.clone(),
                };
                messages.send(text(6, answer))?;
            }
            (Some(5), Some(identity)) => self.speaks(identity),
            (_, Some(identity)) => {
                if let Some(answer) = Answer::text(json) {
                    self.dave(identity, answer);
                }
            }
            _ => return Err(format!("opcode {op} before Identify").into()),
        }
        Ok(())
    }

    fn identify(&self, data: &Value) -> Result<Identity, Error> {
        let id =
            |name: &str| -> Result<u64, Error> { Ok(data[name].as_str().ok_or("no id")?.parse()?) };
        // What the programs here write into it: see `Args::token`.
        let token = data["token"].as_str().ok_or("no token")?;
        let mut offset = token.split(',');
        let (Some(dave), Some(role)) = (offset.next(), offset.next()) else {
            return Err(format!("the token {token}").into());
        };
        let guild = id("server_id")?;
        let mut ssrc = self.ssrcs.borrow_mut();
        *ssrc += 1;
        Ok(Identity {
            user: id("user_id")?,
            guild,
            channel: guild + offset.next().unwrap_or("0").parse::<u64>()?,
            dave: dave == "dave",
            listens: role == "listen",
            ssrc: *ssrc,
        })
    }

    fn enter(
        &self,
        identity: &Identity,
        mode: &str,
        messages: mpsc::UnboundedSender<Message>,
    ) -> Result<(), Error> {
        self.media
            .enter(identity.ssrc, identity.guild, identity.listens);
        let mut calls = self.calls.borrow_mut();
        let call = calls.entry(identity.guild).or_default();
        let client = Client {
            ssrc: identity.ssrc,
            mode: mode.into(),
            speaks: false,
            messages,
        };
        call.clients.insert(identity.user, client);
        if identity.dave {
            let server = call
                .dave
                .get_or_insert_with(|| DaveServer::new(identity.channel));
            server.join(identity.user);
            call.deliver();
        } else {
            let others = call.clients.keys().filter(|user| **user != identity.user);
            let others = others.copied().collect();
            call.tell(identity.user, Dave::Connected(others));
            call.tell(identity.user, Dave::Start(0));
        }
        let speaking = call.clients.iter().filter(|(_, client)| client.speaks);
        let speaking: Vec<_> = speaking
            .map(|(user, client)| speaking_of(*user, client))
            .collect();
        for message in speaking {
            call.send(identity.user, message);
        }
        Ok(())
    }

    fn speaks(&self, identity: &Identity) {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(&identity.guild) else {
            return;
        };
        if let Some(client) = call.clients.get_mut(&identity.user) {
            client.speaks = true;
            let message = speaking_of(identity.user, client);
            for other in call.clients.keys().filter(|user| **user != identity.user) {
                call.send(*other, message.clone());
            }
        }
    }

    fn dave(&self, identity: &Identity, answer: Answer) {
        if let Some(call) = self.calls.borrow_mut().get_mut(&identity.guild)
            && let Some(server) = &mut call.dave
        {
            server.receive(identity.user, answer);
            call.deliver();
        }
    }

    fn leave(&self, identity: &Identity) {
        self.media.leave(identity.ssrc);
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(&identity.guild) else {
            return;
        };
        call.clients.remove(&identity.user);
        if let Some(server) = &mut call.dave {
            server.leave(identity.user);
            call.deliver();
        }
        if call.clients.is_empty() {
            calls.remove(&identity.guild);
        }
    }
}

fn speaking_of(user: u64, client: &Client) -> Message {
    let speaking =
        json!({"user_id": user.to_string(), "ssrc": client.ssrc, "speaking": 1, "delay": 0});
    text(5, speaking)
}

impl Call {
    fn send(&self, user: u64, message: Message) {
        if let Some(client) = self.clients.get(&user) {
            // It fails when he has just gone.
            let _ = client.messages.send(message);
        }
    }

    /// Sends what DAVE has to say.
    fn deliver(&mut self) {
        if let Some(server) = &mut self.dave {
            for (user, message) in std::mem::take(&mut server.out) {
                self.tell(user, message);
            }
        }
    }

    fn tell(&self, user: u64, message: Dave) {
        let Some(client) = self.clients.get(&user) else {
            return;
        };
        let ids = |users: Vec<u64>| users.iter().map(u64::to_string).collect::<Vec<_>>();
        let message = match message {
            Dave::Start(version) => text(
                4,
                json!({"mode": client.mode, "secret_key": KEY, "dave_protocol_version": version,
                    "audio_codec": "opus", "video_codec": "H264", "media_session_id": "bench"}),
            ),
            Dave::Connected(users) if users.is_empty() => return,
            Dave::Connected(users) => text(11, json!({"user_ids": ids(users)})),
            Dave::Disconnected(user) => text(13, json!({"user_id": user.to_string()})),
            Dave::Prepare {
                transition,
                version,
            } => text(
                21,
                json!({"transition_id": transition, "protocol_version": version}),
            ),
            Dave::Execute { transition } => text(22, json!({"transition_id": transition})),
            Dave::Epoch { epoch, version } => {
                text(24, json!({"epoch": epoch, "protocol_version": version}))
            }
            Dave::Binary(binary) => Message::binary(binary),
        };
        self.send(user, message);
    }
}
