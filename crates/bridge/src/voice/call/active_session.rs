//! The side of the voice server: a session, and what is played into it.

use super::super::calls::Live;
use super::super::player::play;
use crate::media::Media;
use crate::panics;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval};
use uro_discord_voice::{ConfigError, Event, Events, Frames, JoinInfo, Scheme, Session};
use uro_discord_wire::{Play, Played, VoiceChannel};

/// How often Elixir hears how a session does.
const STATS: Duration = Duration::from_secs(5);

/// A running session.
pub struct ActiveSession {
    media: Media,
    pub session: Arc<Session>,
    /// Ends by itself with the session, after the voice server has been told.
    connection: JoinHandle<()>,
    events: Events,
    frames: Arc<Mutex<Frames>>,
    stats: Interval,
    /// What is to be played, and whether frames could be sent so far: the beginning is not to be lost.
    play: Option<Play>,
    can_send: bool,
    playing: JoinSet<Played>,
}

impl ActiveSession {
    /// Begins a session as it is ordered, in which what is to be played is as soon as it can be.
    pub fn begin(
        media: &Media,
        info: JoinInfo,
        scheme: Scheme,
        order: &VoiceChannel,
    ) -> Result<Self, ConfigError> {
        let config = media.config(scheme, order.video);
        let (session, connection, events, frames) = Session::join(info, config)?;
        let connection = media.spawn(connection);
        let play = order.play.as_ref();
        Ok(Self::new(media, session, connection, events, frames, play))
    }

    /// A session whose connection runs already.
    pub fn new(
        media: &Media,
        session: Session,
        connection: JoinHandle<()>,
        events: Events,
        frames: Frames,
        play: Option<&Play>,
    ) -> Self {
        let mut stats = interval(STATS);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            media: media.clone(),
            session: Arc::new(session),
            connection,
            events,
            frames: Arc::new(Mutex::new(frames)),
            stats,
            play: play.cloned(),
            can_send: false,
            playing: JoinSet::new(),
        }
    }

    /// The session for those who join it.
    pub fn live(&self) -> Live {
        Live {
            session: Arc::downgrade(&self.session),
            frames: self.frames.clone(),
        }
    }

    /// Plays this, or nothing, instead of what is being played.
    pub fn play(&mut self, what: Option<&Play>) {
        // One that has just ended is not heard of either: it would be taken for the end of this one.
        self.playing = JoinSet::new();
        self.play = what.cloned();
        if self.can_send {
            self.start();
        }
    }

    /// Waits until the connection has ended. Its panic is the caller's.
    pub async fn ended(&mut self) {
        panics::passed_on((&mut self.connection).await);
    }

    /// Frames can be sent from now on.
    pub fn can_send(&mut self) {
        if !self.can_send {
            self.can_send = true;
            self.start();
        }
    }

    fn start(&mut self) {
        let Some(what) = self.play.take() else { return };
        let session = Arc::clone(&self.session);
        let playing = async move {
            let played = play(&what, |packet| session.send_opus(packet)).await;
            Played {
                path: what.path,
                error: played.err().map(|error| error.to_string()),
            }
        };
        self.media.spawn_in(&mut self.playing, playing);
    }
}

/// What comes of a session.
pub enum Heard {
    Event(Option<Event>),
    Played(Played),
    StatsDue,
}

/// What comes next of a session, if there is one.
pub async fn hear(active: &mut Option<ActiveSession>) -> Heard {
    let Some(active) = active else {
        return pending().await;
    };
    loop {
        tokio::select! {
            event = active.events.next() => return Heard::Event(event),
            Some(played) = active.playing.join_next() => if let Some(played) = panics::passed_on(played) {
                return Heard::Played(played);
            },
            _ = active.stats.tick() => return Heard::StatsDue,
        }
    }
}
