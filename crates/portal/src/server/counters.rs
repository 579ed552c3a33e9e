//! What is counted over all loops.

use std::sync::atomic::{AtomicU64, Ordering};

/// What counts over all loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams in.
    pub received: u64,
    /// Datagrams out.
    pub sent: u64,
    /// Datagrams that the system did not take.
    pub unsent: u64,
    /// Datagrams of nobody known.
    pub unknown: u64,
    /// Binding requests whose signature was not good.
    pub unsigned: u64,
    /// Addresses that somebody wanted while another peer was there.
    pub refused: u64,
    /// Peers that moved to another address.
    pub moved: u64,
    /// Datagrams beyond what a peer may send.
    pub limited: u64,
    /// Peers that were answered, and of which nothing came.
    pub unreached: u64,
    /// Rooms and peers that panicked.
    pub panics: u64,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) unsent: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) unsigned: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) moved: AtomicU64,
    pub(super) limited: AtomicU64,
    pub(super) unreached: AtomicU64,
    pub(super) panics: AtomicU64,
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    pub(super) fn read(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            received: of(&self.received),
            sent: of(&self.sent),
            unsent: of(&self.unsent),
            unknown: of(&self.unknown),
            unsigned: of(&self.unsigned),
            refused: of(&self.refused),
            moved: of(&self.moved),
            limited: of(&self.limited),
            unreached: of(&self.unreached),
            panics: of(&self.panics),
        }
    }
}
