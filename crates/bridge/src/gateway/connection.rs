use super::{Keeper, Resumable, same_connection};
use futures_util::StreamExt as _;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use twilight_gateway::error::ReceiveMessageErrorType;
use twilight_gateway::{CloseFrame, Message, Shard, ShardState};
use uro_discord_wire::{Closed, Gateway};

/// How long Discord may take to answer a close.
const CLOSING: Duration = Duration::from_millis(400);

/// How long Discord may take to say hello. twilight gives the connecting itself 10 s, and would then wait for ever.
const HELLO: Duration = Duration::from_secs(20);

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
pub struct Story {
    /// Since when its session runs.
    pub active: Option<Instant>,
    /// When it is over unless it went on until then, and the reason.
    deadline: Option<(Instant, &'static str)>,
    /// Discord has asked for another connection, for this reason.
    leaving: Option<&'static str>,
}

impl Story {
    fn new() -> Self {
        Self {
            active: None,
            deadline: Some((Instant::now() + HELLO, "Discord did not say hello")),
            leaving: None,
        }
    }

    /// Notes that Discord has said hello.
    pub fn hello(&mut self) {
        self.deadline = None;
    }

    /// Notes that Discord wants another connection. twilight closes this one.
    pub fn leave(&mut self, reason: &'static str) {
        self.leaving = Some(reason);
        self.deadline = Some((Instant::now() + LINGERING, reason));
    }

    /// Why it was closed.
    fn closed(&self, frame: Option<CloseFrame<'_>>) -> Closed {
        match (self.leaving, frame) {
            (Some(reason), _) => closed(reason),
            // twilight's way to say that there was no close frame.
            (None, None | Some(CloseFrame { code: 1006, .. })) => closed("the connection was lost"),
            (None, Some(frame)) => Closed {
                code: Some(frame.code),
                reason: frame.reason.into(),
            },
        }
    }
}

impl Keeper {
    /// Opens the shard's connection and serves it to its end.
    pub(super) async fn connection(
        &mut self,
        shard: &mut Shard,
        gateway: &mut Arc<Gateway>,
    ) -> End {
        let mut story = Story::new();
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
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.show_presence(shard).await,
                reason = over(story.deadline), if reading => break closed(reason),
                item = shard.next(), if reading => match item {
                    Some(Ok(Message::Text(text))) => {
                        self.payload(shard, gateway, &text, &mut story).await;
                        // The old connection broke before it was closed, and twilight has opened another by itself.
                        if let (Some(reason), ShardState::Identifying | ShardState::Resuming) = (story.leaving, shard.state()) {
                            break closed(reason);
                        }
                    }
                    Some(Ok(Message::Close(frame))) => break story.closed(frame),
                    Some(Err(error)) if matches!(error.kind(), ReceiveMessageErrorType::Deserializing { .. }) => {
                        // Not the error itself: it repeats the whole payload.
                        tracing::warn!(reason = error.source().map(chain), "Discord sent what twilight does not understand");
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

/// Waits until a deadline has passed, and gives its reason.
async fn over(deadline: Option<(Instant, &'static str)>) -> &'static str {
    let Some((end, reason)) = deadline else {
        return std::future::pending().await;
    };
    sleep_until(end).await;
    reason
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
