//! A gateway session: what a client identified as, and the events it may still have to be given.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use serde_json::Value;

use crate::{id::Id, state::Presence, stream::Recording};

/// What is kept of each session's events, for a resume and for a connection that reads slowly.
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    pub events: usize,
    pub bytes: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            events: 50_000,
            bytes: 32 << 20,
        }
    }
}

/// A session. It outlives its connection for a while.
pub struct Session {
    pub id: String,
    pub user: Id,
    pub intents: u64,
    pub shard: [u64; 2],
    pub presence: Presence,
    /// The connection it is on, and when it lost the last one.
    pub connection: Option<u64>,
    pub lost_at: Option<Instant>,
    sequence: u64,
    /// The last event that was given to the connection.
    given: u64,
    /// One for each number. Empty: what was said to one connection only.
    kept: VecDeque<Arc<str>>,
    kept_bytes: usize,
    /// The number of the last `RESUMED`.
    resumed: Option<u64>,
    /// What is played when all events before it were given.
    recording: Option<Recording>,
}

/// What a connection has to do for its session.
pub enum Pending {
    /// Send these.
    Events(Vec<Arc<str>>),
    /// Play this; its first event has this number.
    Recording(Recording, u64),
    /// Close: the client read so slowly that events it needs are gone.
    Lost,
}

impl Session {
    pub fn new(id: String, user: Id, intents: u64, shard: [u64; 2], presence: Presence) -> Self {
        Self {
            id,
            user,
            intents,
            shard,
            presence,
            connection: None,
            lost_at: None,
            sequence: 0,
            given: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            resumed: None,
            recording: None,
        }
    }

    /// Whether it asked for at least one of these intents.
    pub fn wants(&self, intents: u64) -> bool {
        self.intents & intents != 0
    }

    /// Whether it is told what happens in a guild, or, without one, in direct channels.
    pub fn hears(&self, guild: Option<Id>) -> bool {
        let [shard, shards] = self.shard;
        // Sharding: https://discord.com/developers/docs/events/gateway#sharding
        guild.map_or(0, |guild| (guild.0 >> 22) % shards) == shard
    }

    /// The number of its last event.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Adds a dispatch.
    pub fn push(&mut self, kind: &str, data: &Value, buffer: Buffer) {
        self.sequence += 1;
        // In the order of Discord, which clients rely on.
        let kind = Value::from(kind);
        let event = format!(r#"{{"t":{kind},"s":{},"op":0,"d":{data}}}"#, self.sequence);
        self.kept_bytes += event.len();
        self.kept.push_back(event.into());
        while self.kept.len() > buffer.events || self.kept_bytes > buffer.bytes {
            match self.kept.pop_front() {
                Some(oldest) => self.kept_bytes -= oldest.len(),
                None => break,
            }
        }
    }

    /// Adds `RESUMED`, which ends a replay, and so is never replayed itself: "all subsequent events will be new".
    /// <https://discord.com/developers/docs/events/gateway#resuming>
    pub fn push_resumed(&mut self, buffer: Buffer) {
        let place = self
            .resumed
            .and_then(|number| number.checked_sub(self.forgotten() + 1))
            .and_then(|place| usize::try_from(place).ok());
        if let Some(before) = place.and_then(|place| self.kept.get_mut(place)) {
            self.kept_bytes -= before.len();
            *before = Arc::from("");
        }
        self.push("RESUMED", &serde_json::json!({"_trace": []}), buffer);
        self.resumed = Some(self.sequence);
    }

    /// Goes back to the event after `sequence`. `false`: there was no such event, or what follows is gone.
    pub fn rewind(&mut self, sequence: u64) -> bool {
        let valid = (self.forgotten()..=self.sequence).contains(&sequence);
        if valid {
            self.given = sequence;
        }
        valid
    }

    /// Adds all events of a recording. They are too many to be kept: the session cannot be resumed before their end.
    pub fn play(&mut self, recording: Recording) {
        self.recording = Some(recording);
    }

    /// The next events for the connection, at most a few.
    pub fn take(&mut self) -> Pending {
        if self.given == self.sequence
            && let Some(recording) = self.recording.take()
        {
            let first = self.sequence + 1;
            self.sequence += recording.len();
            self.given = self.sequence;
            self.kept.clear();
            self.kept_bytes = 0;
            return Pending::Recording(recording, first);
        }
        let Some(skip) = self.given.checked_sub(self.forgotten()) else {
            return Pending::Lost;
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut events = Vec::new();
        for event in self.kept.iter().skip(skip) {
            self.given += 1;
            if !event.is_empty() {
                events.push(event.clone());
            }
            if events.len() == 64 {
                break;
            }
        }
        Pending::Events(events)
    }

    /// The newest event that is no longer kept.
    fn forgotten(&self) -> u64 {
        self.sequence - self.kept.len() as u64
    }
}
