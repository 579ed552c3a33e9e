//! What a client sends: Identify, Resume, Heartbeat, presence, voice state, members.

mod guilds;
mod identify;
mod members;
mod voice;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    app::App,
    id::{Id, from_json as id},
    state::{Presence, State},
};

const MAX_PRESENCES: usize = 5;
const PRESENCE_WINDOW: Duration = Duration::from_secs(20);

const DECODE_ERROR: Flow = Flow::Close(4002, "Error while decoding payload.");

/// What becomes of the connection after a command.
pub enum Flow {
    Go,
    Close(u16, &'static str),
}

/// The client at the other end of a connection.
pub struct Client {
    app: App,
    connection: u64,
    payloads: mpsc::Sender<Value>,
    /// When the presences of the last 20 seconds came.
    presences: VecDeque<Instant>,
}

impl Client {
    pub fn new(app: App, connection: u64, payloads: mpsc::Sender<Value>) -> Self {
        Self {
            app,
            connection,
            payloads,
            presences: VecDeque::new(),
        }
    }

    /// The number of the connection.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Carries out one command.
    pub fn command(&mut self, op: u64, data: &Value) -> Flow {
        let app = self.app.clone();
        let mut state = app.state();
        let user = state
            .gateway
            .session_of(self.connection)
            .map(|session| session.user);
        match (op, user) {
            (1, _) => self.send(json!({"op": 11, "d": null, "s": null, "t": null})),
            (2, None) => self.identify(&mut state, data),
            (6, None) => self.resume(&mut state, data),
            (2 | 6, Some(_)) => Flow::Close(4005, "Already authenticated."),
            (3 | 4 | 8, None) => Flow::Close(4003, "Not authenticated."),
            (3, Some(user)) => self.presence(&mut state, user, data),
            (4, Some(user)) => self.voice_state(&mut state, user, data),
            (8, Some(_)) => self.members(&mut state, data),
            // Soundboard sounds and channel info: known, and nothing to tell.
            (31 | 43, Some(_)) => Flow::Go,
            _ => Flow::Close(4001, "Unknown opcode."),
        }
    }

    /// A client that does not take even control payloads is dropped.
    fn send(&self, payload: Value) -> Flow {
        match self.payloads.try_send(payload) {
            Ok(()) => Flow::Go,
            Err(_) => Flow::Close(4000, "The client reads too slowly."),
        }
    }

    fn invalid_session(&self) -> Flow {
        self.send(json!({"op": 9, "d": false, "s": null, "t": null}))
    }

    fn presence(&mut self, state: &mut State, user: Id, data: &Value) -> Flow {
        let Some(presence) = Presence::parse(data) else {
            return DECODE_ERROR;
        };
        let now = Instant::now();
        while self
            .presences
            .front()
            .is_some_and(|&at| now.duration_since(at) >= PRESENCE_WINDOW)
        {
            self.presences.pop_front();
        }
        if self.presences.len() == MAX_PRESENCES {
            state.violation("presence_rate", Some(user));
            return Flow::Go;
        }
        self.presences.push_back(now);
        if let Some(session) = state.gateway.session_of(self.connection) {
            session.presence = presence;
        }
        state.presence_changed(user);
        Flow::Go
    }
}
