//! Why a peer goes.

use std::fmt;

/// Why a peer is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Left {
    /// It said so: by DELETE, `bye`, or by closing.
    Said,
    /// Nothing was heard from it.
    Vanished,
    /// It never connected.
    NeverConnected,
    /// Its connection broke.
    Failed,
    /// It has data channels, and did not say `hello`.
    NoHello,
    /// It sent far more than it may, for long.
    TooMuch,
    /// It does not read.
    Stuck,
    /// The room does not take it.
    Refused,
    /// A moderator has ended what it publishes.
    Stopped,
    /// It only watched, and its token is over.
    Expired,
    /// The portal closed.
    Closed,
    /// Something went wrong here.
    Panic,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Said => "left",
            Self::Vanished => "vanished",
            Self::NeverConnected => "never_connected",
            Self::Failed => "failed",
            Self::NoHello => "no_hello",
            Self::TooMuch => "too_much",
            Self::Stuck => "stuck",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
            Self::Expired => "expired",
            Self::Closed => "closed",
            Self::Panic => "panic",
        })
    }
}
