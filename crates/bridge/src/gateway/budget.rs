//! How many commands a connection may still send, and of which kind.
//!
//! Discord ends a connection that sends more than 120 in 60 s (close code 4008), heartbeats and the identify among them:
//! <https://discord.com/developers/docs/events/gateway#rate-limiting>. It asks no clock: the time is an argument.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// In which time there are so many at most: Discord counts in 60 s, and the network may bring closer together what left further apart.
pub const WINDOW: Duration = Duration::from_secs(62);

/// The rest of the 120 is for heartbeats, which twilight sends by itself (two in 60 s, more when Discord asks), and for the identify.
const COMMANDS: usize = 110;

/// What nobody but presence may use: it has a pace of its own, of 14 in 60 s.
const PRESENCE: usize = 15;

/// What voice never uses, so that a request for members need not wait for a thousand rooms.
const MEMBERS: usize = 15;

/// What a command is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Share {
    Presence,
    Voice,
}

impl Share {
    /// How many there may be in a window.
    fn commands(self) -> usize {
        match self {
            Self::Presence => PRESENCE,
            Self::Voice => COMMANDS - PRESENCE - MEMBERS,
        }
    }
}

/// The commands of one connection.
#[derive(Debug)]
pub struct Budget {
    window: Duration,
    presence: VecDeque<Instant>,
    voice: VecDeque<Instant>,
}

impl Budget {
    /// For a connection that has sent nothing.
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            presence: VecDeque::new(),
            voice: VecDeque::new(),
        }
    }

    /// Another connection: Discord counts anew.
    pub fn renew(&mut self) {
        *self = Self::new(self.window);
    }

    /// From when on there may be another one.
    pub fn free(&self, share: Share, now: Instant) -> Instant {
        let sent = self.sent(share);
        match sent.len().checked_sub(share.commands()) {
            // The one that has to be out of the window first.
            Some(before) => sent.get(before).map_or(now, |oldest| *oldest + self.window),
            None => now,
        }
    }

    /// One is sent.
    pub fn spend(&mut self, share: Share, now: Instant) {
        let window = self.window;
        let sent = match share {
            Share::Presence => &mut self.presence,
            Share::Voice => &mut self.voice,
        };
        while sent.front().is_some_and(|at| *at + window <= now) {
            sent.pop_front();
        }
        sent.push_back(now);
    }

    fn sent(&self, share: Share) -> &VecDeque<Instant> {
        match share {
            Share::Presence => &self.presence,
            Share::Voice => &self.voice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_has_more_than_discord_takes() {
        let start = Instant::now();
        let mut budget = Budget::new(WINDOW);
        let mut sent = Vec::new();
        for milliseconds in (0..600_000).step_by(7) {
            let now = start + Duration::from_millis(milliseconds);
            for share in [Share::Voice, Share::Presence] {
                if budget.free(share, now) <= now {
                    budget.spend(share, now);
                    sent.push(now);
                }
            }
        }
        let most = Share::Voice.commands() + Share::Presence.commands();
        for more in sent.windows(most + 1) {
            assert!(more[most] - more[0] >= WINDOW);
        }
        assert!(
            sent.len() >= 10 * most,
            "nothing is left unused: {}",
            sent.len()
        );
    }

    #[test]
    fn one_share_does_not_use_up_the_other() {
        let now = Instant::now();
        let mut budget = Budget::new(WINDOW);
        while budget.free(Share::Voice, now) <= now {
            budget.spend(Share::Voice, now);
        }
        assert_eq!(budget.free(Share::Voice, now), now + WINDOW);
        assert_eq!(budget.free(Share::Presence, now), now);
        budget.renew();
        assert_eq!(budget.free(Share::Voice, now), now);
    }
}
