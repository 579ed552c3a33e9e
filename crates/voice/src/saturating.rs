//! Sums of numbers that others choose, or that grow for ever: they end at the largest one, and do not begin anew.

use std::time::{Duration, Instant};

/// One more.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

/// So many more.
pub(crate) fn add(counter: &mut u64, more: usize) {
    *counter = counter.saturating_add(more as u64);
}

/// So much later; a time that the system does not have is now.
pub(crate) fn later(now: Instant, pause: Duration) -> Instant {
    now.checked_add(pause).unwrap_or(now)
}
