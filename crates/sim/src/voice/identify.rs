//! Identify and Resume: whose session a connection is for.

use serde_json::{Value, json};

use super::{
    cipher::Mode,
    commands::{BAD_TOKEN, Client, DECODE_ERROR, Flow, INVALID_SESSION},
    op,
    session::{Seat, Session},
    video::Video,
};
use crate::{gateway::End, id::from_json as id, state::State};

impl Client {
    pub(super) fn identify(&mut self, state: &mut State, data: &Value) -> Flow {
        let fields = (
            id(&data["server_id"]),
            id(&data["user_id"]),
            data["session_id"].as_str(),
            data["token"].as_str(),
        );
        let (Some(guild), Some(user), Some(session), Some(token)) = fields else {
            return Err(DECODE_ERROR);
        };
        if state.guilds.get(guild).is_none() {
            return Err(End::Close(4011, "Server not found."));
        }
        let seat = Seat { guild, user };
        let channel = match state.calls.ticket(seat) {
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
        if state.calls.session(seat).is_some() {
            state.end_voice_session(seat, INVALID_SESSION);
            return Err(INVALID_SESSION);
        }
        let ssrc = state.calls.next_ssrc();
        let mut started = Session::new(seat, channel, ssrc, dave);
        started.id = session.to_owned();
        started.token = token.to_owned();
        started.video = Video::identify(ssrc, data);
        let streams = started
            .video
            .as_ref()
            .map(|video| video.streams(&data["streams"]));
        started.outbox.link = Some(self.link.clone());
        state.calls.start(started);
        self.seat = Some(seat);
        state.log.push(
            "voice_identify",
            json!({"user_id": seat.user, "channel_id": channel, "ssrc": ssrc, "dave": dave}),
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
            "streams": streams.unwrap_or_default(),
            // Discord's documentation calls it erroneous, and so it is.
            "heartbeat_interval": 1,
        });
        if let Some(session) = state.calls.session(seat) {
            session.outbox.send(op::READY, &ready);
        }
        Ok(())
    }

    pub(super) fn resume(&mut self, state: &mut State, data: &Value) -> Flow {
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
            session.outbox.replay(acknowledged).then_some(session.seat)
        });
        state.calls.count_resume(resumed.is_some());
        let kind = if resumed.is_some() {
            "voice_resume"
        } else {
            "voice_resume_refused"
        };
        state.log.push(
            kind,
            json!({"user_id": resumed.map(|seat| seat.user), "session_id": id, "seq_ack": acknowledged}),
        );
        self.seat = resumed;
        resumed.map(|_| ()).ok_or(INVALID_SESSION)
    }
}
