//! Peers that were answered by HTTP and then sent nothing to the UDP port. Mostly the port is closed on the way, or peers were told a wrong address; nothing else
//! here shows that.

use std::time::{Duration, Instant};

/// It is not said again for so long: one whose user went away looks the same.
const SAID_FOR: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Unreached {
    /// Since it was said.
    peers: u64,
    said: Option<Instant>,
}

impl Unreached {
    /// One more, of this portal.
    pub(super) fn note(&mut self, portal: &str, now: Instant) {
        self.peers = self.peers.saturating_add(1);
        let due = |said| now.saturating_duration_since(said) >= SAID_FOR;
        if self.said.is_none_or(due) {
            tracing::warn!(
                portal,
                peers = self.peers,
                "of a peer that was answered nothing came to the UDP port: is it open, and are peers told an address that leads to it?"
            );
            self.peers = 0;
            self.said = Some(now);
        }
    }
}
