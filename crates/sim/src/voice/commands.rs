//! What a client of the voice gateway sends.

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::{
    cipher::{Cipher, Mode},
    op,
    outbox::Link,
    session::{Session, Transport},
};
use crate::{
    app::App,
    gateway::End,
    id::{Id, from_json as id},
    state::State,
};

pub const UNKNOWN_OPCODE: End = End::Close(4001, "Unknown opcode.");
const DECODE_ERROR: End = End::Close(4002, "Failed to decode payload.");
const NOT_AUTHENTICATED: End = End::Close(4003, "Not authenticated.");
const BAD_TOKEN: End = End::Close(4004, "Authentication failed.");
const ALREADY_AUTHENTICATED: End = End::Close(4005, "Already authenticated.");
const INVALID_SESSION: End = End::Close(4006, "Session no longer valid.");
const BAD_REQUEST: End = End::Close(4020, "Bad request.");
const NO_RANDOM: End = End::Close(4015, "The simulator has no random bytes.");

/// What becomes of the connection after a command.
type Flow = Result<(), End>;

/// The client at the other end of a connection.
pub struct Client {
    app: App,
    link: Link,
    /// Whose session it was given.
    user: Option<Id>,
}

impl Client {
    pub fn new(app: App, link: Link) -> Self {
        Self {
            app,
            link,
            user: None,
        }
    }

    pub fn link(&self) -> &Link {
        &self.link
    }

    pub fn user(&self) -> Option<Id> {
        self.user
    }

    /// Carries out a command that came as JSON.
    pub fn command(&mut self, op: u8, data: &Value) -> Flow {
        let app = self.app.clone();
        let mut state = app.state();
        let user = state
            .calls
            .session_on(self.link.id)
            .map(|session| session.user);
        match (op, user) {
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
            (op::SELECT_PROTOCOL, Some(user)) => Self::select_protocol(&mut state, user, data),
            (op::SPEAKING, Some(user)) => Self::speaking(&mut state, user, data),
            (op::TRANSITION_READY, Some(user)) => {
                state.dave_ready(user, transition(data)?);
                Ok(())
            }
            (op::INVALID_COMMIT_WELCOME, Some(user)) => {
                state.dave_invalid(user, transition(data)?);
                Ok(())
            }
            (op::BACKEND_VERSION, Some(_)) => {
                let versions = json!({"voice": "0.0.0", "rtc_worker": "0.0.0"});
                self.link.send(op::BACKEND_VERSION, versions);
                Ok(())
            }
            // Known, and there is nothing to do in a call without video.
            (op::VIDEO | op::SESSION_UPDATE | op::MEDIA_SINK_WANTS | op::NO_ROUTE, Some(_)) => {
                Ok(())
            }
            _ => Err(UNKNOWN_OPCODE),
        }
    }

    /// Carries out a command that came as bytes.
    pub fn binary_command(&mut self, op: u8, payload: &[u8]) -> Flow {
        let app = self.app.clone();
        let mut state = app.state();
        let user = state
            .calls
            .session_on(self.link.id)
            .map(|session| session.user);
        match (op, user) {
            (op::KEY_PACKAGE | op::COMMIT_WELCOME, None) => return Err(NOT_AUTHENTICATED),
            (op::KEY_PACKAGE, Some(user)) => state.dave_key_package(user, payload),
            (op::COMMIT_WELCOME, Some(user)) => state.dave_commit(user, payload),
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

    fn identify(&mut self, state: &mut State, data: &Value) -> Flow {
        let fields = (
            id(&data["server_id"]),
            id(&data["user_id"]),
            data["session_id"].as_str(),
            data["token"].as_str(),
        );
        let (Some(server), Some(user), Some(session), Some(token)) = fields else {
            return Err(DECODE_ERROR);
        };
        if server != state.guild.id {
            return Err(End::Close(4011, "Server not found."));
        }
        let channel = match state.calls.ticket(user) {
            Some(ticket) if ticket.session != session => return Err(INVALID_SESSION),
            Some(ticket) if ticket.token != token => return Err(BAD_TOKEN),
            Some(ticket) => ticket.channel,
            None => return Err(INVALID_SESSION),
        };
        if id(&data["channel_id"]).is_some_and(|wanted| wanted != channel) {
            return Err(INVALID_SESSION);
        }
        let dave = data["max_dave_protocol_version"].as_u64().unwrap_or(0);
        let dave = u16::try_from(dave).unwrap_or(u16::MAX);
        if dave == 0 && state.settings.dave_required && state.may_have_dave(channel) {
            return Err(End::Close(4017, "E2EE/DAVE protocol required."));
        }
        // A token is good for one session.
        if state.calls.session(user).is_some() {
            state.end_voice_session(user, INVALID_SESSION);
            return Err(INVALID_SESSION);
        }
        let ssrc = state.calls.next_ssrc();
        let mut started = Session::new(user, channel, ssrc, dave);
        started.id = session.to_owned();
        started.token = token.to_owned();
        started.outbox.link = Some(self.link.clone());
        state.calls.start(started);
        self.user = Some(user);
        state.log.push(
            "voice_identify",
            json!({"user_id": user, "channel_id": channel, "ssrc": ssrc, "dave": dave}),
        );
        let udp = self.app.addresses().voice;
        let modes: Vec<&str> = Mode::offered(state.settings.voice_aes)
            .iter()
            .map(|mode| mode.name())
            .collect();
        let ready = json!({
            "ssrc": ssrc,
            "ip": udp.ip(),
            "port": udp.port(),
            "modes": modes,
            "experiments": [],
            "streams": [],
            // Discord's documentation calls it erroneous, and so it is.
            "heartbeat_interval": 1,
        });
        if let Some(session) = state.calls.session(user) {
            session.outbox.send(op::READY, &ready);
        }
        Ok(())
    }

    fn resume(&mut self, state: &mut State, data: &Value) -> Flow {
        let fields = (
            id(&data["server_id"]),
            data["session_id"].as_str(),
            data["token"].as_str(),
        );
        let (Some(_), Some(id), Some(token)) = fields else {
            return Err(DECODE_ERROR);
        };
        let acknowledged = match data["seq_ack"].as_i64() {
            None | Some(-1) => None,
            Some(number) => Some(u16::try_from(number).map_err(|_| DECODE_ERROR)?),
        };
        let link = self.link.clone();
        let session = state
            .calls
            .sessions_mut()
            .find(|session| session.id == id && session.token == token);
        let resumed = session.and_then(|session| {
            let old = session.outbox.link.replace(link);
            if let Some(old) = old.filter(|old| old.id != self.link.id) {
                old.end(End::Close(4006, "Session resumed elsewhere."));
            }
            session.lost_at = None;
            self.link.send(op::RESUMED, Value::Null);
            session.outbox.replay(acknowledged).then_some(session.user)
        });
        state.calls.count_resume(resumed.is_some());
        let kind = if resumed.is_some() {
            "voice_resume"
        } else {
            "voice_resume_refused"
        };
        state.log.push(
            kind,
            json!({"user_id": resumed, "session_id": id, "seq_ack": acknowledged}),
        );
        self.user = resumed;
        resumed.map(|_| ()).ok_or(INVALID_SESSION)
    }

    fn select_protocol(state: &mut State, user: Id, data: &Value) -> Flow {
        if data["protocol"] != "udp" {
            return Err(End::Close(4012, "Unknown protocol."));
        }
        let data = &data["data"];
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
        let Some(session) = state.calls.session(user) else {
            return Err(INVALID_SESSION);
        };
        let is_new = !session.is_in_call();
        let undiscovered = session.discovered.is_some_and(|found| found != claimed);
        session.transport = Some(Transport::new(cipher, Some(claimed)));
        let channel = session.channel;
        let version = match is_new {
            true => state.dave_join(user).map_err(|_| NO_RANDOM)?,
            false => state.dave_version(channel),
        };
        let description = json!({
            "mode": mode.name(),
            "secret_key": key,
            "dave_protocol_version": version,
            "audio_codec": "opus",
            "video_codec": "H264",
            "media_session_id": format!("{:032x}", user.0),
        });
        if let Some(session) = state.calls.session(user) {
            session.outbox.send(op::SESSION_DESCRIPTION, &description);
        }
        if undiscovered {
            state.voice_violation(user, "select_protocol_address");
        }
        state.log.push(
            "voice_ready",
            json!({"user_id": user, "channel_id": channel, "mode": mode.name(), "dave": version}),
        );
        if is_new {
            state.calls.enter(user);
            state.dave_enter(user);
        }
        Ok(())
    }

    fn speaking(state: &mut State, user: Id, data: &Value) -> Flow {
        // Who sends `true` for 1 speaks version 3.
        let Some(flags) = data["speaking"].as_u64() else {
            return Err(DECODE_ERROR);
        };
        let Some(session) = state.calls.session(user) else {
            return Err(INVALID_SESSION);
        };
        let (ssrc, channel, in_call) = (session.ssrc, session.channel, session.is_in_call());
        if data["ssrc"].as_u64() != Some(u64::from(ssrc)) {
            state.voice_violation(user, "speaking_ssrc");
            return Ok(());
        }
        session.speaking = Some(flags);
        session.unsaid = None;
        if in_call {
            let data = json!({"user_id": user, "ssrc": ssrc, "speaking": flags});
            state.calls.tell_others(channel, user, op::SPEAKING, &data);
        }
        Ok(())
    }
}

/// The transition that a client speaks of.
fn transition(data: &Value) -> Result<u64, End> {
    data["transition_id"].as_u64().ok_or(DECODE_ERROR)
}
