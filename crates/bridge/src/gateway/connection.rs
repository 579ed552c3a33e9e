use super::payload::{Payload, Ready};
use super::{Keeper, Resumable, SHARD, same_connection};
use futures_util::StreamExt as _;
use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use twilight_gateway::error::ReceiveMessageErrorType;
use twilight_gateway::{CloseFrame, Message, Shard, ShardState};
use twilight_model::gateway::OpCode;
use uro_discord_wire::{Active, Closed, FromBridge, Gateway, GatewayState, frame};

/// How long Discord may take to answer a close.
const CLOSING: Duration = Duration::from_millis(400);

/// How long a connection may last on which Discord has asked for another.
const LINGERING: Duration = Duration::from_secs(2);

/// Why a connection ended.
pub enum End {
    /// Another gateway is desired, or none, or the bridge ends.
    Unwanted,
    /// It is to be opened again; the session was active for so long.
    Lost {
        closed: Closed,
        active: Option<Duration>,
    },
    /// Discord will not have it.
    Fatal(Closed),
}

/// A connection's own story.
#[derive(Default)]
struct Story {
    active: Option<Instant>,
    /// Discord asked to connect anew: when it is over here, and the reason.
    leaving: Option<(Instant, &'static str)>,
}

impl Keeper {
    /// Opens the shard's connection and serves it to its end.
    pub(super) async fn connection(
        &mut self,
        shard: &mut Shard,
        gateway: &mut Arc<Gateway>,
    ) -> End {
        let mut story = Story::default();
        let ended = loop {
            // While there is no room for events nothing is read, so nothing is sent either: twilight does both at once.
            let reading = self.events.has_room();
            let ready = reading && shard.state() == ShardState::Active;
            let due = self.pace.due(Instant::now()).filter(|_| ready);
            tokio::select! {
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        close(shard, CloseFrame::RESUME).await;
                        return End::Unwanted;
                    }
                    match self.desired().gateway {
                        Some(other) if same_connection(gateway, &other) => *gateway = other,
                        _ => {
                            // The session ends with it, and the bot is seen to go offline.
                            close(shard, CloseFrame::NORMAL).await;
                            return End::Unwanted;
                        }
                    }
                }
                () = self.events.room(), if !reading => {}
                () = at(due), if due.is_some() => self.show_presence(shard).await,
                () = at(story.leaving.map(|(end, _)| end)) => break closed("the connection did not close in time"),
                item = shard.next(), if reading => match item {
                    Some(Ok(Message::Text(text))) => {
                        self.payload(shard, gateway, &text, &mut story).await;
                        // The old connection broke before it was closed, and twilight has opened another by itself.
                        if let (Some((_, reason)), ShardState::Identifying | ShardState::Resuming) = (story.leaving, shard.state()) {
                            break closed(reason);
                        }
                    }
                    Some(Ok(Message::Close(frame))) => break Closed {
                        code: frame.as_ref().map(|frame| frame.code),
                        reason: match (story.leaving, frame) {
                            (Some((_, reason)), _) => reason.into(),
                            (None, Some(frame)) => frame.reason.into(),
                            (None, None) => String::new(),
                        },
                    },
                    Some(Err(error)) if matches!(error.kind(), ReceiveMessageErrorType::Deserializing { .. }) => {
                        tracing::warn!(reason = chain(&error), "Discord sent what twilight does not understand");
                    }
                    Some(Err(error)) => break closed(chain(&error)),
                    None => break closed("the connection ended"),
                },
            }
        };
        if story.active.is_some() {
            self.pace.lost(Instant::now());
        }
        if shard.state() == ShardState::FatallyClosed {
            return End::Fatal(ended);
        }
        // After op 9 twilight has dropped it. After a connection that could not be opened it keeps the session without its address.
        self.session = shard.session().map(|session| Resumable {
            session: session.clone(),
            url: shard.resume_url().map(str::to_owned),
        });
        End::Lost {
            closed: ended,
            active: story.active.map(|since| since.elapsed()),
        }
    }

    /// Takes a payload that twilight has seen already.
    async fn payload(
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
        let mut leave = |reason| story.leaving = Some((Instant::now() + LINGERING, reason));
        match OpCode::from(payload.op) {
            Some(OpCode::Hello) if shard.state() == ShardState::Resuming => {
                self.report(GatewayState::Resuming).await
            }
            Some(OpCode::Hello) => self.report(GatewayState::Identifying).await,
            Some(OpCode::Reconnect) => leave("Discord asked to reconnect"),
            Some(OpCode::InvalidSession) => leave("Discord found the session invalid"),
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

    async fn show_presence(&mut self, shard: &mut Shard) {
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

/// Closes an open connection, and lets the other side answer.
async fn close(shard: &mut Shard, frame: CloseFrame<'static>) {
    if matches!(
        shard.state(),
        ShardState::Disconnected { .. } | ShardState::FatallyClosed
    ) {
        return;
    }
    shard.close(frame);
    let answered = async {
        while let Some(Ok(message)) = shard.next().await {
            if matches!(message, Message::Close(_)) {
                break;
            }
        }
    };
    if timeout(CLOSING, answered).await.is_err() {
        tracing::debug!("Discord did not answer the close");
    }
}

/// Sleeps until `time`, or for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A [`Closed`] without a close code.
fn closed(reason: impl Into<String>) -> Closed {
    Closed {
        code: None,
        reason: reason.into(),
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
