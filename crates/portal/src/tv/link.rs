//! What a page's link can carry. Sockets and proxies on the way take more than they can carry away and say nothing of it, so the page counts what came to it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Longer on its way than the fastest lately, the oldest message says that the link is full.
const FULL: Duration = Duration::from_millis(600);

/// And that it is empty again, when the oldest is on its way for no longer than this.
const EMPTY: Duration = Duration::from_millis(250);

/// Beyond this not even voice goes: it would be heard too late.
const DEAF: Duration = Duration::from_secs(2);

/// A page that says nothing of what it was sent for so long reads nothing.
pub(super) const STUCK: Duration = Duration::from_secs(10);

/// Links of more than this on their best day are not believed.
const FARTHEST: Duration = Duration::from_secs(2);

/// The best is that of the last two of these.
const LATELY: Duration = Duration::from_secs(10);

/// Messages on their way. There are no more of them in two seconds of anything.
pub(super) const ON_THE_WAY: usize = 1_024;

#[derive(Debug)]
pub(super) struct Link {
    /// Messages that were sent, and those of them that came.
    sent: u64,
    came: u64,
    /// When those were sent that did not come yet.
    on_the_way: VecDeque<Instant>,
    /// The fastest in this time and in the one before.
    best: (Option<Duration>, Option<Duration>),
    since: Instant,
    full: bool,
}

impl Link {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            sent: 0,
            came: 0,
            on_the_way: VecDeque::new(),
            best: (None, None),
            since: now,
            full: false,
        }
    }

    /// A message is sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = self.sent.saturating_add(1);
        self.on_the_way.push_back(now);
    }

    /// The page says how many have come.
    pub(super) fn came(&mut self, now: Instant, count: u64) {
        let new = count.min(self.sent).saturating_sub(self.came);
        self.came = self.came.saturating_add(new);
        let mut last = None;
        for _ in 0..new {
            last = self.on_the_way.pop_front();
        }
        let Some(last) = last else { return };
        if now.saturating_duration_since(self.since) >= LATELY {
            self.best = (None, self.best.0);
            self.since = now;
        }
        let took = now.saturating_duration_since(last);
        self.best.0 = Some(self.best.0.map_or(took, |best| best.min(took)));
    }

    /// How much longer the oldest message is on its way than it has to be.
    fn behind(&self, now: Instant) -> Duration {
        if self.on_the_way.len() >= ON_THE_WAY {
            return Duration::MAX;
        }
        let best = [self.best.0, self.best.1].into_iter().flatten().min();
        self.waits(now)
            .saturating_sub(best.unwrap_or_default().min(FARTHEST))
    }

    fn waits(&self, now: Instant) -> Duration {
        let oldest = self.on_the_way.front();
        oldest.map_or(Duration::ZERO, |then| now.saturating_duration_since(*then))
    }

    /// Whether it takes a frame now.
    pub(super) fn takes_pictures(&mut self, now: Instant) -> bool {
        let most = if self.full { EMPTY } else { FULL };
        self.full = self.behind(now) > most;
        !self.full
    }

    /// Whether it takes a picture for which no other one waits: it is left out sooner.
    pub(super) fn takes_whole(&self, now: Instant) -> bool {
        self.behind(now) <= EMPTY
    }

    /// Whether it takes voice.
    pub(super) fn takes_voice(&self, now: Instant) -> bool {
        self.behind(now) <= DEAF
    }

    /// It took no frame when it was last asked.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The page has not read for so long that it is gone.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        self.waits(now) >= STUCK
    }

    /// When it will be, if nothing comes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.on_the_way.front()?.checked_add(STUCK)
    }

    /// Messages that are counted as on their way.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn len(&self) -> usize {
        self.on_the_way.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_link_that_is_far_away_is_not_full() {
        let start = Instant::now();
        let mut link = Link::new(start);
        // 500 ms away, and it says so every 150 ms.
        for n in 0..100_u64 {
            let now = start + ms(n * 50);
            link.sent(now);
            if n >= 10 && n % 3 == 0 {
                link.came(now, n - 9);
            }
            assert!(link.takes_pictures(now), "{n}");
        }
    }

    #[test]
    fn what_waits_too_long_is_a_full_link_until_it_is_empty() {
        let start = Instant::now();
        let mut link = Link::new(start);
        for n in 0..3 {
            link.sent(start + ms(n * 33));
        }
        link.came(start + ms(70), 1);
        assert!(link.takes_pictures(start + ms(600)));
        assert!(!link.takes_pictures(start + ms(33 + 671)));
        assert!(link.is_full() && link.takes_voice(start + ms(704)));
        // Half of it came: that is not enough.
        link.came(start + ms(750), 2);
        assert!(!link.takes_pictures(start + ms(750)));
        assert!(!link.takes_voice(start + ms(66 + 2_071)));
        link.came(start + ms(2_200), 3);
        assert!(link.takes_pictures(start + ms(2_200)));
        assert_eq!((link.len(), link.deadline()), (0, None));
    }

    #[test]
    fn a_page_that_lies_gains_nothing() {
        let start = Instant::now();
        let mut link = Link::new(start);
        link.sent(start);
        link.came(start, u64::MAX);
        link.came(start, 0);
        link.sent(start);
        assert_eq!(link.len(), 1);
        assert!(!link.is_stuck(start + ms(9_999)) && link.is_stuck(start + STUCK));
        link.came(start + STUCK, 2);
        assert_eq!(link.len(), 0);
        for _ in 0..ON_THE_WAY {
            link.sent(start + STUCK);
        }
        assert!(!link.takes_voice(start + STUCK));
    }
}
