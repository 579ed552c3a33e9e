//! One bucket: what is known of its limit, and who waits for it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Mark, Place};
use crate::rate_limit::{Limits, Scope};

/// Two ends of a window closer than this are the same window, seen through a varying latency.
const SLACK: Duration = Duration::from_millis(250);

/// Discord gives ends of windows in milliseconds; a request that early would be too early.
const MARGIN: Duration = Duration::from_millis(5);

/// A rate limit that requests of one route share.
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
    /// The least that any response of this window has left. Requests in flight may or may not be counted in it.
    remaining: u32,
    resets_at: Instant,
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
            Knowledge::Window(window) if now >= window.resets_at => {
                now_if(self.in_flight < window.limit.max(1))
            }
            Knowledge::Window(window) if window.remaining > self.in_flight => Availability::Now,
            Knowledge::Window(window) => Availability::At(window.resets_at),
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

    /// Takes in a response that came back at `now`.
    pub(super) fn observe(&mut self, limits: Option<&Limits>, success: bool, now: Instant) {
        let Some(limits) = limits else {
            // An error from a proxy has no headers either, and says nothing.
            if success && matches!(self.knowledge, Knowledge::Unknown) {
                self.knowledge = Knowledge::Unlimited;
            }
            return;
        };
        let resets_at = now + limits.reset_after + MARGIN;
        match &mut self.knowledge {
            Knowledge::Window(window)
                if window.name == limits.bucket
                    && now < window.resets_at
                    && resets_at <= window.resets_at + SLACK =>
            {
                window.limit = limits.limit;
                window.remaining = window.remaining.min(limits.remaining);
                window.resets_at = window.resets_at.max(resets_at);
            }
            _ => {
                self.knowledge = Knowledge::Window(Window {
                    name: limits.bucket.clone(),
                    limit: limits.limit,
                    remaining: limits.remaining,
                    resets_at,
                });
            }
        }
    }

    /// A request came to no answer: Discord may have counted it.
    pub(super) fn lost(&mut self) {
        if let Knowledge::Window(window) = &mut self.knowledge {
            window.remaining = window.remaining.saturating_sub(1);
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
