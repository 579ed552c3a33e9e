//! The pause after a 429 from the edge (Cloudflare), which concerns everything from this address.

use std::time::Instant;

use super::call::Ticket;

/// When the time is up a single request goes first; the others follow if it comes back well.
#[derive(Debug, Default)]
pub(super) enum Pause {
    #[default]
    None,
    Until(Instant),
    Probing(Ticket),
}

impl Pause {
    /// Whether a request may go as far as the pause is concerned.
    pub(super) fn admits(&self, now: Instant) -> bool {
        match *self {
            Self::None => true,
            Self::Probing(_) => false,
            Self::Until(until) => until <= now,
        }
    }

    /// A request goes out: the first one after the pause is the probe.
    pub(super) fn granted(&mut self, ticket: Ticket) {
        if let Self::Until(_) = self {
            *self = Self::Probing(ticket);
        }
    }

    pub(super) fn begin(&mut self, until: Instant) {
        *self = match *self {
            Self::Until(other) => Self::Until(other.max(until)),
            Self::None | Self::Probing(_) => Self::Until(until),
        };
    }

    /// A request ended. A probe that got an answer ends the pause; one that got none makes room for another.
    pub(super) fn ended(&mut self, ticket: Ticket, answered: bool, now: Instant) {
        if matches!(*self, Self::Probing(probe) if probe == ticket) {
            *self = if answered {
                Self::None
            } else {
                Self::Until(now)
            };
        }
    }

    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        match *self {
            Self::Until(until) if until > now => Some(until),
            _ => None,
        }
    }
}
