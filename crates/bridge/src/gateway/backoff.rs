use std::time::Duration;

/// The delays before the first, second … attempt after a loss, in seconds. The longest, kept up for a day, makes 720 identifies;
/// Discord resets the token of a bot after 1000.
const DELAYS: [u64; 8] = [0, 1, 2, 5, 10, 30, 60, 120];

/// A session that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// How long to wait before connecting again.
#[derive(Debug, Default)]
pub struct Backoff {
    losses: usize,
}

impl Backoff {
    /// The delay after a connection was lost that had been active for so long, if it ever was.
    pub fn lost(&mut self, active: Option<Duration>) -> Duration {
        if active.is_some_and(|active| active >= GOOD) {
            self.losses = 0;
        }
        let delay = DELAYS[self.losses.min(DELAYS.len() - 1)];
        self.losses += 1;
        Duration::from_secs(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_until_a_session_lasts() {
        let mut backoff = Backoff::default();
        let mut lost =
            |active: Option<u64>| backoff.lost(active.map(Duration::from_secs)).as_secs();
        let delays: Vec<u64> = [None, Some(1), None, Some(29), None, None, None, None, None]
            .map(&mut lost)
            .into();
        assert_eq!(delays, [0, 1, 2, 5, 10, 30, 60, 120, 120]);
        assert_eq!(lost(Some(30)), 0);
        assert_eq!(lost(None), 1);
    }

    #[test]
    fn a_day_of_refused_identifies_stays_under_discords_thousand() {
        let mut backoff = Backoff::default();
        let mut day = Duration::from_secs(24 * 3600);
        let mut identifies = 0;
        while let Some(rest) = day.checked_sub(backoff.lost(None)) {
            day = rest;
            identifies += 1;
        }
        assert!(identifies < 800, "{identifies}");
    }
}
