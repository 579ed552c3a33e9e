//! Whether and when a session that was lost is joined again.

use std::time::Duration;
use uro_discord_voice::Next;

/// The pauses before the first, second … attempt after a loss, in seconds.
const PAUSES: [u64; 8] = [0, 1, 2, 5, 10, 30, 60, 120];

/// A session that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// What was lost since the last good session.
#[derive(Debug, Default)]
pub struct Retries {
    losses: usize,
    /// Whether the last loss was one after which it is tried once.
    once: bool,
}

impl Retries {
    /// A good session, or another order.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// A session is over that lasted so long.
    pub fn lasted(&mut self, time: Duration) {
        if time >= GOOD {
            self.forget();
        }
    }

    /// The pause before the next attempt; `None`: there is none before it is wished anew.
    pub fn pause(&mut self, next: Next) -> Option<Duration> {
        match next {
            Next::Stop => return None,
            Next::RejoinOnce if self.once => return None,
            Next::RejoinOnce => self.once = true,
            Next::Rejoin => {}
        }
        let seconds = PAUSES[self.losses.min(PAUSES.len() - 1)];
        self.losses += 1;
        Some(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_a_good_session() {
        let mut retries = Retries::default();
        let pauses: Vec<_> = (0..10)
            .map(|_| retries.pause(Next::Rejoin).unwrap().as_secs())
            .collect();
        assert_eq!(pauses, [0, 1, 2, 5, 10, 30, 60, 120, 120, 120]);
        retries.lasted(GOOD / 2);
        assert_eq!(retries.pause(Next::Rejoin), Some(Duration::from_secs(120)));
        retries.lasted(GOOD);
        assert_eq!(retries.pause(Next::Rejoin), Some(Duration::ZERO));
    }

    #[test]
    fn once_is_once() {
        let mut retries = Retries::default();
        assert!(retries.pause(Next::RejoinOnce).is_some());
        assert!(retries.pause(Next::RejoinOnce).is_none());
        assert!(retries.pause(Next::Rejoin).is_some());
        assert!(retries.pause(Next::Stop).is_none());
    }
}
