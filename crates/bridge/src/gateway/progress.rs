use std::time::Duration;
use tokio::time::Instant;

/// Between two messages about a sequence. Each lets Elixir store how far a session is, and costs it a write.
const SPACING: Duration = Duration::from_secs(2);

/// How far a session is, as far as Elixir does not see it from its events. It asks no clock: the time is an argument.
#[derive(Debug, Default)]
pub struct Progress {
    /// A sequence that Elixir does not know.
    untold: Option<u64>,
    told: Option<Instant>,
}

impl Progress {
    /// A dispatch of this sequence passed that nobody wanted.
    pub fn passed(&mut self, sequence: u64) {
        self.untold = Some(sequence);
    }

    /// Elixir learns of a sequence otherwise, or it no longer matters.
    pub fn settled(&mut self) {
        self.untold = None;
    }

    /// When Elixir is to be told, if there is something to tell. It may be a time that has passed.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.untold?;
        Some(self.told.map_or(now, |told| told + SPACING))
    }

    /// What to tell now; it counts as told.
    pub fn tell(&mut self, now: Instant) -> Option<u64> {
        let sequence = self.untold.take()?;
        self.told = Some(now);
        Some(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_elixir_cannot_know_is_told_and_not_often() {
        let mut progress = Progress::default();
        let start = Instant::now();
        assert_eq!(progress.due(start), None);
        progress.passed(7);
        progress.settled();
        assert_eq!((progress.due(start), progress.tell(start)), (None, None));

        progress.passed(8);
        assert_eq!(progress.due(start), Some(start));
        assert_eq!(progress.tell(start), Some(8));
        assert_eq!(progress.due(start), None);
        progress.passed(9);
        progress.passed(10);
        assert_eq!(progress.due(start), Some(start + SPACING));
        assert_eq!(progress.tell(start + SPACING), Some(10));
    }
}
