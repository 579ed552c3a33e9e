use super::keeper::{Allowed, Keeper, Resumable, Stop};
use crate::panics;
use futures_util::{FutureExt as _, StreamExt as _};
use std::error::Error;
use std::pin::pin;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};
use twilight_gateway::error::{ReceiveMessageError, ReceiveMessageErrorType};
use twilight_gateway::{CloseFrame, Message, Shard, ShardState};
use uro_discord_wire::{Closed, FromBridge, Panicked};

/// How long Discord may take to answer a close.
const CLOSING: Duration = Duration::from_millis(400);

/// How long Discord may take to say hello. twilight gives the connecting itself 10 s, and would then wait for ever.
const HELLO: Duration = Duration::from_secs(20);

/// How long a connection may last on which Discord has asked for another.
const LINGERING: Duration = Duration::from_secs(2);

/// How many bytes are taken before others have a turn, and the desired state and the lease are looked at again.
const AT_ONCE: usize = 64 * 1024;

/// What a connection brings.
type Item = Option<Result<Message, ReceiveMessageError>>;

/// Why a connection ended.
pub enum End {
    /// It may not be held any more.
    Stopped(Stop),
    /// It is to be opened again; since when the session was active.
    Lost {
        closed: Closed,
        active: Option<Instant>,
    },
    /// Discord will not have it.
    Fatal(Closed),
}

/// A connection's own story.
pub struct Story {
    /// Since when its session runs.
    pub active: Option<Instant>,
    greeted: bool,
    /// When it is over unless it went on until then, and the reason.
    deadline: Option<(Instant, &'static str)>,
    /// Discord has asked for another connection, for this reason.
    leaving: Option<&'static str>,
    /// It cannot go on, for this reason.
    broken: Option<&'static str>,
}

impl Story {
    fn new() -> Self {
        Self {
            active: None,
            greeted: false,
            deadline: Some((Instant::now() + HELLO, "Discord did not say hello")),
            leaving: None,
            broken: None,
        }
    }

    /// Notes that Discord has said hello.
    pub fn hello(&mut self) {
        self.greeted = true;
        self.deadline = None;
    }

    /// Notes that Discord wants another connection. twilight closes this one.
    pub fn leave(&mut self, reason: &'static str) {
        self.leaving = Some(reason);
        self.deadline = Some((Instant::now() + LINGERING, reason));
    }

    /// Notes that it cannot go on.
    pub fn broken(&mut self, reason: &'static str) {
        self.broken = Some(reason);
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
    /// Opens the shard's connection and serves it to its end, which a panic is too.
    pub(super) async fn connection(&mut self) -> End {
        // Outlives a panic: what the next connection needs is in there, and that is after the payload that made it panic.
        let mut open = None;
        if let Ok(end) = panics::caught(self.serve(&mut open)).await {
            return end;
        }
        self.tell(&FromBridge::Panic(Panicked::Shard(self.number)));
        if let Some((shard, story)) = &open {
            self.leave(shard, story);
        }
        End::Lost {
            closed: closed(
                "the bridge panicked, which is a fault of uro_discord's: its log has where",
            ),
            active: open.and_then(|(_, story)| story.active),
        }
    }

    async fn serve(&mut self, open: &mut Option<(Shard<Allowed>, Story)>) -> End {
        let (shard, story) = open.insert((self.shard(), Story::new()));
        self.progress.settled();
        self.commands.connected();
        let mut alarm = pin!(sleep_until(self.lease));
        let ended = loop {
            // While there is no room for events nothing is read, so nothing is sent either: twilight does both at once.
            let reading = self.events.has_room();
            let now = Instant::now();
            let showing = reading && shard.state() == ShardState::Active;
            let next = [
                story.deadline.map(|(end, _)| end).filter(|_| reading),
                self.commands.due(now).filter(|_| showing),
                self.progress.due(now).filter(|_| reading),
            ];
            let next = next.into_iter().flatten().fold(self.lease, Instant::min);
            if alarm.deadline() != next {
                alarm.as_mut().reset(next);
            }
            tokio::select! {
                biased;
                // An error is the end, which the look finds too.
                _ = self.wanted.changed() => if let Err(stop) = self.look() {
                    return self.stopped(shard, story, stop).await;
                },
                () = &mut alarm => {
                    if let Err(stop) = self.look() {
                        return self.stopped(shard, story, stop).await;
                    }
                    let now = Instant::now();
                    let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
                    if reading && let Some((end, reason)) = story.deadline && end <= now {
                        break closed(reason);
                    }
                    if showing {
                        self.command(shard, now);
                    }
                    if reading && due(self.progress.due(now)) {
                        self.tell_sequence(shard);
                    }
                }
                () = self.events.room(), if !reading => {}
                () = self.voice.changed() => self.voice.take(&mut self.commands),
                item = shard.next(), if reading => {
                    if let Some(ended) = self.items(shard, story, item).await {
                        break ended;
                    }
                }
            }
        };
        self.leave(shard, story);
        if shard.state() == ShardState::FatallyClosed {
            return End::Fatal(ended);
        }
        End::Lost {
            closed: ended,
            active: story.active,
        }
    }

    /// Takes an item of the connection, and those that are there already. `Some`: with it the connection ended.
    async fn items(
        &mut self,
        shard: &mut Shard<Allowed>,
        story: &mut Story,
        item: Item,
    ) -> Option<Closed> {
        let (mut item, mut length) = (item, 0);
        while length < AT_ONCE {
            if let Some(Ok(Message::Text(text))) = &item {
                length += text.len();
            }
            let ended = self.item(shard, story, item);
            if ended.is_some() || !self.events.has_room() {
                return ended;
            }
            item = shard.next().now_or_never()?;
        }
        let ended = self.item(shard, story, item);
        // Voice, for one, has its times to keep.
        yield_now().await;
        ended
    }

    fn item(&mut self, shard: &Shard<Allowed>, story: &mut Story, item: Item) -> Option<Closed> {
        match item {
            Some(Ok(Message::Text(text))) => {
                self.payload(shard, &text, story);
                match (story.broken, story.leaving, shard.state()) {
                    (Some(reason), ..) => Some(closed(reason)),
                    // The old connection broke before it was closed, and twilight has opened another by itself.
                    (_, Some(reason), ShardState::Identifying | ShardState::Resuming) => {
                        Some(closed(reason))
                    }
                    _ => None,
                }
            }
            Some(Ok(Message::Close(frame))) => Some(story.closed(frame)),
            Some(Err(error))
                if matches!(error.kind(), ReceiveMessageErrorType::Deserializing { .. }) =>
            {
                // Not the error itself: it repeats the whole payload.
                tracing::warn!(
                    reason = error.source().map(chain),
                    "Discord sent what twilight does not understand"
                );
                None
            }
            Some(Err(error)) => Some(closed(chain(&error))),
            None => Some(closed("the connection ended")),
        }
    }

    /// Closes the connection because it may not be held any more.
    async fn stopped(&mut self, shard: &mut Shard<Allowed>, story: &Story, stop: Stop) -> End {
        // Before the close: what comes until it is answered is dropped here, and must come again.
        self.leave(shard, story);
        close(
            shard,
            match stop {
                Stop::Left | Stop::Lapsed => CloseFrame::RESUME,
                Stop::Replaced => CloseFrame::NORMAL,
            },
        )
        .await;
        End::Stopped(stop)
    }

    /// Takes from a connection what the next one needs.
    fn leave(&mut self, shard: &Shard<Allowed>, story: &Story) {
        if story.active.is_some() {
            self.commands.lost(Instant::now());
        }
        let before = self.session.take();
        // After op 9 twilight has dropped it.
        self.session = shard.session().map(|session| Resumable {
            session: session.clone(),
            elsewhere: !story.greeted && before.as_ref().is_some_and(|before| !before.elsewhere),
            url: before.and_then(|before| before.url),
        });
    }
}

/// Closes an open connection, and lets the other side answer.
async fn close(shard: &mut Shard<Allowed>, frame: CloseFrame<'static>) {
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
