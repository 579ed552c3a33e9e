//! Transitions: all change over at one word (DAVE protocol, "Protocol Version Changes").

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::id::Id;

/// A change that members prepare for.
#[derive(Debug)]
pub struct Transition {
    pub id: u16,
    /// The version of DAVE that it leads to.
    pub version: u16,
    /// Who takes part in it.
    pub members: BTreeSet<Id>,
    /// Those of them who have not said that they are ready.
    pub waiting: BTreeSet<Id>,
    since: Instant,
}

impl Transition {
    pub fn new(id: u16, version: u16, members: BTreeSet<Id>, now: Instant) -> Self {
        Self {
            id,
            version,
            waiting: members.clone(),
            members,
            since: now,
        }
    }

    /// Nobody waits for this one any longer.
    pub fn forget(&mut self, user: Id) {
        self.waiting.remove(&user);
    }

    /// Whether all are ready, or have had their time.
    pub fn is_due(&self, now: Instant, timeout: Duration) -> bool {
        self.waiting.is_empty() || now.saturating_duration_since(self.since) >= timeout
    }
}
