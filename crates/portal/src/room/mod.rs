//! A portal's room: a machine without sockets and clock.

mod types;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

pub use types::{
    Codec, DiscordMember, Event, Format, Health, JoinError, Listens, MAX_PEERS, MAX_SENDERS, MIX,
    Member, Options, Output, Packet, Participant, Path, PeerId, Sequence, Setting, Side, Source,
    Status,
};

/// One Discord call and the peers of a world.
#[derive(Debug)]
pub struct Room {
    options: Options,
    peers: BTreeMap<PeerId, Member>,
    output: VecDeque<Output>,
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new(options: Options, _now: Instant) -> Self {
        Self {
            options,
            peers: BTreeMap::new(),
            output: VecDeque::new(),
        }
    }

    /// A peer comes.
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    pub fn join(&mut self, _now: Instant, peer: PeerId, member: Member) -> Result<(), JoinError> {
        match member.listens {
            Listens::Nothing => {}
            Listens::Mix(format) | Listens::Each(format) => format.check()?,
        }
        if let Some(format) = member.speaks {
            format.check()?;
        }
        if self.peers.contains_key(&peer) {
            return Err(JoinError::Taken(peer));
        }
        if self.peers.len() >= MAX_PEERS {
            return Err(JoinError::Full);
        }
        self.peers.insert(peer, member);
        Ok(())
    }

    /// A peer goes, with those whom it forwards.
    pub fn leave(&mut self, _now: Instant, peer: PeerId) {
        self.peers.remove(&peer);
    }

    /// The name of a player whom a world's peer forwards.
    pub fn name(&mut self, _source: Source, _name: String) {}

    /// A packet of the world.
    pub fn from_world(&mut self, _now: Instant, _source: Source, _packet: Packet) {}

    /// A packet of the call.
    pub fn from_discord(&mut self, _now: Instant, _user: u64, _packet: Packet) {}

    /// Somebody is in the call; again when his name changes.
    pub fn discord_joined(&mut self, _now: Instant, _user: u64, _who: DiscordMember) {}

    /// He is not any more.
    pub fn discord_left(&mut self, _now: Instant, _user: u64) {}

    /// What is asked of a participant, who need not be there yet.
    pub fn set(&mut self, _participant: Participant, _setting: Setting) {}

    /// How the room is from now on.
    pub fn options(&mut self, options: Options) {
        self.options = options;
    }

    /// When to call [`timeout`](Self::timeout); `None`: only a packet can be the reason.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Time has passed.
    pub fn timeout(&mut self, _now: Instant) {}

    /// What comes out. To be called until there is nothing, after every other call.
    pub fn poll(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// How everybody is.
    #[must_use]
    pub fn status(&self, _now: Instant) -> Status {
        Status::default()
    }
}
