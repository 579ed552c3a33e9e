//! Holds a stream's packets until it is their turn, and says what to do about those that are not there.
//!
//! Times are samples at 48 kHz by the room's clock. Who takes something out decides when; the buffer knows how much too early or too late
//! that is ([`Jitter::error`]).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::delay::Delay;

/// Packets of one stream.
const MAX_PACKETS: usize = 64;

/// So much is made up while nothing comes. Then whoever it was has ended.
const STARVED: usize = 2_880;

/// More that is missing than this is a pause, not a loss.
const MAX_LOST: i64 = 10;

/// What to play.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Packet {
        payload: Bytes,
        samples: usize,
    },
    /// It is lost. The one after it may be there.
    Lost {
        samples: usize,
        next: Option<Bytes>,
    },
    /// It may be lost or late or the end.
    Starved,
    /// Nothing, until [`Jitter::begin`] says that there is something again.
    End,
}

#[derive(Debug)]
struct Held {
    media: i64,
    samples: usize,
    payload: Bytes,
}

/// What happened to packets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) lost: u64,
    /// Too late, or too many.
    pub(crate) dropped: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Jitter {
    held: BTreeMap<i64, Held>,
    playing: bool,
    /// The packet whose turn is next, and when it was spoken.
    next: Option<(i64, i64)>,
    /// How long the last packet was.
    samples: usize,
    /// What was made up for packets that may only be late.
    starved: usize,
    pub(crate) delay: Delay,
    pub(crate) counts: Counts,
}

impl Jitter {
    /// A packet came. Its carrier has times of its own (`timed`), or only numbers, of which a pause is no part.
    pub(crate) fn push(
        &mut self,
        clock: i64,
        number: i64,
        media: i64,
        timed: bool,
        (payload, samples): (Bytes, usize),
    ) {
        if self.next.is_some_and(|(next, _)| number < next) {
            self.counts.dropped += 1;
            // That it came at all says how late packets can be.
            self.delay.arrive(clock, media, samples);
            return;
        }
        if !timed && !self.playing && self.held.is_empty() {
            self.delay.restart();
        }
        self.delay.arrive(clock, media, samples);
        let held = Held {
            media,
            samples,
            payload,
        };
        self.held.insert(number, held);
        if self.held.len() > MAX_PACKETS {
            self.skip();
        }
    }

    /// What comes has nothing to do with what came.
    pub(crate) fn restart(&mut self) {
        self.counts.dropped += self.held.len() as u64;
        self.held.clear();
        self.playing = false;
        self.starved = 0;
        self.delay.restart();
    }

    /// Begins to play if it is time.
    pub(crate) fn begin(&mut self, clock: i64) -> bool {
        if self.playing {
            return true;
        }
        let Some((&number, held)) = self.held.first_key_value() else {
            return false;
        };
        if self.delay.age(clock, held.media) < self.delay.target() {
            return false;
        }
        if let Some((next, _)) = self.next {
            self.counts.lost += number.saturating_sub(next).unsigned_abs();
        }
        self.next = Some((number, held.media));
        self.playing = true;
        self.starved = 0;
        true
    }

    /// When [`begin`](Self::begin) will say yes.
    pub(crate) fn due(&self, clock: i64) -> Option<i64> {
        let (_, held) = self.held.first_key_value()?;
        Some(clock + self.delay.target() - self.delay.age(clock, held.media))
    }

    /// How long the last packet was.
    pub(crate) fn usual(&self) -> usize {
        self.samples
    }

    pub(crate) fn playing(&self) -> bool {
        self.playing
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// By how much what is taken now is later than it should be; `ahead` samples of it were taken and wait elsewhere. What was made up
    /// in the meantime may yet turn out to be what was lost.
    pub(crate) fn error(&self, clock: i64, ahead: usize) -> i64 {
        self.held_for(clock, ahead) - self.delay.target() - self.starved as i64
    }

    /// How long what is taken now was held.
    pub(crate) fn held_for(&self, clock: i64, ahead: usize) -> i64 {
        match self.next {
            Some((_, media)) if self.playing => self.delay.age(clock, media) + ahead as i64,
            _ => 0,
        }
    }

    /// Whether the packet whose turn is next is there, and how long it is.
    pub(crate) fn peek(&self) -> Option<(&Bytes, usize)> {
        let (next, media) = self.next?;
        let held = self.held.get(&next)?;
        (held.media == media).then_some((&held.payload, held.samples))
    }

    /// As [`peek`](Self::peek), of the one after it.
    pub(crate) fn after(&self) -> Option<(&Bytes, usize)> {
        let (next, media) = self.next?;
        let (_, samples) = self.peek()?;
        let held = self.held.get(&(next + 1))?;
        (held.media == media + samples as i64).then_some((&held.payload, held.samples))
    }

    /// Leaves the oldest ones out, until what is left is as little late or early as can be; the newest stays.
    pub(crate) fn catch_up(&mut self, clock: i64) {
        while let Some((_, oldest)) = self.held.first_key_value()
            && self.held.len() > 1
            && self.error(clock, 0) > oldest.samples as i64 / 2
        {
            self.skip();
        }
    }

    /// Leaves the oldest one out.
    fn skip(&mut self) {
        if let Some((number, held)) = self.held.pop_first() {
            self.counts.dropped += 1;
            self.next = Some((number + 1, held.media + held.samples as i64));
        }
    }

    /// Takes what is next. If it is not there, so many samples are made up for it.
    pub(crate) fn pop(&mut self, made_up: usize) -> Slot {
        let (Some((next, position)), true) = (self.next, self.playing) else {
            return Slot::End;
        };
        let Some((&number, held)) = self.held.first_key_value() else {
            if self.starved >= STARVED {
                return self.end();
            }
            self.starved += made_up;
            return Slot::Starved;
        };
        let missing = number - next;
        if missing > MAX_LOST || held.media - position > MAX_LOST * 960 {
            return self.end();
        }
        if missing > 0 {
            let known = held.media - position;
            let samples = usize::try_from(known / missing).unwrap_or(0);
            let samples = (samples / 120 * 120).clamp(120, 5_760);
            self.next = Some((next + 1, position + samples as i64));
            self.counts.lost += 1;
            if self.starved >= samples {
                // It was made up while nothing was there.
                self.starved -= samples;
                return self.pop(made_up);
            }
            let next = (missing == 1).then(|| held.payload.clone());
            return Slot::Lost { samples, next };
        }
        self.starved = 0;
        let hole = usize::try_from(held.media - position).unwrap_or(0) / 120 * 120;
        if hole > 0 {
            // A sender that leaves out what is silent (DTX).
            self.next = Some((next, position + hole as i64));
            return Slot::Lost {
                samples: hole,
                next: None,
            };
        }
        match self.held.pop_first() {
            Some((number, held)) => {
                self.samples = held.samples;
                self.next = Some((number + 1, held.media + held.samples as i64));
                Slot::Packet {
                    payload: held.payload,
                    samples: held.samples,
                }
            }
            None => self.end(),
        }
    }

    fn end(&mut self) -> Slot {
        self.playing = false;
        self.starved = 0;
        Slot::End
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Test {
        jitter: Jitter,
        clock: i64,
    }

    impl Test {
        fn new() -> Self {
            Self {
                jitter: Jitter::default(),
                clock: 0,
            }
        }

        fn push(&mut self, number: u8) {
            let media = i64::from(number) * 960;
            let packet = (Bytes::copy_from_slice(&[number]), 960);
            self.jitter
                .push(media, i64::from(number), media, true, packet);
        }

        /// What comes out at each 20 ms: a packet's number, `-1` if it is lost, `-2` without any, `-3` at the end.
        fn pull(&mut self) -> i16 {
            self.clock += 960;
            if !self.jitter.begin(self.clock) {
                return -3;
            }
            match self.jitter.pop(960) {
                Slot::Packet { payload, .. } => i16::from(payload[0]),
                Slot::Lost { samples, .. } => {
                    assert_eq!(samples, 960);
                    -1
                }
                Slot::Starved => -2,
                Slot::End => -3,
            }
        }

        fn pulls(&mut self, count: usize) -> Vec<i16> {
            (0..count).map(|_| self.pull()).collect()
        }
    }

    #[test]
    fn order_is_mended_and_what_is_lost_is_told() {
        let mut test = Test::new();
        for number in [0, 2, 1, 3, 5, 6] {
            test.push(number);
        }
        assert_eq!(test.pulls(10), [-3, 0, 1, 2, 3, -1, 5, 6, -2, -2]);
        assert_eq!(test.jitter.counts.lost, 1);
    }

    #[test]
    fn what_was_made_up_is_not_made_up_again() {
        let mut test = Test::new();
        test.push(0);
        assert_eq!(test.pulls(3), [-3, 0, -2]);
        // 1 is lost: what was played for it stands.
        test.push(2);
        assert_eq!(test.pull(), 2);
        test.push(1);
        assert_eq!(test.jitter.counts.dropped, 1, "it came too late");
        assert_eq!(test.pull(), -2);
        // 3 is late: all that follows is.
        test.push(3);
        assert_eq!(test.pulls(5), [3, -2, -2, -2, -3]);
    }

    #[test]
    fn it_is_bounded_and_the_oldest_go() {
        let mut test = Test::new();
        for number in 0..200 {
            test.push(number);
        }
        test.clock = 200 * 960;
        assert_eq!(test.jitter.held.len(), MAX_PACKETS);
        assert_eq!(test.jitter.counts.dropped, 200 - MAX_PACKETS as u64);
        assert_eq!(test.pulls(3), [136, 137, 138]);
    }

    #[test]
    fn a_pause_is_waited_for() {
        let mut test = Test::new();
        test.push(0);
        assert_eq!(test.pulls(2), [-3, 0]);
        // The next number, spoken half a second later.
        test.clock = 25 * 960;
        let packet = (Bytes::from_static(&[1]), 960);
        test.jitter.push(test.clock, 1, 25 * 960, true, packet);
        assert_eq!(test.pulls(4), [-3, 1, -2, -2]);
        assert_eq!(test.jitter.counts.lost, 0);
    }
}
