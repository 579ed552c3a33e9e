//! What Discord says over the connection.

use super::{Connection, LINGERING, Output, Phase, Resumable, Shard, closed};
use crate::desired::is_websocket;
use crate::gateway::payload::Payload;
use crate::gateway::voice;
use serde::Deserialize;
use tokio::time::Instant;
use twilight_model::gateway::OpCode;
use uro_discord_wire::{Active, GatewayState};

/// What waits for nothing else. Elixir does not see from it how far the session is, since it may have overtaken other events.
pub const INTERACTION: &str = "INTERACTION_CREATE";

#[derive(Deserialize)]
struct Ready {
    session_id: String,
    resume_gateway_url: Option<String>,
    user: User,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

impl Shard {
    /// Takes a payload of an open connection. Whether Elixir wants it.
    pub(super) fn heard(&mut self, payload: &Payload<'_>, now: Instant) -> bool {
        match OpCode::from(payload.op) {
            Some(OpCode::Dispatch) => return self.dispatch(payload, now),
            Some(OpCode::Hello) => self.hello(now),
            Some(OpCode::Reconnect) => self.left("Discord asked to reconnect", now),
            Some(OpCode::InvalidSession) => {
                if payload.data != "true" {
                    self.session = None;
                }
                self.left("Discord found the session invalid", now);
            }
            _ => {}
        }
        false
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.phase {
            Phase::Connected(connection) => Some(connection),
            _ => None,
        }
    }

    fn hello(&mut self, now: Instant) {
        let Some(connection) = self.connection() else {
            return;
        };
        if let Some(reason) = connection.leaving {
            // The old connection broke before it was closed, and twilight has opened another by itself.
            self.lost(closed(reason), now);
            return self.advance(now);
        }
        connection.greeted = true;
        connection.deadline = None;
        self.report(match self.session {
            Some(_) => GatewayState::Resuming,
            None => GatewayState::Identifying,
        });
    }

    /// Discord wants another connection. twilight closes this one.
    fn left(&mut self, reason: &'static str, now: Instant) {
        if let Some(connection) = self.connection() {
            connection.leaving = Some(reason);
            connection.deadline = Some((now + LINGERING, reason));
        }
    }

    fn dispatch(&mut self, payload: &Payload<'_>, now: Instant) -> bool {
        let kind = payload.kind.as_ref();
        let wanted = self.gateway.events.contains(kind);
        if let (Some(session), Some(sequence)) = (&mut self.session, payload.sequence) {
            session.sequence = sequence;
        }
        if wanted && kind != INTERACTION {
            self.progress.settled();
        } else if kind != "READY"
            && let Some(sequence) = payload.sequence
        {
            self.progress.passed(sequence);
        }
        match kind {
            "READY" => self.ready(payload, now),
            "RESUMED" => {
                self.commands.resumed();
                self.active(payload, true, now);
                self.advance(now);
            }
            // What was heard before is past: an old voice server would move a session.
            "VOICE_STATE_UPDATE" | "VOICE_SERVER_UPDATE"
                if payload
                    .sequence
                    .is_none_or(|sequence| sequence > self.replayed_to) =>
            {
                let update = voice::heard(&mut self.commands.voice, kind, payload.data, now);
                self.outputs.extend(update.map(Output::Voice));
            }
            _ => {}
        }
        wanted
    }

    /// A new session.
    fn ready(&mut self, payload: &Payload<'_>, now: Instant) {
        let ready = match serde_json::from_str::<Ready>(payload.data) {
            Ok(ready) => ready,
            Err(error) => {
                tracing::error!(%error, "Discord sent a READY that is not understood");
                self.lost(closed("Discord sent a READY that is not understood"), now);
                return self.advance(now);
            }
        };
        self.commands.renewed();
        self.replayed_to = 0;
        self.progress.settled();
        self.outputs.push_back(Output::Voice(voice::new_session(
            self.number,
            &self.gateway,
        )));
        self.user_id = Some(ready.user.id);
        let url = ready.resume_gateway_url;
        let usable = url.as_deref().is_none_or(is_websocket);
        self.session = Some(Resumable {
            id: ready.session_id,
            sequence: payload.sequence.unwrap_or_default(),
            url: url.filter(|_| usable),
            elsewhere: false,
        });
        self.active(payload, false, now);
        if !usable {
            // twilight would panic when it next connects. Without it, it resumes where sessions begin.
            self.lost(closed("Discord named an address that is none"), now);
        }
        self.advance(now);
    }

    fn active(&mut self, payload: &Payload<'_>, resumed: bool, now: Instant) {
        if let Some(connection) = self.connection() {
            connection.active = Some(now);
        }
        tracing::info!(shard = self.number, resumed, "gateway active");
        let Some(Resumable { id, url, .. }) = &self.session else {
            return;
        };
        let active = Active {
            session_id: id.clone(),
            sequence: payload.sequence.unwrap_or_default(),
            resume_url: url.clone(),
            resumed,
            user_id: self.user_id.clone(),
        };
        self.report(GatewayState::Active(active));
    }
}
