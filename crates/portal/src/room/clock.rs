//! Time as a room counts it: samples at 48 kHz since it was made.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self(now)
    }

    pub(super) fn samples(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.0).as_nanos();
        i64::try_from(since * 48 / 1_000_000).unwrap_or(i64::MAX)
    }

    /// The moment at which so many samples have passed.
    pub(super) fn instant(&self, samples: i64) -> Instant {
        let nanos = (samples.max(0).unsigned_abs() * 1_000_000).div_ceil(48);
        self.0 + Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let clock = Clock::new(Instant::now());
        for samples in [0, 1, 47, 48, 959, 960, 961, 48_000 * 86_400 * 365 + 7] {
            assert_eq!(clock.samples(clock.instant(samples)), samples);
        }
    }
}
