//! Which packets of a stream have come, told by their 16-bit sequence numbers.

/// What a packet is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The newest one; so many before it have not come, so far.
    New {
        /// How many.
        missing: u16,
    },
    /// One of those that had not come.
    Late,
    /// One from before the first.
    Before,
    /// It has been here.
    Duplicate,
    /// From before what is remembered.
    Old,
}

/// How many packets back a late one is still taken: two and a half seconds of audio.
const SIZE: u16 = 128;

/// A jump further than this is a new beginning, such as after a sender's restart.
const JUMP: u16 = 3_000;

/// What has come of one stream lately.
#[derive(Debug, Default)]
pub struct Window {
    newest: Option<u16>,
    /// Bit n: the packet n before the newest one has come.
    seen: u128,
    /// Bit n: it was said to be missing.
    missing: u128,
}

impl Window {
    /// A packet came.
    pub fn arrive(&mut self, sequence: u16) -> Arrival {
        let Some(newest) = self.newest else {
            return self.restart(sequence);
        };
        let ahead = sequence.wrapping_sub(newest);
        let behind = newest.wrapping_sub(sequence);
        if ahead == 0 {
            Arrival::Duplicate
        } else if ahead < JUMP {
            self.newest = Some(sequence);
            let shift = |bits: u128| bits.checked_shl(u32::from(ahead)).unwrap_or(0);
            let gap = match 1_u128.checked_shl(u32::from(ahead)) {
                Some(end) => end.wrapping_sub(2),
                None => !1,
            };
            self.seen = shift(self.seen) | 1;
            self.missing = shift(self.missing) | gap;
            Arrival::New {
                missing: ahead.saturating_sub(1),
            }
        } else if behind < SIZE {
            let bit = 1 << behind;
            if self.seen & bit != 0 {
                return Arrival::Duplicate;
            }
            self.seen |= bit;
            if self.missing & bit != 0 {
                Arrival::Late
            } else {
                Arrival::Before
            }
        } else if behind < JUMP {
            Arrival::Old
        } else {
            self.restart(sequence)
        }
    }

    /// What was sent before the first packet is not missed.
    fn restart(&mut self, sequence: u16) -> Arrival {
        self.newest = Some(sequence);
        self.seen = 1;
        self.missing = 0;
        Arrival::New { missing: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arrival::{Before, Duplicate, Late, New, Old};

    #[test]
    fn gaps_late_ones_and_duplicates() {
        let mut window = Window::default();
        assert_eq!(window.arrive(65_534), New { missing: 0 });
        assert_eq!(window.arrive(65_535), New { missing: 0 });
        assert_eq!(window.arrive(2), New { missing: 2 });
        assert_eq!(window.arrive(0), Late);
        assert_eq!(window.arrive(0), Duplicate);
        assert_eq!(window.arrive(2), Duplicate);
        assert_eq!(window.arrive(65_535), Duplicate);
        assert_eq!(window.arrive(1), Late);
        assert_eq!(window.arrive(65_533), Before);
        assert_eq!(window.arrive(65_533), Duplicate);
        assert_eq!(window.arrive(400), New { missing: 397 });
        assert_eq!(window.arrive(200), Old);
        assert_eq!(window.arrive(399), Late);
    }

    #[test]
    fn a_jump_is_a_new_beginning() {
        let mut window = Window::default();
        window.arrive(10);
        assert_eq!(window.arrive(30_000), New { missing: 0 });
        assert_eq!(window.arrive(29_999), Before);
        assert_eq!(window.arrive(10), New { missing: 0 });
    }

    /// Every packet is one of: new, late, duplicate, old; and what is missing in the end has not come.
    #[test]
    fn everything_is_accounted_for() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut window = Window::default();
        let (mut missing, mut lost, mut old) = (0, 0, 0);
        let mut waiting: Vec<u16> = Vec::new();
        let mut arrive = |sequence| match window.arrive(sequence) {
            New { missing: gap } => missing += i64::from(gap),
            Late => missing -= 1,
            Old => old += 1,
            Duplicate | Before => panic!("{sequence} has not been here"),
        };
        arrive(0);
        for sequence in 1..200_000_u32 {
            match random.u8(..100) {
                0..2 => lost += 1,
                2..10 => waiting.push(sequence as u16),
                _ => arrive(sequence as u16),
            }
            if waiting.len() > 5 {
                arrive(waiting.swap_remove(random.usize(..waiting.len())));
            }
        }
        arrive(200_000_u32 as u16);
        assert!(lost > 3000 && old > 100);
        assert_eq!(missing, lost + old + waiting.len() as i64);
    }
}
