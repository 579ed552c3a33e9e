use std::time::{Duration, Instant};

/// What stood for so long is healthy, and the failures before it are forgotten.
///
/// What comes up and breaks at once is not: a server that greets and hangs up would be greeted without a pause, for ever.
const HEALTHY: Duration = Duration::from_secs(30);

/// Pauses that double from the first to the longest. Half of each is chance, so that many who failed together do not come back
/// in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// Whether the first try after a failure is made at once.
    pub at_once: bool,
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Pauses {
    /// A pause after so many failures: between the half and the whole of what the failures ask for.
    pub fn after(&self, failures: u32) -> Duration {
        let doublings = match failures.checked_sub(1 + u32::from(self.at_once)) {
            Some(doublings) => doublings.min(31),
            None => return Duration::ZERO,
        };
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// When to try again what fails now and then, such as a connection. It has no clock of its own.
#[derive(Clone, Debug)]
pub struct Backoff {
    pauses: Pauses,
    failures: u32,
    up: Option<Instant>,
}

impl Backoff {
    /// Nothing has failed yet.
    pub const fn new(pauses: Pauses) -> Self {
        Self {
            pauses,
            failures: 0,
            up: None,
        }
    }

    /// It stands. What failed before is forgotten once it has stood for 30 s.
    pub fn up(&mut self, now: Instant) {
        self.up.get_or_insert(now);
    }

    /// It broke, or could not be made to stand: the pause before the next try.
    pub fn failed(&mut self, now: Instant) -> Duration {
        self.failures = self.failures(now).saturating_add(1);
        self.up = None;
        self.pauses.after(self.failures)
    }

    /// How often it failed since it was last healthy.
    pub fn failures(&self, now: Instant) -> u32 {
        match self.up {
            Some(up) if now.saturating_duration_since(up) >= HEALTHY => 0,
            _ => self.failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PAUSES: Pauses = Pauses {
        at_once: true,
        first: SECOND,
        longest: Duration::from_secs(180),
    };

    #[test]
    fn pauses_double_up_to_the_longest_and_half_of_each_is_chance() {
        for (failures, whole) in [
            (0, 0),
            (1, 0),
            (2, 1),
            (3, 2),
            (9, 128),
            (10, 180),
            (u32::MAX, 180),
        ] {
            let whole = SECOND * whole;
            let pauses: Vec<_> = (0..1000).map(|_| PAUSES.after(failures)).collect();
            assert!(
                pauses
                    .iter()
                    .all(|pause| (whole / 2..=whole).contains(pause))
            );
            let spread = pauses
                .iter()
                .max()
                .unwrap()
                .abs_diff(*pauses.iter().min().unwrap());
            assert!(spread >= whole / 4, "{failures}: {spread:?}");
        }
        let patient = Pauses {
            at_once: false,
            ..PAUSES
        };
        assert!((SECOND / 2..=SECOND).contains(&patient.after(1)));
        let longest = Pauses {
            first: Duration::MAX,
            longest: Duration::from_secs(u64::MAX / 2),
            ..PAUSES
        };
        assert!(longest.after(u32::MAX) > SECOND);
    }

    #[test]
    fn only_health_makes_it_forget() {
        let mut now = Instant::now();
        let mut backoff = Backoff::new(PAUSES);
        // It stands, and breaks 50 ms later.
        for failures in 1..=20 {
            backoff.up(now);
            now += Duration::from_millis(50);
            now += backoff.failed(now);
            assert_eq!(backoff.failures(now), failures);
        }
        backoff.up(now);
        // It still stands: it is not told anew since when.
        backoff.up(now + HEALTHY / 2);
        assert_eq!(
            backoff.failures(now + HEALTHY - Duration::from_millis(1)),
            20
        );
        assert_eq!(backoff.failures(now + HEALTHY), 0);
        assert_eq!(backoff.failed(now + HEALTHY), Duration::ZERO);
        assert_eq!(backoff.failures(now + HEALTHY), 1);
        // What does not stand at all is not healthy, however long it takes.
        assert_eq!(backoff.failures(now + HEALTHY * 100), 1);
    }
}
