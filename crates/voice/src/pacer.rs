//! When to send: one frame every 20 ms, by absolute deadlines, and silence at the end of speech.

use std::time::{Duration, Instant};

/// A frame's length, which is also the time between two.
pub(crate) const FRAME: Duration = Duration::from_millis(20);

/// At the end of speech, so many frames of silence keep the receivers' decoders from inventing some sound of their own
/// ([Discord](https://discord.com/developers/docs/topics/voice-connections#voice-data-interpolation)).
const SILENCE: u8 = 5;

/// After a stall up to this long what has waited is sent at once; after a longer one the clock begins anew.
const CATCH_UP: Duration = Duration::from_millis(100);

/// What to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot<T> {
    /// The first frame after a pause.
    Begin(T),
    Frame(T),
    Silence,
    /// Nothing more: speech has ended.
    End,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    /// The next frame is due.
    Speaking(Instant),
    /// A frame was due and was not there. Until then it may come late, which costs nobody anything.
    Starved(Instant),
    /// Silence is being sent: so many frames more, the next then.
    Ending(u8, Instant),
}

#[derive(Debug)]
pub(crate) struct Pacer {
    state: State,
}

impl Pacer {
    pub(crate) fn new() -> Self {
        Self { state: State::Idle }
    }

    /// When to [`poll`](Self::poll), unless a frame comes before; `None` if only a frame can be the reason.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Speaking(due) | State::Starved(due) | State::Ending(_, due) => Some(due),
        }
    }

    /// What to send now. To be called until there is nothing.
    pub(crate) fn poll<T>(
        &mut self,
        now: Instant,
        next: impl FnOnce() -> Option<T>,
    ) -> Option<Slot<T>> {
        match self.state {
            State::Idle => {
                let frame = next()?;
                self.state = State::Speaking(now + FRAME);
                Some(Slot::Begin(frame))
            }
            State::Speaking(due) if now >= due => match next() {
                Some(frame) => {
                    self.state = State::Speaking(following(due, now));
                    Some(Slot::Frame(frame))
                }
                None if now >= due + FRAME => Some(self.silence(SILENCE, now, now)),
                None => {
                    self.state = State::Starved(due + FRAME);
                    None
                }
            },
            State::Starved(until) => match next() {
                Some(frame) => {
                    // The frames' own clock is a little later than ours was.
                    self.state = State::Speaking(now + FRAME);
                    Some(Slot::Frame(frame))
                }
                None if now >= until => Some(self.silence(SILENCE, until, now)),
                None => None,
            },
            State::Ending(left, due) if now >= due => match next() {
                Some(frame) => {
                    self.state = State::Speaking(following(due, now));
                    Some(Slot::Frame(frame))
                }
                None => Some(self.silence(left, due, now)),
            },
            State::Speaking(_) | State::Ending(..) => None,
        }
    }

    fn silence<T>(&mut self, left: u8, due: Instant, now: Instant) -> Slot<T> {
        if let Some(left) = left.checked_sub(1) {
            self.state = State::Ending(left, following(due, now));
            Slot::Silence
        } else {
            self.state = State::Idle;
            Slot::End
        }
    }
}

fn following(due: Instant, now: Instant) -> Instant {
    let next = due + FRAME;
    if now > next + CATCH_UP {
        now + FRAME
    } else {
        next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::Slot::{Begin, End, Frame, Silence};
    use super::*;

    /// A pacer, its frames, and what it sent when, in milliseconds.
    struct Bench {
        pacer: Pacer,
        start: Instant,
        frames: VecDeque<u32>,
        sent: Vec<(u64, Slot<u32>)>,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                pacer: Pacer::new(),
                start: Instant::now(),
                frames: VecDeque::new(),
                sent: Vec::new(),
            }
        }

        fn poll(&mut self, ms: u64) {
            let now = self.start + Duration::from_millis(ms);
            while let Some(slot) = self.pacer.poll(now, || self.frames.pop_front()) {
                self.sent.push((ms, slot));
            }
        }

        fn push(&mut self, ms: u64, frame: u32) {
            self.frames.push_back(frame);
            self.poll(ms);
        }

        /// Polls at every deadline up to and with `ms`.
        fn run(&mut self, ms: u64) {
            let end = self.start + Duration::from_millis(ms);
            while let Some(at) = self.pacer.deadline().filter(|at| *at <= end) {
                let at = (at - self.start).as_millis() as u64;
                self.poll(at);
            }
        }
    }

    #[test]
    fn frames_leave_by_absolute_deadlines_and_silence_follows() {
        let mut bench = Bench::new();
        for frame in 0..3 {
            bench.push(0, frame);
        }
        // A late wake-up does not move what follows.
        bench.poll(27);
        bench.run(1000);
        let expected = [
            (0, Begin(0)),
            (27, Frame(1)),
            (40, Frame(2)),
            (80, Silence),
            (100, Silence),
            (120, Silence),
            (140, Silence),
            (160, Silence),
            (180, End),
        ];
        assert_eq!(bench.sent, expected);
        assert_eq!(bench.pacer.deadline(), None);
    }

    #[test]
    fn a_frame_that_is_a_little_late_is_sent_at_once() {
        let mut bench = Bench::new();
        bench.push(0, 0);
        bench.run(20);
        bench.push(33, 1);
        bench.push(40, 2);
        bench.run(60);
        assert_eq!(bench.sent, [(0, Begin(0)), (33, Frame(1)), (53, Frame(2))]);
    }

    #[test]
    fn speech_goes_on_within_silence() {
        let mut bench = Bench::new();
        bench.push(0, 0);
        bench.run(60);
        bench.push(70, 1);
        bench.run(100);
        assert_eq!(
            bench.sent,
            [(0, Begin(0)), (40, Silence), (60, Silence), (80, Frame(1))]
        );
    }

    #[test]
    fn a_short_stall_is_caught_up_with_and_a_long_one_is_not() {
        let mut bench = Bench::new();
        for frame in 0..20 {
            bench.frames.push_back(frame);
        }
        bench.poll(0);
        bench.poll(105);
        assert_eq!(bench.sent.len(), 6);
        bench.run(120);
        assert_eq!(bench.sent.last(), Some(&(120, Frame(6))));
        bench.poll(1000);
        assert_eq!(bench.sent.last(), Some(&(1000, Frame(7))));
        bench.run(1020);
        assert_eq!(bench.sent.last(), Some(&(1020, Frame(8))));
    }
}
