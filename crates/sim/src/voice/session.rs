//! A voice session: one user in one channel. It outlives its connection for a while.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    cipher::Cipher,
    outbox::Outbox,
    rules::{Nonces, Stream},
    video::Video,
};
use crate::id::Id;

/// How far op 5 may be behind the audio that it is about, or ahead of it.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// A user's place in voice: in each guild he may be in one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    pub guild: Id,
    pub user: Id,
}

pub struct Session {
    pub seat: Seat,
    pub channel: Id,
    /// The id and token that the gateway gave out for it.
    pub id: String,
    pub token: String,
    pub ssrc: u32,
    /// The newest version of DAVE that the client has; 0: none.
    pub dave: u16,
    pub outbox: Outbox,
    /// When the last connection was lost.
    pub lost_at: Option<Instant>,
    /// Where IP discovery came from.
    pub discovered: Option<SocketAddr>,
    pub transport: Option<Transport>,
    /// The flags of the last op 5.
    pub speaking: Option<u64>,
    /// When audio began to come although it is not said to speak, and when it last did.
    pub unsaid: Option<[Instant; 2]>,
    pub frames: Frames,
    /// If it asked for some.
    pub video: Option<Video>,
    /// Broken rules by kind.
    pub violations: BTreeMap<&'static str, u64>,
}

impl Session {
    pub fn new(seat: Seat, channel: Id, ssrc: u32, dave: u16) -> Self {
        Self {
            seat,
            channel,
            id: String::new(),
            token: String::new(),
            ssrc,
            dave,
            outbox: Outbox::default(),
            lost_at: None,
            discovered: None,
            transport: None,
            speaking: None,
            unsaid: None,
            frames: Frames::default(),
            video: None,
            violations: BTreeMap::new(),
        }
    }

    /// Whether others see it: it has selected a protocol.
    pub fn is_in_call(&self) -> bool {
        self.transport.is_some()
    }

    /// Takes note of audio that comes although it is not said to speak. `true`: op 5, which takes another way, may be as old
    /// as this.
    pub fn may_be_said(&mut self, now: Instant) -> bool {
        let since = match self.unsaid {
            Some([since, last]) if now.saturating_duration_since(last) <= SAID_WITHIN => since,
            _ => now,
        };
        self.unsaid = Some([since, now]);
        now.saturating_duration_since(since) <= SAID_WITHIN
    }

    pub fn is_lost_for(&self, time: Duration, now: Instant) -> bool {
        self.lost_at
            .is_some_and(|at| now.saturating_duration_since(at) > time)
    }
}

/// What was agreed on for a session's packets.
pub struct Transport {
    pub cipher: Cipher,
    /// Where packets go.
    pub peer: Option<SocketAddr>,
    /// The last nonce of ours.
    nonce: u32,
    /// Nonces of the client's.
    pub nonces: Nonces,
    pub stream: Stream,
}

impl Transport {
    pub fn new(cipher: Cipher, peer: Option<SocketAddr>) -> Self {
        Self {
            cipher,
            peer,
            nonce: 0,
            nonces: Nonces::default(),
            stream: Stream::default(),
        }
    }

    /// A packet to the client.
    pub fn seal(&mut self, clear: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        self.nonce = self.nonce.checked_add(1)?;
        self.cipher.seal(clear, body, self.nonce)
    }
}

/// What a session sent and was sent.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Frames {
    /// Of its own, that were accepted.
    pub received: u64,
    /// How often one of them was sent on to somebody.
    pub relayed: u64,
    /// Of its own, those without DAVE's trailer that are not silence.
    pub without_dave: u64,
    /// Others', sent to it.
    pub sent: u64,
    /// RTCP packets and keepalives it sent.
    pub rtcp: u64,
    pub keepalives: u64,
}
