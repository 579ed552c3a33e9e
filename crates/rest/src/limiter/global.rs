//! The bot's limit on all requests: 50 in any second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::request::Priority;

/// Requests a second that Discord allows a bot ("Global Rate Limit").
const LIMIT: usize = 50;

/// What bulk work leaves to the others.
const RESERVE: usize = 10;

/// The second, and a little for clocks that differ.
const PERIOD: Duration = Duration::from_millis(1005);

/// 50 slots. A slot is taken when a request goes out and is free a second after its answer came, not a second after it
/// went out: Discord counts it somewhere in between, so this way no second as Discord sees it holds more than 50,
/// however the network delays each.
#[derive(Debug)]
pub(super) struct Global {
    /// False if somebody else counts; only pauses are kept then.
    counting: bool,
    in_flight: usize,
    cooling: VecDeque<Instant>,
    paused_until: Option<Instant>,
}

impl Global {
    pub(super) fn new(deferring: bool) -> Self {
        Self {
            counting: !deferring,
            in_flight: 0,
            cooling: VecDeque::new(),
            paused_until: None,
        }
    }

    /// Takes a slot if one is free for this priority.
    pub(super) fn take(&mut self, priority: Priority, now: Instant) -> bool {
        if self.paused(now).is_some() {
            return false;
        }
        while self.cooling.front().is_some_and(|free_at| *free_at <= now) {
            self.cooling.pop_front();
        }
        let used = self.in_flight + self.cooling.len();
        let limit = if priority == Priority::Low {
            LIMIT - RESERVE
        } else {
            LIMIT
        };
        let free = !self.counting || used < limit;
        self.in_flight += usize::from(free);
        free
    }

    /// A request that took a slot has ended.
    pub(super) fn release(&mut self, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.counting {
            self.cooling.push_back(now + PERIOD);
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A 429 with global scope.
    pub(super) fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    pub(super) fn paused(&self, now: Instant) -> Option<Instant> {
        self.paused_until.filter(|until| *until > now)
    }

    /// When `take` may succeed next, if it is time that stands in its way.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let cool = || self.cooling.iter().copied().find(|free_at| *free_at > now);
        self.paused(now).or_else(cool)
    }
}
