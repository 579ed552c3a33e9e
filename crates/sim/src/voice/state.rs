//! What happens to calls, told to whom it concerns: those in the call, the gateway, and the event log.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{calls::Standing, op, session::Seat};
use crate::{
    StartError,
    gateway::{End, intents},
    id::{Id, from_json},
    state::{Channel, ChannelKind, State, seed},
};

/// What a client is told that is no longer in the call: it was moved or kicked, or left by the gateway.
const DISCONNECTED: End = End::Close(4014, "Disconnected.");

/// What all are told as the call ends on this server.
const CALL_TERMINATED: End = End::Close(4022, "Call terminated.");

impl State {
    /// A user joins a voice channel, moves to it, or changes what he says of himself: VOICE_STATE_UPDATE, and
    /// VOICE_SERVER_UPDATE unless he is connected there already.
    pub fn join_voice(
        &mut self,
        seat: Seat,
        voice: &Value,
        endpoint: &str,
    ) -> Result<(), StartError> {
        let channel = from_json(&voice["channel_id"]);
        let (Some(channel), Some(session)) = (channel, voice["session_id"].as_str()) else {
            return Ok(());
        };
        self.voice.insert(seat, voice.clone());
        let token = match self.calls.standing(seat, channel, session) {
            Standing::Connected => None,
            Standing::Lost { token } => Some(token),
            Standing::Elsewhere => {
                self.end_voice_session(seat, DISCONNECTED);
                Some(self.calls.admit(seat, channel, session)?)
            }
        };
        // Documented to come in either order, they come in this one: @discordjs/voice does not join with another.
        self.voice_state_changed(voice);
        if let Some(token) = token {
            let server = self.server(seat, &token, Some(endpoint));
            self.voice_server_update(seat, &server);
        }
        Ok(())
    }

    /// What is told of somebody who comes to a channel, by this session of the gateway.
    pub fn voice_json(&self, seat: Seat, channel: Id, session: Option<&str>) -> Value {
        let guild = self.guilds.get(seat.guild);
        let member = guild.and_then(|guild| self.member_json(guild, seat.user));
        json!({
            "guild_id": seat.guild,
            "channel_id": channel,
            "user_id": seat.user,
            "member": member,
            "session_id": session,
            "deaf": false,
            "mute": false,
            "self_deaf": false,
            "self_mute": false,
            "self_video": false,
            "suppress": self.suppressed(seat, channel),
            "request_to_speak_timestamp": null,
        })
    }

    /// Who comes to a stage is in its audience; who is on it stays what he is.
    fn suppressed(&self, seat: Seat, channel: Id) -> bool {
        let before = self.voice.get(&seat);
        match before.filter(|voice| from_json(&voice["channel_id"]) == Some(channel)) {
            Some(voice) => voice["suppress"] == true,
            None => {
                let stage = |channel: &Channel| channel.kind == ChannelKind::Stage;
                self.settings.stage_audience && self.channel(channel).is_some_and(stage)
            }
        }
    }

    /// Somebody moves a user to another voice channel.
    pub fn move_voice(
        &mut self,
        seat: Seat,
        channel: Id,
        endpoint: &str,
    ) -> Result<(), StartError> {
        match self.voice.get(&seat).cloned() {
            Some(mut voice) => {
                voice["channel_id"] = json!(channel);
                self.join_voice(seat, &voice, endpoint)
            }
            None => Ok(()),
        }
    }

    /// A user's call goes to another voice server: the old one ends it, and there is none until there is the new one.
    pub fn change_voice_server(&mut self, seat: Seat, endpoint: &str) -> Result<(), StartError> {
        let Some(voice) = self.voice.get(&seat).cloned() else {
            return Ok(());
        };
        self.end_voice_session(seat, CALL_TERMINATED);
        let (channel, session) = (
            from_json(&voice["channel_id"]),
            voice["session_id"].as_str(),
        );
        if let (Some(channel), Some(session)) = (channel, session) {
            let token = self.calls.admit(seat, channel, session)?;
            for endpoint in [None, Some(endpoint)] {
                let server = self.server(seat, &token, endpoint);
                self.voice_server_update(seat, &server);
            }
        }
        Ok(())
    }

    fn server(&self, seat: Seat, token: &str, endpoint: Option<&str>) -> Value {
        let (token, endpoint) = match &self.settings.voice_elsewhere {
            Some(server) => (&*server.token, endpoint.map(|_| &*server.endpoint)),
            None => (token, endpoint),
        };
        json!({"token": token, "guild_id": seat.guild, "endpoint": endpoint})
    }

    /// VOICE_SERVER_UPDATE goes to the session of the gateway that the user is in voice with.
    fn voice_server_update(&mut self, seat: Seat, server: &Value) {
        let Some(session) = self
            .voice
            .get(&seat)
            .map(|voice| voice["session_id"].clone())
        else {
            return;
        };
        self.gateway.dispatch("VOICE_SERVER_UPDATE", |own| {
            (session == own.id).then(|| server.clone())
        });
    }

    /// A voice channel gets another user limit. Who is in it stays.
    pub fn set_user_limit(&mut self, channel: Id, limit: u32) {
        let Some(channel) = self.guilds.channel_mut(channel) else {
            return;
        };
        channel.user_limit = limit;
        let channel = channel.clone();
        let Some(guild) = self.guild_of(&channel).map(|guild| guild.id) else {
            return;
        };
        let data = self.channel_json(&channel, seed::APPLICATION);
        self.gateway.dispatch("CHANNEL_UPDATE", |session| {
            let hears = session.wants(intents::GUILDS) && session.hears(Some(guild));
            hears.then(|| data.clone())
        });
    }

    /// A user may speak, or may not: on a stage he comes from its audience, or goes there.
    pub fn suppress_voice(&mut self, seat: Seat, suppress: bool) {
        let Some(voice) = self.voice.get_mut(&seat) else {
            return;
        };
        voice["suppress"] = json!(suppress);
        let voice = voice.clone();
        self.voice_state_changed(&voice);
    }

    /// A user leaves voice, or is made to.
    pub fn leave_voice(&mut self, seat: Seat) {
        if let Some(mut voice) = self.voice.remove(&seat) {
            voice["channel_id"] = Value::Null;
            self.voice_state_changed(&voice);
        }
        self.end_voice_session(seat, DISCONNECTED);
    }

    /// Ends a user's session of the voice gateway, if he has one, and takes back the leave to begin one. The others of the
    /// call are told.
    pub fn end_voice_session(&mut self, seat: Seat, end: End) {
        self.calls.dismiss(seat);
        let Some(session) = self.calls.remove(seat, end) else {
            return;
        };
        if session.is_in_call() {
            let data = json!({"user_id": seat.user});
            self.calls
                .tell_others(session.channel, seat, op::CLIENT_DISCONNECT, &data);
            self.dave_leave(seat, session.channel);
            self.video_wanted(session.channel);
        }
        self.log.push(
            "voice_end",
            json!({"user_id": seat.user, "channel_id": session.channel}),
        );
    }

    /// Ends a user's connection to the voice gateway, if he has one.
    pub fn end_voice_connection(&mut self, seat: Seat, end: End) {
        let session = self.calls.session(seat);
        if let Some(link) = session.and_then(|session| session.outbox.link.as_ref()) {
            link.end(end);
        }
    }

    /// A connection of the voice gateway ended. Its session can be resumed, unless the code says that it is over.
    pub fn voice_connection_ended(&mut self, link: u64, user: Option<Id>, end: End) {
        let (code, by) = match end {
            End::Client(code) => (code, "client"),
            End::Close(code, _) => (Some(code), "server"),
            End::Drop => (None, "server"),
        };
        let lost = self.calls.session_on(link).map(|session| {
            session.outbox.link = None;
            session.lost_at = Some(Instant::now());
            session.seat
        });
        self.log.push(
            "voice_disconnect",
            json!({"user_id": user, "code": code, "by": by}),
        );
        let over = matches!(end, End::Close(4000..=4014 | 4016.., _));
        if over && let Some(seat) = lost {
            self.end_voice_session(seat, End::Drop);
        }
    }

    /// What time brings: the end of sessions that nobody resumed, and that of transitions that not all got ready for.
    pub fn voice_tick(&mut self, now: Instant) {
        let timeout = Duration::from_millis(self.settings.voice_session_timeout_ms);
        let over: Vec<Seat> = self
            .calls
            .sessions()
            .filter(|session| session.is_lost_for(timeout, now))
            .map(|session| session.seat)
            .collect();
        for seat in over {
            self.end_voice_session(seat, End::Drop);
        }
        self.dave_tick(now);
    }

    /// The client on a connection broke a rule.
    pub fn voice_violation_on(&mut self, link: u64, kind: &'static str) {
        let seat = self.calls.session_on(link).map(|session| session.seat);
        match seat {
            Some(seat) => self.voice_violation(seat, kind),
            None => self.count_voice_violation(None, kind, true),
        }
    }

    /// A client broke a rule of voice.
    pub fn voice_violation(&mut self, seat: Seat, kind: &'static str) {
        let session = self.calls.session(seat);
        let count = session.map(|session| {
            let count = session.violations.entry(kind).or_default();
            *count += 1;
            *count
        });
        // Each packet may break it: the log gets the first.
        self.count_voice_violation(Some(seat.user), kind, count.is_none_or(|count| count == 1));
    }

    fn count_voice_violation(&mut self, user: Option<Id>, kind: &'static str, log: bool) {
        *self.calls.counts.violations.entry(kind).or_default() += 1;
        if log {
            self.log
                .push("voice_violation", json!({"kind": kind, "user_id": user}));
        }
    }
}
