//! What comes over a connection, and what goes.

use super::commands::Command;
use super::connection::Story;
use super::keeper::{Allowed, Keeper, Resumable};
use super::payload::Payload;
use super::voice::payload;
use crate::desired::is_websocket;
use serde::Deserialize;
use tokio::time::Instant;
use twilight_gateway::{Shard, ShardState};
use twilight_model::gateway::OpCode;
use uro_discord_wire::frame::AppendError;
use uro_discord_wire::{Active, FromBridge, GatewayState};

/// What READY says that twilight does not keep.
#[derive(Deserialize)]
struct Ready {
    user: User,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

/// What waits for nothing else. Elixir does not see from it how far the session is, since it may have overtaken other events.
const INTERACTION: &str = "INTERACTION_CREATE";

impl Keeper {
    /// Takes a payload that twilight has seen already.
    pub(super) fn payload(&mut self, shard: &Shard<Allowed>, text: &str, story: &mut Story) {
        let payload = match Payload::read(text) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::error!(%error, "Discord sent a payload that is not understood");
                return;
            }
        };
        match OpCode::from(payload.op) {
            Some(OpCode::Hello) => {
                story.hello();
                self.report(match shard.state() {
                    ShardState::Resuming => GatewayState::Resuming,
                    _ => GatewayState::Identifying,
                });
            }
            Some(OpCode::Reconnect) => story.leave("Discord asked to reconnect"),
            Some(OpCode::InvalidSession) => story.leave("Discord found the session invalid"),
            Some(OpCode::Dispatch) => self.dispatch(shard, &payload, text, story),
            _ => {}
        }
    }

    fn dispatch(
        &mut self,
        shard: &Shard<Allowed>,
        payload: &Payload<'_>,
        text: &str,
        story: &mut Story,
    ) {
        let kind = payload.kind.as_ref();
        match kind {
            "READY" => self.ready(shard, payload, story),
            "RESUMED" => {
                self.commands.resumed();
                self.active(payload, true, story);
            }
            "VOICE_STATE_UPDATE" | "VOICE_SERVER_UPDATE" => {
                self.voice.dispatch(&mut self.commands, kind, payload.data);
            }
            _ => {}
        }
        let wanted = self.gateway.events.contains(kind);
        if wanted && self.event(shard, payload).is_err() {
            // It may be more than what follows `"d":`.
            let event = Payload::parse(text)
                .map_err(|error| error.to_string())
                .and_then(|payload| {
                    self.event(shard, &payload)
                        .map_err(|error| error.to_string())
                });
            if let Err(error) = event {
                let sequence = payload.sequence;
                tracing::error!(
                    kind,
                    sequence,
                    error,
                    "an event cannot be carried to Elixir"
                );
            }
        }
        if wanted && kind != INTERACTION {
            self.progress.settled();
        } else if kind != "READY"
            && let Some(sequence) = payload.sequence
        {
            self.progress.passed(sequence);
        }
    }

    /// A new session.
    fn ready(&mut self, shard: &Shard<Allowed>, payload: &Payload<'_>, story: &mut Story) {
        self.commands.renewed();
        self.voice.new_session();
        self.progress.settled();
        match serde_json::from_str::<Ready>(payload.data) {
            Ok(ready) => self.user_id = Some(ready.user.id),
            Err(error) => tracing::error!(%error, "READY does not say who the bot is"),
        }
        let url = shard.resume_url().map(str::to_owned);
        let usable = url.as_deref().is_none_or(is_websocket);
        self.session = shard.session().map(|session| Resumable {
            session: session.clone(),
            url: url.filter(|_| usable),
            elsewhere: false,
        });
        self.active(payload, false, story);
        if !usable {
            // twilight would panic when it next connects. Without it, it resumes where sessions begin.
            story.broken("Discord named an address that is none");
        }
    }

    fn active(&self, payload: &Payload<'_>, resumed: bool, story: &mut Story) {
        story.active = Some(Instant::now());
        tracing::info!(shard = self.number, resumed, "gateway active");
        let Some(Resumable { session, url, .. }) = &self.session else {
            return;
        };
        self.report(GatewayState::Active(Active {
            session_id: session.id().to_owned(),
            sequence: payload.sequence.unwrap_or_default(),
            resume_url: url.clone(),
            resumed,
            user_id: self.user_id.clone(),
        }));
    }

    /// Has a dispatch sent to Elixir.
    fn event(&self, shard: &Shard<Allowed>, payload: &Payload<'_>) -> Result<(), AppendError> {
        let event = FromBridge::Event {
            shard: self.number,
            session: session(shard).into(),
            sequence: payload.sequence.unwrap_or_default(),
            kind: payload.kind.as_ref().into(),
            data: payload.data.into(),
        };
        if payload.kind.as_ref() == INTERACTION {
            self.events.put_urgent(&event)
        } else {
            self.events.put(&event)
        }
    }

    /// Tells Elixir how far the session is.
    pub(super) fn tell_sequence(&mut self, shard: &Shard<Allowed>) {
        if let Some(sequence) = self.progress.tell(Instant::now()) {
            let message = FromBridge::Sequence {
                shard: self.number,
                session: session(shard).into(),
                sequence,
            };
            if let Err(error) = self.events.put(&message) {
                tracing::error!(%error, "a message cannot be carried to Elixir");
            }
        }
    }

    /// Sends the commands that are due, as far as the budget goes.
    pub(super) fn command(&mut self, shard: &mut Shard<Allowed>, now: Instant) {
        while let Some(command) = self.commands.next(now) {
            match command {
                Command::Voice(command) => {
                    if let Some(payload) = payload(&command) {
                        shard.command(&payload);
                        self.voice.sent(&command);
                    }
                }
                Command::Presence(presence) => {
                    shard.send(presence.command());
                    let shard = self.number;
                    match serde_json::to_value(&presence) {
                        Ok(data) => self.tell(&FromBridge::Presence { shard, data }),
                        Err(error) => {
                            tracing::error!(%error, "a presence cannot be carried to Elixir");
                        }
                    }
                }
            }
        }
    }
}

/// The id of a shard's session.
fn session(shard: &Shard<Allowed>) -> &str {
    shard.session().map_or("", |session| session.id())
}
