//! What a limiter tells about itself.

use std::time::Duration;

/// The state of a client, for those who watch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Discord has rejected the bot token.
    pub unauthorized: bool,
    /// Time until requests may be sent again, if too many were rejected.
    pub breaker_open_for: Option<Duration>,
    /// Time until requests may be sent again, after a 429 of global scope or from the edge.
    pub paused_for: Option<Duration>,
    /// Requests rejected (401, 403, 429 but not of shared scope) in the last ten minutes.
    pub rejected: u32,
    /// Calls that wait for their turn.
    pub queued: usize,
    /// Requests that wait for their answer.
    pub in_flight: usize,
    /// Buckets that are known.
    pub buckets: usize,
}
