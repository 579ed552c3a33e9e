//! Token buckets.

use std::time::Instant;

/// So much a second, and as much at once.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    at_once: f64,
    left: f64,
    at: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        Self::within(per_second, f64::from(per_second), now)
    }

    /// More at once than each second.
    pub(crate) fn within(at_once: u32, per_second: f64, now: Instant) -> Self {
        let at_once = f64::from(at_once);
        Self {
            per_second,
            at_once,
            left: at_once,
            at: now,
        }
    }

    /// Nothing was taken for long.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.left(now) >= self.at_once
    }

    fn left(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + passed * self.per_second).min(self.at_once)
    }

    /// Takes `amount` if it is there.
    pub(crate) fn take(&mut self, amount: u32, now: Instant) -> bool {
        self.left = self.left(now);
        self.at = self.at.max(now);
        let amount = f64::from(amount);
        let there = self.left >= amount;
        if there {
            self.left -= amount;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn so_much_a_second() {
        let start = Instant::now();
        let mut rate = Rate::new(10, start);
        let taken = (0..20).filter(|_| rate.take(1, start)).count();
        assert_eq!(taken, 10);
        let later = start + Duration::from_millis(500);
        assert!(rate.take(5, later));
        assert!(!rate.take(1, later));
        // Time that goes back changes nothing.
        assert!(!rate.take(1, start));
    }
}
