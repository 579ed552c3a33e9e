//! Counts the requests that Discord rejected, so that they never come near the number it bans an address for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Discord bans an address after 10,000 invalid requests (401, 403, 429) in this time.
const WINDOW: Duration = Duration::from_secs(600);

/// The least that separates two counters.
const STEP: Duration = Duration::from_secs(10);

/// Opens at `limit` rejected requests in ten minutes, and closes as they grow old: never are there more in ten minutes.
#[derive(Debug)]
pub(super) struct Breaker {
    limit: u32,
    total: u32,
    counts: VecDeque<(Instant, u32)>,
}

impl Breaker {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            total: 0,
            counts: VecDeque::new(),
        }
    }

    /// A request was rejected.
    pub(super) fn record(&mut self, now: Instant) {
        self.total += 1;
        match self.counts.back_mut() {
            Some((since, count)) if now < *since + STEP => *count += 1,
            _ => self.counts.push_back((now, 1)),
        }
    }

    /// How many were rejected in the last ten minutes.
    pub(super) fn rejected(&mut self, now: Instant) -> u32 {
        while let Some((since, count)) = self.counts.front() {
            if now < *since + STEP + WINDOW {
                break;
            }
            self.total -= count;
            self.counts.pop_front();
        }
        self.total
    }

    /// Until when nothing may be sent.
    pub(super) fn open_until(&mut self, now: Instant) -> Option<Instant> {
        let open = self.rejected(now) >= self.limit;
        self.counts
            .front()
            .filter(|_| open)
            .map(|(since, _)| *since + STEP + WINDOW)
    }
}
