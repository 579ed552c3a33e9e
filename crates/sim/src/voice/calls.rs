//! All calls: who may connect, and the sessions of those who did.

use std::collections::{BTreeMap, btree_map::Entry};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    dave::{Group, SenderError},
    network::Network,
    op,
    session::{Seat, Session},
    video::announcements,
};
use crate::{StartError, gateway::End, id::Id, state::seed};

/// How far apart SSRCs are.
const SSRC_STEP: u32 = 8;

/// Leave to connect to a call, which the gateway gave to a user.
pub struct Ticket {
    pub channel: Id,
    /// The session of the gateway that it was given to.
    pub session: String,
    pub token: String,
}

/// How a user stands who wants to be in a channel.
pub enum Standing {
    /// He is connected to its call.
    Connected,
    /// He lost his connection to it, and may resume.
    Lost { token: String },
    /// He has nothing to do with it yet.
    Elsewhere,
}

/// What clients did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    pub identifies: u64,
    pub resumes: u64,
    pub resumes_refused: u64,
    /// Datagrams that nobody could be found for.
    pub stray_datagrams: u64,
    /// Broken rules by kind.
    pub violations: BTreeMap<&'static str, u64>,
}

/// The voice server's state.
#[derive(Default)]
pub struct Calls {
    pub counts: Counts,
    pub network: Network,
    tickets: BTreeMap<Seat, Ticket>,
    sessions: BTreeMap<Seat, Session>,
    /// DAVE in the calls that may have it, by channel.
    groups: BTreeMap<Id, Group>,
    last_ssrc: u32,
    last_link: u64,
}

impl Calls {
    pub fn next_link(&mut self) -> u64 {
        self.last_link += 1;
        self.last_link
    }

    pub fn next_ssrc(&mut self) -> u32 {
        self.last_ssrc = self.last_ssrc.wrapping_add(SSRC_STEP);
        self.last_ssrc
    }

    /// How a user stands who wants to be in a channel, by this session of the gateway.
    pub fn standing(&self, seat: Seat, channel: Id, session: &str) -> Standing {
        match self.sessions.get(&seat) {
            Some(own) if own.channel != channel || own.id != session => Standing::Elsewhere,
            Some(own) if own.outbox.link.is_some() => Standing::Connected,
            Some(own) => Standing::Lost {
                token: own.token.clone(),
            },
            None => Standing::Elsewhere,
        }
    }

    /// Gives a user leave to connect to a channel's call, once; answers the token.
    pub fn admit(&mut self, seat: Seat, channel: Id, session: &str) -> Result<String, StartError> {
        let token = seed::secret(12)?;
        let ticket = Ticket {
            channel,
            session: session.to_owned(),
            token: token.clone(),
        };
        self.tickets.insert(seat, ticket);
        Ok(token)
    }

    pub fn ticket(&self, seat: Seat) -> Option<&Ticket> {
        self.tickets.get(&seat)
    }

    /// Takes back the leave to connect.
    pub fn dismiss(&mut self, seat: Seat) {
        self.tickets.remove(&seat);
    }

    pub fn start(&mut self, session: Session) {
        self.counts.identifies += 1;
        self.sessions.insert(session.seat, session);
    }

    /// Ends a session, and its connection so. Answers it, if there was one.
    pub fn remove(&mut self, seat: Seat, end: End) -> Option<Session> {
        let mut session = self.sessions.remove(&seat)?;
        if let Some(link) = session.outbox.link.take() {
            link.end(end);
        }
        Some(session)
    }

    pub fn session(&mut self, seat: Seat) -> Option<&mut Session> {
        self.sessions.get_mut(&seat)
    }

    pub fn seated(&self, seat: Seat) -> Option<&Session> {
        self.sessions.get(&seat)
    }

    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    pub fn sessions_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.values_mut()
    }

    /// The session on a connection.
    pub fn session_on(&mut self, link: u64) -> Option<&mut Session> {
        self.sessions.values_mut().find(|session| {
            session
                .outbox
                .link
                .as_ref()
                .is_some_and(|own| own.id == link)
        })
    }

    /// Those who are in a channel's call.
    pub fn in_call(&mut self, channel: Id) -> impl Iterator<Item = &mut Session> {
        self.sessions
            .values_mut()
            .filter(move |session| session.channel == channel && session.is_in_call())
    }

    /// Tells the others of a channel's call.
    pub fn tell_others(&mut self, channel: Id, seat: Seat, op: u8, data: &Value) {
        for other in self.in_call(channel).filter(|other| other.seat != seat) {
            other.outbox.send(op, data);
        }
    }

    pub fn count_resume(&mut self, resumed: bool) {
        if resumed {
            self.counts.resumes += 1;
        } else {
            self.counts.resumes_refused += 1;
        }
    }

    /// Lets a session into the call: it is told of the others, and they of it.
    pub fn enter(&mut self, seat: Seat) {
        let Some(channel) = self.sessions.get(&seat).map(|session| session.channel) else {
            return;
        };
        let mut others = Vec::new();
        let mut speaking = Vec::new();
        for other in self.in_call(channel).filter(|other| other.seat != seat) {
            others.push(other.seat.user);
            if let Some(flags) = other.speaking {
                speaking.push(
                    json!({"user_id": other.seat.user, "ssrc": other.ssrc, "speaking": flags}),
                );
            }
            other
                .outbox
                .send(op::CLIENTS_CONNECT, &json!({"user_ids": [seat.user]}));
        }
        let sending = announcements(self.in_call(channel).filter(|other| other.seat != seat));
        let Some(session) = self.sessions.get_mut(&seat) else {
            return;
        };
        if !others.is_empty() {
            session
                .outbox
                .send(op::CLIENTS_CONNECT, &json!({"user_ids": others}));
        }
        for data in &speaking {
            session.outbox.send(op::SPEAKING, data);
        }
        for data in &sending {
            session.outbox.send(op::VIDEO, data);
        }
    }

    /// DAVE in a channel's call, if there is a call.
    pub fn group(&mut self, channel: Id) -> Option<&mut Group> {
        self.groups.get_mut(&channel)
    }

    /// DAVE in a channel's call, which begins now if there is none.
    pub fn group_of_new(&mut self, channel: Id) -> Result<&mut Group, SenderError> {
        match self.groups.entry(channel) {
            Entry::Occupied(group) => Ok(group.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(Group::new(channel)?)),
        }
    }

    /// The channels whose calls have DAVE.
    pub fn groups(&self) -> &BTreeMap<Id, Group> {
        &self.groups
    }

    /// A call that nobody is in is over.
    pub fn end_empty_groups(&mut self) {
        self.groups.retain(|_, group| !group.is_empty());
    }

    /// Forgets counts and faults. Sessions stay.
    pub fn reset(&mut self) {
        self.counts = Counts::default();
        self.network = Network::default();
        for session in self.sessions.values_mut() {
            session.frames = super::session::Frames::default();
            session.violations.clear();
        }
    }
}
