//! What a client of the voice gateway sends.

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::{
    cipher::{Cipher, Mode},
    op,
    outbox::Link,
    session::{Seat, Transport},
};
use crate::{app::App, gateway::End, id::Id, state::State};

pub const UNKNOWN_OPCODE: End = End::Close(4001, "Unknown opcode.");
pub(super) const DECODE_ERROR: End = End::Close(4002, "Failed to decode payload.");
const NOT_AUTHENTICATED: End = End::Close(4003, "Not authenticated.");
pub(super) const BAD_TOKEN: End = End::Close(4004, "Authentication failed.");
const ALREADY_AUTHENTICATED: End = End::Close(4005, "Already authenticated.");
pub(super) const INVALID_SESSION: End = End::Close(4006, "Session no longer valid.");
const BAD_REQUEST: End = End::Close(4020, "Bad request.");
const NO_RANDOM: End = End::Close(4015, "The simulator has no random bytes.");

/// What becomes of the connection after a command.
pub(super) type Flow = Result<(), End>;

/// The client at the other end of a connection.
pub struct Client {
    pub(super) app: App,
    pub(super) link: Link,
    /// Whose session it was given.
    pub(super) seat: Option<Seat>,
}

impl Client {
    pub fn new(app: App, link: Link) -> Self {
        Self {
            app,
            link,
            seat: None,
        }
    }

    pub fn link(&self) -> &Link {
        &self.link
    }

    pub fn user(&self) -> Option<Id> {
        self.seat.map(|seat| seat.user)
    }

    /// Carries out a command that came as JSON.
    pub fn command(&mut self, op: u8, data: &Value) -> Flow {
        let app = self.app.clone();
        let mut state = app.state();
        let seat = state
            .calls
            .session_on(self.link.id)
            .map(|session| session.seat);
        match (op, seat) {
            (op::HEARTBEAT, _) => self.heartbeat(&mut state, data),
            (op::IDENTIFY, None) => self.identify(&mut state, data),
            (op::RESUME, None) => self.resume(&mut state, data),
            (op::IDENTIFY | op::RESUME, Some(_)) => Err(ALREADY_AUTHENTICATED),
            (
                op::SELECT_PROTOCOL
                | op::SPEAKING
                | op::VIDEO
                | op::SESSION_UPDATE
                | op::MEDIA_SINK_WANTS
                | op::BACKEND_VERSION
                | op::TRANSITION_READY
                | op::INVALID_COMMIT_WELCOME
                | op::NO_ROUTE,
                None,
            ) => Err(NOT_AUTHENTICATED),
            (op::SELECT_PROTOCOL, Some(seat)) => Self::select_protocol(&mut state, seat, data),
            (op::SPEAKING, Some(seat)) => Self::speaking(&mut state, seat, data),
            (op::TRANSITION_READY, Some(seat)) => {
                state.dave_ready(seat, transition(data)?);
                Ok(())
            }
            (op::INVALID_COMMIT_WELCOME, Some(seat)) => {
                state.dave_invalid(seat, transition(data)?);
                Ok(())
            }
            (op::BACKEND_VERSION, Some(_)) => {
                let versions = json!({"voice": "0.0.0", "rtc_worker": "0.0.0"});
                self.link.send(op::BACKEND_VERSION, versions);
                Ok(())
            }
            (op::VIDEO, Some(seat)) => {
                state.video(seat, data);
                Ok(())
            }
            (op::MEDIA_SINK_WANTS, Some(seat)) => {
                state.video_wants(seat, data);
                Ok(())
            }
            // Known, and there is nothing to do.
            (op::SESSION_UPDATE | op::NO_ROUTE, Some(_)) => Ok(()),
            _ => Err(UNKNOWN_OPCODE),
        }
    }

    /// Carries out a command that came as bytes.
    pub fn binary_command(&mut self, op: u8, payload: &[u8]) -> Flow {
        let app = self.app.clone();
        let mut state = app.state();
        let seat = state
            .calls
            .session_on(self.link.id)
            .map(|session| session.seat);
        match (op, seat) {
            (op::KEY_PACKAGE | op::COMMIT_WELCOME, None) => return Err(NOT_AUTHENTICATED),
            (op::KEY_PACKAGE, Some(seat)) => state.dave_key_package(seat, payload),
            (op::COMMIT_WELCOME, Some(seat)) => state.dave_commit(seat, payload),
            _ => return Err(UNKNOWN_OPCODE),
        }
        Ok(())
    }

    fn heartbeat(&self, state: &mut State, data: &Value) -> Flow {
        let Some(nonce) = data["t"].as_u64() else {
            return Err(DECODE_ERROR);
        };
        let known = match (state.calls.session_on(self.link.id), &data["seq_ack"]) {
            (Some(session), Value::Number(number)) => match number.as_i64() {
                Some(-1) => session.outbox.last() == 0,
                Some(number) => u16::try_from(number).is_ok_and(|n| session.outbox.knows(n)),
                None => false,
            },
            (Some(session), Value::Null) => session.outbox.last() == 0,
            (Some(_), _) => false,
            (None, _) => true,
        };
        if !known {
            state.voice_violation_on(self.link.id, "seq_ack");
        }
        self.link.send(op::HEARTBEAT_ACK, json!({"t": nonce}));
        Ok(())
    }

    fn select_protocol(state: &mut State, seat: Seat, data: &Value) -> Flow {
        if data["protocol"] != "udp" {
            return Err(End::Close(4012, "Unknown protocol."));
        }
        let (codecs, data) = (&data["codecs"], &data["data"]);
        let address = data["address"].as_str().and_then(|ip| ip.parse().ok());
        let port = data["port"].as_u64().and_then(|port| port.try_into().ok());
        let (Some(address), Some(port), Some(mode)) = (address, port, data["mode"].as_str()) else {
            return Err(BAD_REQUEST);
        };
        let claimed = std::net::SocketAddr::new(address, port);
        let mode = Mode::offered(state.settings.voice_aes)
            .iter()
            .find(|offered| offered.name() == mode);
        let Some(&mode) = mode else {
            return Err(End::Close(4016, "Unknown encryption mode."));
        };
        let mut key = [0; 32];
        let cipher = match SystemRandom::new().fill(&mut key) {
            Ok(()) => Cipher::new(mode, &key).ok_or(NO_RANDOM)?,
            Err(_) => return Err(NO_RANDOM),
        };
        let Some(session) = state.calls.session(seat) else {
            return Err(INVALID_SESSION);
        };
        let is_new = !session.is_in_call();
        let undiscovered = session.discovered.is_some_and(|found| found != claimed);
        session.transport = Some(Transport::new(cipher, Some(claimed)));
        let channel = session.channel;
        let mut video_codec = "H264".to_owned();
        let mut sane = true;
        if let Some(video) = &mut session.video {
            sane = video.select(codecs);
            video_codec = video.codec().map_or(video_codec, ToOwned::to_owned);
        }
        let version = match is_new {
            true => state.dave_join(seat).map_err(|_| NO_RANDOM)?,
            false => state.dave_version(channel),
        };
        let description = json!({
            "mode": mode.name(),
            "secret_key": key,
            "dave_protocol_version": version,
            "audio_codec": "opus",
            "video_codec": video_codec,
            "media_session_id": format!("{:032x}", seat.user.0),
        });
        if let Some(session) = state.calls.session(seat) {
            session.outbox.send(op::SESSION_DESCRIPTION, &description);
        }
        if !sane {
            state.voice_violation(seat, "select_protocol_codecs");
        }
        if undiscovered {
            state.voice_violation(seat, "select_protocol_address");
        }
        state.log.push(
            "voice_ready",
            json!({"user_id": seat.user, "channel_id": channel, "mode": mode.name(), "dave": version}),
        );
        if is_new {
            state.calls.enter(seat);
            state.dave_enter(seat);
            state.video_wanted(channel);
        }
        Ok(())
    }

    fn speaking(state: &mut State, seat: Seat, data: &Value) -> Flow {
        // Who sends `true` for 1 speaks version 3.
        let Some(flags) = data["speaking"].as_u64() else {
            return Err(DECODE_ERROR);
        };
        let Some(session) = state.calls.session(seat) else {
            return Err(INVALID_SESSION);
        };
        let (ssrc, channel, in_call) = (session.ssrc, session.channel, session.is_in_call());
        if data["ssrc"].as_u64() != Some(u64::from(ssrc)) {
            state.voice_violation(seat, "speaking_ssrc");
            return Ok(());
        }
        session.speaking = Some(flags);
        session.unsaid = None;
        if in_call {
            let data = json!({"user_id": seat.user, "ssrc": ssrc, "speaking": flags});
            state.calls.tell_others(channel, seat, op::SPEAKING, &data);
        }
        Ok(())
    }
}

/// The transition that a client speaks of.
fn transition(data: &Value) -> Result<u64, End> {
    data["transition_id"].as_u64().ok_or(DECODE_ERROR)
}
