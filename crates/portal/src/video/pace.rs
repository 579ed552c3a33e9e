//! What a viewer's link can carry. It says when that is too little (RTCP reports, REMB); that it is more it does not say, so that is tried.

use std::time::{Duration, Instant};

/// Of what was sent so much is lost, in 256ths, on a link that is full. Radio alone loses less.
const FULL: u8 = 38;

/// Packets that were sent and missed are counted for so long; of fewer no share is told.
const COUNTED: Duration = Duration::from_millis(500);
const FEW: u32 = 64;

/// A step is seen in what the link says after so long.
const SETTLES: Duration = Duration::from_secs(2);

/// The first trial of more, and the longest that is waited for one.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(8), Duration::from_secs(64));

/// How long nothing is sent where there is nothing smaller, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

/// Bits a second, over a second.
#[derive(Debug)]
pub(super) struct Meter {
    since: Instant,
    bits: u64,
    last: u64,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            bits: 0,
            last: 0,
        }
    }

    pub(super) fn add(&mut self, now: Instant, bytes: usize) {
        self.turn(now);
        let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
        self.bits = self.bits.saturating_add(bits);
    }

    pub(super) fn rate(&mut self, now: Instant) -> u64 {
        self.turn(now);
        self.last
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        if passed < Duration::from_secs(1) {
            return;
        }
        let milliseconds = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.last = self.bits.saturating_mul(1_000) / milliseconds.max(1);
        self.bits = 0;
        self.since = now;
    }
}

/// How much of what a viewer was sent lately it asks for again. Its reports say that too, but once a second: a layer that is too large is on its way for as long.
#[derive(Debug)]
pub(super) struct Losses {
    since: Instant,
    sent: u32,
    missed: u32,
    /// What is asked for twice is lost once.
    newest: u64,
}

impl Losses {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            sent: 0,
            missed: 0,
            newest: 0,
        }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.turn(now);
        self.sent = self.sent.saturating_add(1);
    }

    /// The packet with this number did not come.
    pub(super) fn missed(&mut self, now: Instant, number: u64) {
        self.turn(now);
        if number > self.newest {
            self.newest = number;
            self.missed = self.missed.saturating_add(1);
        }
    }

    /// In 256ths.
    pub(super) fn share(&self) -> u8 {
        let share = self.missed.saturating_mul(256).checked_div(self.sent);
        match share {
            Some(share) if self.sent >= FEW => u8::try_from(share).unwrap_or(u8::MAX),
            _ => 0,
        }
    }

    fn turn(&mut self, now: Instant) {
        if now.saturating_duration_since(self.since) >= COUNTED {
            (self.since, self.sent, self.missed) = (now, 0, 0);
        }
    }
}

/// The steps down and up of one viewer.
#[derive(Debug)]
pub(super) struct Pace {
    /// Layers that are too large, counted from the largest one.
    down: usize,
    /// When it went down or paused last.
    stepped: Option<Instant>,
    /// When it went up last.
    tried: Option<Instant>,
    patience: Duration,
    pause: Duration,
    until: Option<Instant>,
    /// The most that the viewer took its link to carry, since it went down or less than that was sent.
    carries: u64,
    pub(super) congested: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            down: 0,
            stepped: None,
            tried: None,
            patience: PATIENCE.0,
            pause: PAUSE.0,
            until: None,
            carries: 0,
            congested: 0,
        }
    }
}

impl Pace {
    /// Which of so many layers it is to have, the largest being 0.
    pub(super) fn layer(&self, layers: usize) -> usize {
        self.down.min(layers.saturating_sub(1))
    }

    /// Nothing is to be sent for now.
    pub(super) fn paused(&self) -> bool {
        self.until.is_some()
    }

    /// So much was lost lately. Whether that changes anything.
    pub(super) fn lost(&mut self, now: Instant, of_256: u8, layers: usize) -> bool {
        of_256 >= FULL && self.congest(now, layers, true)
    }

    /// So much of what was sent is missed. A guess, by less than a report counts: the picture does not stop for it.
    pub(super) fn missed(&mut self, now: Instant, of_256: u8, layers: usize) -> bool {
        of_256 >= FULL && self.congest(now, layers, false)
    }

    /// What the viewer takes its link to carry, while `rate` is sent. It is told how that changes: less than what is sent is a link that is
    /// full; else it is only little that was sent.
    pub(super) fn carries(&mut self, now: Instant, bits: u64, rate: u64, layers: usize) -> bool {
        let fell = bits < self.carries / 10 * 9;
        let congested = fell && bits < rate && self.congest(now, layers, false);
        if congested || bits >= rate {
            self.carries = 0;
        }
        self.carries = self.carries.max(bits);
        congested
    }

    /// What it is sent comes late, and who says so sends nothing of it by itself until that is over. Whether that changes anything.
    pub(super) fn slow(&mut self, now: Instant, layers: usize) -> bool {
        self.congest(now, layers, false)
    }

    fn congest(&mut self, now: Instant, layers: usize, may_pause: bool) -> bool {
        let since = |then: Instant| now.saturating_duration_since(then);
        if self.paused() || self.stepped.is_some_and(|it| since(it) < SETTLES) {
            return false;
        }
        let smaller = self.layer(layers).saturating_add(1) < layers;
        if !smaller && !may_pause {
            return false;
        }
        // A trial that failed: the next one is later.
        let failed = self.tried.is_some_and(|it| since(it) < SETTLES * 4);
        self.stepped = Some(now);
        self.congested = self.congested.saturating_add(1);
        if smaller {
            self.patience = longer(failed, self.patience, PATIENCE);
            self.down = self.layer(layers).saturating_add(1);
        } else {
            self.pause = longer(failed, self.pause, PAUSE);
            self.until = now.checked_add(self.pause);
        }
        true
    }

    /// Time has passed. Whether that changes anything.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
            self.tried = Some(now);
            return true;
        }
        let last = self.stepped.max(self.tried);
        let rested = last.is_none_or(|last| now.saturating_duration_since(last) >= self.patience);
        if self.down == 0 || self.paused() || !rested {
            return false;
        }
        self.down = self.down.saturating_sub(1);
        self.tried = Some(now);
        true
    }
}

fn longer(failed: bool, now: Duration, (first, most): (Duration, Duration)) -> Duration {
    if failed {
        now.saturating_mul(2).min(most)
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Link {
        pace: Pace,
        now: Instant,
    }

    impl Link {
        fn after(&mut self, seconds: u64) -> &mut Self {
            self.now += Duration::from_secs(seconds);
            self
        }
        fn lost(&mut self, layers: usize) -> bool {
            self.pace.lost(self.now, 60, layers)
        }
        fn tick(&mut self) -> bool {
            self.pace.tick(self.now)
        }
    }

    fn link() -> Link {
        Link {
            pace: Pace::default(),
            now: Instant::now(),
        }
    }

    #[test]
    fn a_full_link_goes_down_layer_by_layer_and_up_by_trial() {
        let mut link = link();
        assert!(!link.pace.lost(link.now, 8, 3), "3% are radio's");
        assert!(link.lost(3));
        assert_eq!(link.pace.layer(3), 1);
        assert!(!link.after(1).lost(3), "the step is not seen yet");
        assert!(link.after(1).lost(3));
        assert_eq!((link.pace.layer(3), link.pace.layer(2)), (2, 1));
        assert!(!link.after(7).tick());
        assert!(link.after(1).tick());
        assert_eq!(link.pace.layer(3), 1);
        // It fails, and the next trial is later.
        assert!(link.after(2).lost(3));
        assert!(!link.after(15).tick());
        assert!(link.after(1).tick());
        assert_eq!(link.pace.congested, 3);
    }

    #[test]
    fn where_there_is_nothing_smaller_it_pauses() {
        let mut link = link();
        assert!(link.lost(1) && link.pace.paused());
        assert!(!link.lost(1));
        assert!(link.after(1).tick() && !link.pace.paused());
        // Again at once: longer.
        assert!(link.after(2).lost(1));
        assert!(!link.after(1).tick());
        assert!(link.after(1).tick());
        assert!(link.after(60).lost(1));
        assert!(link.after(1).tick());
    }

    #[test]
    fn an_estimate_that_falls_below_what_is_sent_is_a_full_link() {
        let mut link = link();
        let now = link.now;
        assert!(!link.pace.carries(now, 3_000, 2_000, 2));
        // Little was sent, so little is known to be carried.
        assert!(!link.pace.carries(now, 1_500, 1_000, 2));
        assert!(!link.pace.carries(now, 1_400, 2_000, 2), "it hardly fell");
        assert!(link.pace.carries(now, 900, 2_000, 2));
        assert_eq!(link.pace.layer(2), 1);
        // It guesses: the picture does not stop for that.
        link.after(3);
        assert!(!link.pace.slow(link.now, 2) && !link.pace.paused());
        assert!(!link.pace.carries(link.now, 300, 2_000, 2) && !link.pace.paused());
        assert!(link.pace.slow(link.now, 3));
        assert_eq!(link.pace.layer(3), 2);
    }

    #[test]
    fn what_is_asked_for_again_is_lost_once_and_lately() {
        let mut now = Instant::now();
        let mut losses = Losses::new(now);
        for n in 1..=100 {
            losses.sent(now);
            if n % 5 == 0 {
                for _ in 0..3 {
                    losses.missed(now, n);
                }
            }
            assert_eq!(losses.share() > 0, n >= 64, "of {n}");
            now += Duration::from_millis(4);
        }
        assert_eq!(losses.share(), 51);
        now += Duration::from_millis(100);
        for n in 101..=200 {
            losses.sent(now);
            losses.missed(now, 100);
            assert_eq!(losses.share(), 0, "of {n}");
        }
        losses.missed(now, 101);
        assert_eq!(losses.share(), 2);
    }

    #[test]
    fn what_is_missed_gets_the_smaller_layer_and_no_pause() {
        let mut link = link();
        assert!(!link.pace.missed(link.now, 60, 1) && !link.pace.paused());
        assert!(!link.pace.missed(link.now, 8, 2));
        assert!(link.pace.missed(link.now, 60, 2));
        assert_eq!(link.pace.layer(2), 1);
    }

    #[test]
    fn an_estimate_that_falls_slowly_is_a_full_link_too() {
        let mut link = link();
        let told = [3_000, 2_500, 2_000, 1_950, 1_900, 1_850, 1_810];
        for bits in told {
            assert!(!link.pace.carries(link.now, bits, 2_000, 2), "{bits}");
            link.after(1);
        }
        assert!(link.pace.carries(link.now, 1_790, 2_000, 2));
        // What it says from then on is of the smaller layer.
        link.after(3);
        assert!(!link.pace.carries(link.now, 1_700, 2_000, 3));
        assert!(link.pace.carries(link.now, 1_500, 2_000, 3));
    }

    #[test]
    fn a_rate_is_of_the_last_second() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        for n in 0..20 {
            meter.add(start + Duration::from_millis(n * 100), 1_000);
        }
        assert_eq!(meter.rate(start + Duration::from_millis(1_999)), 80_000);
        assert_eq!(meter.rate(start + Duration::from_secs(9)), 10_000);
        assert_eq!(meter.rate(start + Duration::from_secs(10)), 0);
    }
}
