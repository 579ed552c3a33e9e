//! When something is to be shown: times of one stream's own clock, on the clock of those who look, or of a clip.

/// Further than this from where it should be, a stream has begun anew. In microseconds.
const JUMP: i64 = 500_000;

/// How much a clock may be slower than it says: a thousandth is far more than crystals are.
const SLACK: i64 = 1_000;

/// One stream's times, as microseconds since the viewer came, or the recorder.
///
/// What comes is never later than its time, as the fastest on its way says when all should be there.
#[derive(Debug)]
pub(crate) struct Timeline {
    hertz: i64,
    /// A time, counted on beyond 32 bits, and when it is.
    base: Option<(i64, i64)>,
    /// The newest time, and what was said of it.
    newest: (i64, i64),
}

impl Timeline {
    pub(crate) fn new(hertz: u32) -> Self {
        Self {
            hertz: hertz.into(),
            base: None,
            newest: (0, 0),
        }
    }

    /// When that is to be shown which has this time and came `at`. Each is after the one before.
    pub(crate) fn place(&mut self, at: i64, time: u32) -> i64 {
        let Some((base, due)) = self.base else {
            self.base = Some((time.into(), at));
            self.newest = (time.into(), at);
            return at;
        };
        let (newest, said) = self.newest;
        let passed = i64::from(ahead(newest, time));
        let time = newest.saturating_add(passed);
        let passed = passed.saturating_mul(1_000_000) / self.hertz;
        let since = time.saturating_sub(base).saturating_mul(1_000_000) / self.hertz;
        let expected = due.saturating_add(since);
        let late = at.saturating_sub(expected);
        let shown = if !(-JUMP..=JUMP).contains(&late) {
            self.base = Some((time, at));
            at
        } else {
            // The fastest one says when; a slow clock is followed slowly.
            let slack = (passed / SLACK).max(0);
            let moved = if late < 0 { late } else { late.min(slack) };
            self.base = Some((base, due.saturating_add(moved)));
            expected.saturating_add(moved)
        };
        let shown = shown.max(said.saturating_add(1));
        self.newest = (time, shown);
        shown
    }
}

/// How far a time of 32 bits is ahead of one that was counted on.
fn ahead(newest: i64, time: u32) -> i32 {
    let [.., a, b, c, d] = newest.to_be_bytes();
    time.wrapping_sub(u32::from_be_bytes([a, b, c, d]))
        .cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: i64 = 33_333;

    #[test]
    fn the_fastest_says_when() {
        let mut timeline = Timeline::new(90_000);
        assert_eq!(timeline.place(40_000, u32::MAX - 2_999), 40_000);
        // A late one is shown at its own time, and not late.
        assert_eq!(timeline.place(40_000 + FRAME + 20_000, 0), 73_333 + 33);
        // One that comes sooner shows that the first ones were late.
        assert_eq!(timeline.place(70_000, 3_000), 73_367);
        assert_eq!(timeline.place(70_000 + FRAME, 6_000), 70_000 + FRAME);
        assert_eq!(
            timeline.place(70_000 + 2 * FRAME, 9_000),
            70_000 + 2 * FRAME
        );
    }

    #[test]
    fn a_stream_that_begins_anew_goes_on_now() {
        let mut timeline = Timeline::new(48_000);
        timeline.place(0, 0);
        assert_eq!(timeline.place(20_000, 960), 20_000);
        assert_eq!(timeline.place(40_000, 3_000_000_000), 40_000);
        assert_eq!(timeline.place(60_000, 3_000_000_960), 60_000);
        // After a silence of which the time knows nothing.
        assert_eq!(timeline.place(9_000_000, 3_000_001_920), 9_000_000);
    }

    #[test]
    fn a_slow_clock_is_followed_and_order_is_kept() {
        let mut timeline = Timeline::new(48_000);
        let mut last = -1;
        for n in 0..50_000_u32 {
            // 200 ppm slower than it says.
            let at = i64::from(n) * 20_004;
            let shown = timeline.place(at, n.wrapping_mul(960));
            assert!(shown > last && shown <= at && at - shown < 5_000, "{n}");
            last = shown;
        }
    }
}
