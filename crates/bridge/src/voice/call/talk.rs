//! The side of the voice server: a session, and what is played into it.

use super::super::player::play;
use crate::panics;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval};
use uro_discord_voice::{Config, ConfigError, Event, Events, Frames, JoinInfo, Scheme, Session};
use uro_discord_wire::{Play, Played};

/// How often Elixir hears how a session does.
const STATS: Duration = Duration::from_secs(5);

/// A running session.
pub struct Talk {
    pub session: Arc<Session>,
    /// Ends by itself with the session, after the voice server has been told.
    connection: JoinHandle<()>,
    events: Events,
    frames: Frames,
    stats: Interval,
    /// What is to be played, and whether frames could be sent so far: the beginning is not to be lost.
    play: Option<Play>,
    can_send: bool,
    playing: JoinSet<Played>,
}

impl Talk {
    /// Begins a session, in which this is played as soon as it can be.
    pub fn begin(info: JoinInfo, scheme: Scheme, play: Option<&Play>) -> Result<Self, ConfigError> {
        let config = Config {
            scheme,
            ..Config::new()?
        };
        let (session, connection, events, frames) = Session::join(info, config)?;
        let connection = tokio::spawn(connection);
        Ok(Self::new(session, connection, events, frames, play))
    }

    /// A session whose connection runs already.
    pub fn new(
        session: Session,
        connection: JoinHandle<()>,
        events: Events,
        frames: Frames,
        play: Option<&Play>,
    ) -> Self {
        let mut stats = interval(STATS);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            session: Arc::new(session),
            connection,
            events,
            frames,
            stats,
            play: play.cloned(),
            can_send: false,
            playing: JoinSet::new(),
        }
    }

    /// Plays this, or nothing, instead of what is being played.
    pub fn play(&mut self, what: Option<&Play>) {
        self.playing.abort_all();
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
        self.playing.spawn(async move {
            let error = play(&what, &session).await.err();
            Played {
                path: what.path,
                error: error.map(|error| error.to_string()),
            }
        });
    }
}

/// What comes of a session.
pub enum Heard {
    Event(Option<Event>),
    Played(Played),
    StatsDue,
}

/// What comes next of a session, if there is one. Nobody here wants the frames.
pub async fn hear(talk: &mut Option<Talk>) -> Heard {
    let Some(talk) = talk else {
        return pending().await;
    };
    loop {
        tokio::select! {
            event = talk.events.next() => return Heard::Event(event),
            Some(_) = talk.frames.next() => {}
            Some(played) = talk.playing.join_next() => if let Some(played) = panics::passed_on(played) {
                return Heard::Played(played);
            },
            _ = talk.stats.tick() => return Heard::StatsDue,
        }
    }
}
