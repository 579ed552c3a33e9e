//! All connections and sessions of the gateway.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use super::{
    connection::End,
    identifies::Identifies,
    session::{Buffer, Pending, Session},
};
use crate::{id::Id, state::Presence, stream::Recording};

/// Sessions kept at most; beyond, those that lost their connection first go first.
const KEPT_SESSIONS: usize = 32;

/// The hub's end of a connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Payloads to send beside its session's events.
    pub payloads: mpsc::Sender<Value>,
    /// Ends it at once, even while it waits for the client to read.
    pub ends: mpsc::Sender<End>,
    /// Woken when its session has events.
    pub wake: Arc<Notify>,
    /// `none`, `zlib-stream` or `zstd-stream`.
    pub compression: &'static str,
    /// When it came, Unix milliseconds.
    pub since: u64,
}

/// What clients did.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Counts {
    /// Sessions that were started.
    pub identifies: u64,
    /// Sessions that were resumed, and those that could not be.
    pub resumes: u64,
    pub resumes_refused: u64,
    /// Commands by opcode.
    pub commands: BTreeMap<u64, u64>,
    /// Broken rules: `identify_rate`, `identify_budget`, `presence_rate`, `command_rate`, `zombie`, …
    pub violations: BTreeMap<&'static str, u64>,
}

/// The gateway's state.
#[derive(Default)]
pub struct Hub {
    pub counts: Counts,
    connections: BTreeMap<u64, Connection>,
    sessions: HashMap<String, Session>,
    last_connection: u64,
    pub identifies: Identifies,
    /// What a session keeps.
    pub buffer: Buffer,
    /// How often it was reset.
    era: u64,
}

impl Hub {
    pub fn connect(&mut self, connection: Connection) -> u64 {
        self.last_connection += 1;
        self.connections.insert(self.last_connection, connection);
        self.last_connection
    }

    /// Ends a connection. Its session stays, unless the client ended it. Returns the user of an ended session.
    pub fn disconnect(&mut self, connection: u64, ends_session: bool) -> Option<Id> {
        self.connections.remove(&connection);
        let session = self.session_of(connection)?;
        session.connection = None;
        session.lost_at = Some(Instant::now());
        let id = session.id.clone();
        ends_session
            .then(|| self.sessions.remove(&id))
            .flatten()
            .map(|session| session.user)
    }

    pub fn connections(&self) -> impl Iterator<Item = (u64, &Connection)> {
        self.connections
            .iter()
            .map(|(&id, connection)| (id, connection))
    }

    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// The session on a connection.
    pub fn session_of(&mut self, connection: u64) -> Option<&mut Session> {
        self.sessions
            .values_mut()
            .find(|session| session.connection == Some(connection))
    }

    /// Puts a new session on a connection.
    pub fn start(&mut self, connection: u64, mut session: Session) {
        if self.sessions.len() >= KEPT_SESSIONS {
            let oldest = self
                .sessions
                .values()
                .filter(|s| s.lost_at.is_some())
                .min_by_key(|s| s.lost_at);
            if let Some(id) = oldest.map(|session| session.id.clone()) {
                self.sessions.remove(&id);
            }
        }
        self.counts.identifies += 1;
        session.connection = Some(connection);
        self.sessions.insert(session.id.clone(), session);
    }

    /// Puts a session that lost its connection, or still has one, on this connection, from the event after `sequence`.
    pub fn resume(&mut self, connection: u64, id: &str, user: Id, sequence: u64) -> bool {
        let session = self
            .sessions
            .get_mut(id)
            .filter(|session| session.user == user);
        let Some(session) = session else {
            self.counts.resumes_refused += 1;
            return false;
        };
        if !session.rewind(sequence) {
            self.counts.resumes_refused += 1;
            return false;
        }
        let old = session.connection.replace(connection);
        session.lost_at = None;
        session.push_resumed(self.buffer);
        self.counts.resumes += 1;
        if let Some(old) = old.and_then(|old| self.connections.get(&old)) {
            // A full queue means that it is being ended already.
            let _ = old
                .ends
                .try_send(End::Close(4000, "Session resumed elsewhere."));
        }
        self.wake(connection);
        true
    }

    /// Ends the session on a connection; the connection may identify anew.
    pub fn end_session_of(&mut self, connection: u64) -> Option<Id> {
        let id = self.session_of(connection)?.id.clone();
        self.sessions.remove(&id).map(|session| session.user)
    }

    /// Ends the sessions that lost their connection longer ago than this; returns their users.
    pub fn expire(&mut self, timeout: Duration) -> Vec<Id> {
        let now = Instant::now();
        let over = |session: &Session| {
            session
                .lost_at
                .is_some_and(|at| now.duration_since(at) > timeout)
        };
        let users = self
            .sessions
            .values()
            .filter(|s| over(s))
            .map(|s| s.user)
            .collect();
        self.sessions.retain(|_, session| !over(session));
        users
    }

    /// Gives a dispatch to each session that `data` makes one for.
    pub fn dispatch(&mut self, kind: &str, data: impl Fn(&Session) -> Option<Value>) {
        for session in self.sessions.values_mut() {
            if let Some(data) = data(session) {
                session.push(kind, &data, self.buffer);
                if let Some(connection) =
                    session.connection.and_then(|id| self.connections.get(&id))
                {
                    connection.wake.notify_one();
                }
            }
        }
    }

    /// Gives a dispatch to the session on a connection.
    pub fn dispatch_to(&mut self, connection: u64, kind: &str, data: &Value) {
        let buffer = self.buffer;
        if let Some(session) = self.session_of(connection) {
            session.push(kind, data, buffer);
            self.wake(connection);
        }
    }

    /// Plays a recording to a user's session. `false`: he has none with a connection, or several.
    pub fn play(&mut self, user: Id, shard: Option<u64>, recording: Recording) -> bool {
        let mut sessions = self
            .sessions
            .values_mut()
            .filter_map(|session| Some((session.connection?, session)))
            .filter(|(_, session)| session.user == user)
            .filter(|(_, session)| shard.is_none_or(|shard| session.shard[0] == shard));
        let (Some((connection, session)), None) = (sessions.next(), sessions.next()) else {
            return false;
        };
        session.play(recording);
        self.wake(connection);
        true
    }

    /// Sends a payload on a connection. `false`: there is no such connection, or it is stuck.
    pub fn send(&self, connection: u64, payload: Value) -> bool {
        let connection = self.connections.get(&connection);
        connection.is_some_and(|connection| connection.payloads.try_send(payload).is_ok())
    }

    /// Ends a connection. `false`: there is no such connection, or it is ending already.
    pub fn end(&self, connection: u64, end: End) -> bool {
        let connection = self.connections.get(&connection);
        connection.is_some_and(|connection| connection.ends.try_send(end).is_ok())
    }

    /// What a connection has to send now.
    pub fn take(&mut self, connection: u64) -> Pending {
        self.session_of(connection)
            .map_or(Pending::Events(Vec::new()), Session::take)
    }

    /// A user's presence: that of the newest of his sessions that have one.
    pub fn presence(&self, user: Id) -> Option<&Presence> {
        let of_user = self
            .sessions
            .values()
            .filter(|session| session.user == user);
        // A session with a connection speaks for its user before one that lost it.
        of_user
            .max_by_key(|session| (session.connection, session.lost_at))
            .map(|session| &session.presence)
    }

    /// A client can make up as many opcodes as it likes: those that no byte holds are counted together.
    pub fn count_command(&mut self, op: u64) {
        let op = op.min(u64::from(u8::MAX));
        *self.counts.commands.entry(op).or_default() += 1;
    }

    pub fn count_violation(&mut self, kind: &'static str) {
        *self.counts.violations.entry(kind).or_default() += 1;
    }

    /// Forgets counts and sessions without a connection.
    pub fn reset(&mut self) {
        self.era += 1;
        self.counts = Counts::default();
        self.identifies.clear();
        self.buffer = Buffer::default();
        self.sessions
            .retain(|_, session| session.connection.is_some());
    }

    /// How often it was reset.
    pub fn era(&self) -> u64 {
        self.era
    }

    fn wake(&self, connection: u64) {
        if let Some(connection) = self.connections.get(&connection) {
            connection.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_that_are_made_up_are_counted_together() {
        let mut hub = Hub::default();
        for op in [1, 8, 1, 255, 256, u64::MAX] {
            hub.count_command(op);
        }
        assert_eq!(
            hub.counts.commands,
            BTreeMap::from([(1, 2), (8, 1), (255, 3)])
        );
    }
}
