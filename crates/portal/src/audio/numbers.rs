//! A stream's packets by numbers that do not wrap.

use crate::room::Sequence;

/// The first packet's. There is room for those before it.
const FIRST: i64 = 1 << 40;

/// A packet that is so far behind belongs to another beginning of the stream.
const BEHIND: i64 = 64;

/// And one that is so far ahead.
const AHEAD: i64 = 500;

/// What a packet is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of the stream.
    At(i64),
    /// The first one of a stream that began anew. The numbers go on.
    Restart(i64),
    /// It has been here.
    Duplicate,
    /// Far from all others; if the next one goes on from here, the stream has begun anew.
    Stray,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    raw: u32,
    number: i64,
    /// Bit n: the packet n before it has come.
    seen: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    newest: Option<Newest>,
    stray: Option<u32>,
}

impl Numbers {
    pub(crate) fn place(&mut self, sequence: Sequence) -> Place {
        let (raw, bits) = match sequence {
            Sequence::Rtp(number) => (u32::from(number), 16),
            Sequence::Voice(number) => (number, 24),
        };
        // In the uppermost bits, so that it wraps by itself.
        let raw = raw << (32 - bits);
        let step = |from: u32| i64::from(raw.wrapping_sub(from).cast_signed() >> (32 - bits));
        let Some(newest) = &mut self.newest else {
            self.begin(raw, FIRST);
            return Place::At(FIRST);
        };
        let ahead = step(newest.raw);
        if !(-BEHIND < ahead && ahead < AHEAD) {
            if self.stray.is_some_and(|stray| step(stray) == 1) {
                let number = newest.number + 1;
                self.begin(raw, number);
                return Place::Restart(number);
            }
            self.stray = Some(raw);
            return Place::Stray;
        }
        self.stray = None;
        let number = newest.number + ahead;
        if ahead > 0 {
            let seen = u32::try_from(ahead).map_or(0, |n| newest.seen.checked_shl(n).unwrap_or(0));
            *newest = Newest {
                raw,
                number,
                seen: seen | 1,
            };
        } else {
            let bit = 1_u64 << ahead.unsigned_abs();
            if newest.seen & bit != 0 {
                return Place::Duplicate;
            }
            newest.seen |= bit;
        }
        Place::At(number)
    }

    fn begin(&mut self, raw: u32, number: i64) {
        self.stray = None;
        self.newest = Some(Newest {
            raw,
            number,
            seen: 1,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Sequence::{Rtp, Voice};

    #[test]
    fn they_do_not_wrap() {
        for make in [(|n| Rtp(n as u16)) as fn(u32) -> Sequence, |n| {
            Voice(n & 0xFF_FFFF)
        }] {
            let mut numbers = Numbers::default();
            for n in 0..200_000_u32 {
                let place = numbers.place(make(n.wrapping_add(u32::MAX - 1_000)));
                assert_eq!(place, Place::At(FIRST + i64::from(n)));
            }
        }
        let mut numbers = Numbers::default();
        for n in 0..(1 << 24) + 10 {
            assert_eq!(numbers.place(Voice(n)), Place::At(FIRST + i64::from(n)));
        }
    }

    #[test]
    fn order_doubles_and_another_beginning() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.place(Rtp(65_535)), Place::At(FIRST));
        assert_eq!(numbers.place(Rtp(2)), Place::At(FIRST + 3));
        assert_eq!(numbers.place(Rtp(0)), Place::At(FIRST + 1));
        assert_eq!(numbers.place(Rtp(0)), Place::Duplicate);
        assert_eq!(numbers.place(Rtp(65_535)), Place::Duplicate);
        assert_eq!(numbers.place(Rtp(65_534)), Place::At(FIRST - 1));
        assert_eq!(numbers.place(Rtp(30_000)), Place::Stray);
        assert_eq!(
            numbers.place(Rtp(3)),
            Place::At(FIRST + 4),
            "a stray alone is forgotten"
        );
        assert_eq!(numbers.place(Rtp(30_001)), Place::Stray);
        assert_eq!(numbers.place(Rtp(30_002)), Place::Restart(FIRST + 5));
        assert_eq!(numbers.place(Rtp(30_003)), Place::At(FIRST + 6));
        assert_eq!(numbers.place(Rtp(29_000)), Place::Stray, "behind");
        assert_eq!(numbers.place(Rtp(29_001)), Place::Restart(FIRST + 7));
    }
}
