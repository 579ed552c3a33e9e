//! A call on its way through the limiter.

use std::time::{Duration, Instant};

use crate::rate_limit::{Limited, Limits};
use crate::request::Priority;
use crate::target::Key;

/// Names a call. A lower one has come earlier, and goes earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub(super) u64);

/// A place in a queue.
pub(super) type Place = (Priority, Ticket);

/// Where a bucket that has calls waiting is put down: its head may go as far as the bucket is concerned, or from then on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    Ready(Place),
    At(Instant, Place),
}

/// What became of a waiting call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may send, now.
    Go,
    /// The bot token is invalid; for so long nothing is sent with it.
    Unauthorized(Duration),
    /// Too many requests were rejected; for so long nothing is sent.
    Breaker(Duration),
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome<'a> {
    /// With an answer.
    Answered {
        status: u16,
        limits: Option<&'a Limits>,
        limited: Option<Limited>,
        /// Whether the answer is Discord's own, and not of something before it.
        discords: bool,
    },
    /// Without one; Discord may have seen the request or not.
    Lost,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) key: Key,
    pub(super) priority: Priority,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Between two attempts.
    Idle,
    Queued,
    InFlight,
}
