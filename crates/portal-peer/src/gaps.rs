//! What is missing from a stream of numbered packets.

use std::time::Duration;

/// How far back a packet still counts as late, and not as a new beginning.
const LATE: u32 = 1_000;

/// Counts the packets of one stream by their numbers, which wrap.
#[derive(Clone, Debug)]
pub struct Gaps {
    mask: u32,
    first: Option<u32>,
    /// How far the highest number is from the first one.
    span: u64,
    received: u64,
}

impl Gaps {
    /// Of a stream whose numbers have so many bits.
    #[must_use]
    pub const fn of_bits(bits: u32) -> Self {
        Self {
            mask: (1 << bits) - 1,
            first: None,
            span: 0,
            received: 0,
        }
    }

    /// A packet came.
    pub fn came(&mut self, sequence: u32) {
        self.received += 1;
        let Some(first) = self.first else {
            self.first = Some(sequence);
            return;
        };
        let highest = (u64::from(first) + self.span) as u32 & self.mask;
        let ahead = sequence.wrapping_sub(highest) & self.mask;
        if ahead <= self.mask / 2 {
            self.span += u64::from(ahead);
        } else if highest.wrapping_sub(sequence) & self.mask > LATE {
            // The sender began anew.
            *self = Self {
                first: Some(sequence),
                received: 1,
                ..*self
            };
            self.span = 0;
        }
    }

    /// How many came.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// How many did not come, of those between the first and the last.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        if self.first.is_none() {
            return 0;
        }
        (self.span + 1).saturating_sub(self.received)
    }
}

/// A place in sorted durations.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((sorted.len() * percent / 100).min(last))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(bits: u32, numbers: &[u32]) -> u64 {
        let mut gaps = Gaps::of_bits(bits);
        for number in numbers {
            gaps.came(*number);
        }
        gaps.lost()
    }

    #[test]
    fn gaps_are_counted_across_the_wrap() {
        assert_eq!(lost(16, &[]), 0);
        assert_eq!(lost(16, &[7]), 0);
        assert_eq!(lost(16, &[65_534, 65_535, 0, 1]), 0);
        assert_eq!(lost(16, &[65_534, 1]), 2);
        assert_eq!(lost(24, &[0xff_fffe, 2]), 3);
    }

    #[test]
    fn who_comes_late_is_not_lost() {
        assert_eq!(lost(16, &[1, 3, 2, 4]), 0);
        assert_eq!(lost(16, &[1, 4, 2]), 1);
    }

    #[test]
    fn a_sender_that_begins_anew_has_lost_nothing() {
        assert_eq!(lost(24, &[100_000, 100_001, 3, 4]), 0);
    }
}
