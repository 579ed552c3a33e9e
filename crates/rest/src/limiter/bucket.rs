//! One bucket: what is known of its limit, and who waits for it.
//!
//! Discord counts requests when they reach it, in windows of a length it does not tell; we see the count later, and the
//! answers in any order. So at any time we assume the worst: of what the lowest answer of this window left over, every
//! request in flight and every one that was lost has taken its share.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::call::{Mark, Place};
use crate::rate_limit::{Limits, Scope};

/// Latency varies by so much at least, so that two answers of one window may disagree on its end.
const JITTER: Duration = Duration::from_millis(250);

/// Discord gives ends of windows in milliseconds; a request that early would be too early.
const MARGIN: Duration = Duration::from_millis(5);

/// A rate limit that requests of one key share.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    knowledge: Knowledge,
    blocked: Option<(Instant, Scope)>,
    pub(super) in_flight: u32,
    pub(super) queue: BTreeSet<Place>,
    /// Where the limiter has put this bucket down.
    pub(super) mark: Option<Mark>,
}

#[derive(Debug, Default)]
enum Knowledge {
    /// No response has come yet: one request at a time, until one tells.
    #[default]
    Unknown,
    /// Responses come without rate limit headers.
    Unlimited,
    Window(Window),
}

#[derive(Debug)]
struct Window {
    name: Option<Box<str>>,
    limit: u32,
    /// The longest time to an end of a window that was seen: about the length of one.
    length: Duration,
    /// The least that any answer of this window left over.
    remaining: u32,
    /// For each request that went without an answer: until when it may count. It was counted by then at the latest, in
    /// a window that began no later.
    lost: VecDeque<Instant>,
    resets_at: Instant,
    /// When the window before this one ended; answers from it may still come.
    previous: Option<Instant>,
}

/// When the head of the queue may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    Now,
    At(Instant),
    /// When a request that is in flight has come back.
    AfterResponse,
}

impl Bucket {
    /// A bucket whose limit somebody else keeps.
    pub(super) fn unlimited() -> Self {
        Self {
            knowledge: Knowledge::Unlimited,
            ..Self::default()
        }
    }

    pub(super) fn availability(&self, now: Instant) -> Availability {
        if let Some((until, _)) = self.blocked_until(now) {
            return Availability::At(until);
        }
        let now_if = |free| {
            if free {
                Availability::Now
            } else {
                Availability::AfterResponse
            }
        };
        match &self.knowledge {
            Knowledge::Unlimited => Availability::Now,
            Knowledge::Unknown => now_if(self.in_flight == 0),
            Knowledge::Window(window) => window.availability(self.in_flight, now),
        }
    }

    /// Until when time alone stands in the way of the next request, and whose limit that is.
    pub(super) fn held_until(&self, now: Instant) -> Option<(Instant, Scope)> {
        match self.availability(now) {
            Availability::At(until) => {
                Some(self.blocked_until(now).unwrap_or((until, Scope::User)))
            }
            Availability::Now | Availability::AfterResponse => None,
        }
    }

    fn blocked_until(&self, now: Instant) -> Option<(Instant, Scope)> {
        self.blocked.filter(|(until, _)| *until > now)
    }

    /// The head of the queue goes out.
    pub(super) fn granted(&mut self, now: Instant) {
        self.in_flight += 1;
        if let Knowledge::Window(window) = &mut self.knowledge
            && now >= window.resets_at
        {
            // This request, or one that is on its way, begins a new window; an answer will tell its end.
            window.previous = Some(window.resets_at);
            window.resets_at = now + window.length;
            window.remaining = window.limit.max(1);
        }
    }

    /// Takes in an answer that came at `now`.
    pub(super) fn observe(&mut self, status: u16, limits: Option<&Limits>, now: Instant) {
        let Some(limits) = limits else {
            // An error from a proxy has no headers either, and says nothing.
            if (200..300).contains(&status) && matches!(self.knowledge, Knowledge::Unknown) {
                self.knowledge = Knowledge::Unlimited;
            }
            return;
        };
        match &mut self.knowledge {
            Knowledge::Window(window) if window.name == limits.bucket => {
                window.observe(status, limits, now);
            }
            _ => self.knowledge = Knowledge::Window(Window::new(limits, now)),
        }
    }

    /// A request came to no answer: Discord may have counted it.
    pub(super) fn lost(&mut self, now: Instant) {
        if let Knowledge::Window(window) = &mut self.knowledge {
            window.lost.retain(|until| *until > now);
            window.lost.push_back(now + window.length + MARGIN);
        }
    }

    /// A 429: nothing goes before `until`.
    pub(super) fn block(&mut self, until: Instant, scope: Scope) {
        if self.blocked.is_none_or(|(other, _)| other < until) {
            self.blocked = Some((until + MARGIN, scope));
        }
    }

    /// Whether forgetting this bucket would lose nothing that matters.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let open = match &self.knowledge {
            Knowledge::Window(window) => window.resets_at <= now,
            Knowledge::Unknown | Knowledge::Unlimited => true,
        };
        open && self.in_flight == 0 && self.queue.is_empty() && self.blocked_until(now).is_none()
    }
}

impl Window {
    fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            name: limits.bucket.clone(),
            limit: limits.limit,
            length: limits.reset_after,
            remaining: limits.remaining,
            lost: VecDeque::new(),
            resets_at: now + limits.reset_after + MARGIN,
            previous: None,
        }
    }

    fn availability(&self, in_flight: u32, now: Instant) -> Availability {
        let mut lost = self.lost.iter().filter(|until| **until > now).peekable();
        let first_lost = lost.peek().map(|until| **until);
        let taken = in_flight.saturating_add(u32::try_from(lost.count()).unwrap_or(u32::MAX));
        let (left, resets_at) = if now >= self.resets_at {
            (self.limit.max(1), None)
        } else {
            (self.remaining, Some(self.resets_at))
        };
        match resets_at.into_iter().chain(first_lost).min() {
            _ if left > taken => Availability::Now,
            Some(at) => Availability::At(at),
            None => Availability::AfterResponse,
        }
    }

    fn observe(&mut self, status: u16, limits: &Limits, now: Instant) {
        let resets_at = now + limits.reset_after + MARGIN;
        let doubt = JITTER.min(self.length / 2);
        if self
            .previous
            .is_some_and(|previous| resets_at <= previous + doubt)
        {
            return;
        }
        self.limit = limits.limit;
        // The time a 429 gives may be a penalty.
        if status != 429 {
            self.length = self.length.max(limits.reset_after);
        }
        if now >= self.resets_at || resets_at > self.resets_at + JITTER.max(self.length / 2) {
            self.remaining = limits.remaining;
            self.previous = Some(self.resets_at);
            self.resets_at = resets_at;
        } else {
            self.remaining = self.remaining.min(limits.remaining);
            self.resets_at = self.resets_at.max(resets_at);
        }
    }
}
