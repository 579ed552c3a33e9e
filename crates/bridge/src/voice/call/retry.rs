//! Whether and when a session that was lost is joined again.

use std::time::{Duration, Instant};
use uro_discord_net::{Backoff, Pauses};
use uro_discord_voice::Next;

const PAUSES: Pauses = Pauses {
    at_once: true,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(120),
};

/// The pause where a sooner try would do harm: we are too many there, or what we send is refused again and again.
const LATER: Duration = Duration::from_secs(300);

/// What was lost since the last healthy session.
#[derive(Debug)]
pub struct Retries {
    backoff: Backoff,
    /// Whether one of the losses was one after which it is tried once.
    once: bool,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            backoff: Backoff::new(PAUSES),
            once: false,
        }
    }
}

impl Retries {
    /// There is another order.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The channel was joined.
    pub fn joined(&mut self, now: Instant) {
        self.backoff.up(now);
    }

    /// The pause before the next attempt; `None`: there is none before it is wished anew.
    pub fn pause(&mut self, next: Next, now: Instant) -> Option<Duration> {
        if self.backoff.failures(now) == 0 {
            self.once = false;
        }
        let later = match next {
            Next::Stop => return None,
            Next::RejoinLater => true,
            Next::RejoinOnce => std::mem::replace(&mut self.once, true),
            Next::Rejoin => false,
        };
        let pause = self.backoff.failed(now);
        Some(if later { LATER } else { pause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_is_once_until_a_session_was_healthy() {
        let mut now = Instant::now();
        let mut retries = Retries::default();
        assert_eq!(retries.pause(Next::RejoinOnce, now), Some(Duration::ZERO));
        assert_eq!(retries.pause(Next::RejoinOnce, now), Some(LATER));
        assert!(retries.pause(Next::Rejoin, now).is_some());
        assert_eq!(retries.pause(Next::RejoinLater, now), Some(LATER));
        assert_eq!(retries.pause(Next::Stop, now), None);

        retries.joined(now);
        now += Duration::from_secs(29);
        assert_eq!(retries.pause(Next::RejoinOnce, now), Some(LATER));
        retries.joined(now);
        now += Duration::from_secs(30);
        assert_eq!(retries.pause(Next::RejoinOnce, now), Some(Duration::ZERO));
    }
}
