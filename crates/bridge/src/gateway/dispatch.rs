//! What comes over a connection, and what goes.

use super::connection::Story;
use super::{Keeper, SHARD};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use tokio::time::Instant;
use twilight_gateway::{Shard, ShardState};
use twilight_model::gateway::OpCode;
use uro_discord_wire::{Active, FromBridge, Gateway, GatewayState, frame};

/// A payload from the gateway. Its data stays text, as Elixir wants it in another form than ours.
#[derive(Deserialize)]
struct Payload<'a> {
    op: u8,
    #[serde(rename = "s")]
    sequence: Option<u64>,
    #[serde(rename = "t")]
    kind: Option<String>,
    #[serde(borrow, rename = "d")]
    data: Option<&'a RawValue>,
}

/// What READY says that twilight does not keep.
#[derive(Deserialize)]
struct Ready {
    user: User,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

impl<'a> Payload<'a> {
    fn data(&self) -> &'a str {
        self.data.map_or("null", RawValue::get)
    }
}

impl Keeper {
    /// Takes a payload that twilight has seen already.
    pub(super) async fn payload(
        &mut self,
        shard: &mut Shard,
        gateway: &Gateway,
        text: &str,
        story: &mut Story,
    ) {
        let payload: Payload<'_> = match serde_json::from_str(text) {
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
                })
                .await;
            }
            Some(OpCode::Reconnect) => story.leave("Discord asked to reconnect"),
            Some(OpCode::InvalidSession) => story.leave("Discord found the session invalid"),
            Some(OpCode::Dispatch) => {
                let kind = payload.kind.as_deref().unwrap_or_default();
                if matches!(kind, "READY" | "RESUMED") {
                    story.active = Some(Instant::now());
                    self.active(shard, &payload, kind == "RESUMED").await;
                }
                if gateway.events.contains(kind) {
                    self.event(shard, kind, &payload);
                }
            }
            _ => {}
        }
    }

    async fn active(&mut self, shard: &mut Shard, payload: &Payload<'_>, resumed: bool) {
        if !resumed {
            self.pace.renewed();
            match serde_json::from_str::<Ready>(payload.data()) {
                Ok(ready) => self.user_id = Some(ready.user.id),
                Err(error) => tracing::error!(%error, "READY does not say who the bot is"),
            }
        }
        tracing::info!(resumed, "gateway active");
        let active = Active {
            session_id: shard
                .session()
                .map_or("", |session| session.id())
                .to_owned(),
            sequence: payload.sequence.unwrap_or_default(),
            resume_url: shard.resume_url().map(str::to_owned),
            resumed,
            user_id: self.user_id.clone(),
        };
        self.report(GatewayState::Active(active)).await;
    }

    /// Puts a dispatch into the queue.
    fn event(&self, shard: &Shard, kind: &str, payload: &Payload<'_>) {
        let event = FromBridge::Event {
            shard: SHARD,
            session: shard.session().map_or("", |session| session.id()).into(),
            sequence: payload.sequence.unwrap_or_default(),
            kind: kind.into(),
            data: Cow::Borrowed(payload.data()),
        };
        let mut bytes = Vec::with_capacity(payload.data().len());
        match frame::append(&mut bytes, |out| event.encode(out)) {
            Ok(()) => {
                // It may wait long, and its room is counted by its length.
                bytes.shrink_to_fit();
                self.events.put(bytes);
            }
            Err(error) => {
                tracing::error!(kind, sequence = payload.sequence, %error, "an event cannot be carried to Elixir")
            }
        }
    }

    /// Sends the presence that is due.
    pub(super) async fn show_presence(&mut self, shard: &mut Shard) {
        let presence = self.pace.send(Instant::now());
        shard.send(presence.command());
        match serde_json::to_value(&presence) {
            Ok(data) => {
                self.tell(&FromBridge::Presence { shard: SHARD, data })
                    .await
            }
            Err(error) => tracing::error!(%error, "a presence cannot be carried to Elixir"),
        }
    }
}
