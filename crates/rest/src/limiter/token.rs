//! Whether Discord takes the bot's token.
//!
//! A 401 of Discord's own says that it does not. Discord has said so by mistake too, so one request goes to see now and
//! then; the others are refused until it comes back well.

use std::time::{Duration, Instant};

use super::call::Ticket;

/// How rarely one goes to see. Each is an invalid request, of which Discord takes 10,000 in ten minutes.
pub(crate) const PROBE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) enum Token {
    #[default]
    Good,
    Rejected {
        /// When the next one may go to see.
        probe_at: Instant,
        /// The one that waits for its turn, or is on its way.
        probe: Option<Ticket>,
    },
}

impl Token {
    pub(super) fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }

    /// Lets a call in the bot's name go as far as the token is concerned, or says for how long none goes.
    pub(super) fn admit(&mut self, ticket: Ticket, now: Instant) -> Result<(), Duration> {
        let Self::Rejected { probe_at, probe } = self else {
            return Ok(());
        };
        match probe {
            Some(other) if *other == ticket => Ok(()),
            None if *probe_at <= now => {
                *probe = Some(ticket);
                Ok(())
            }
            // What the one under way finds, it finds soon.
            _ => Err(probe_at
                .saturating_duration_since(now)
                .max(Duration::from_secs(1))),
        }
    }

    /// Discord rejected it.
    pub(super) fn rejected(&mut self, now: Instant) {
        *self = Self::Rejected {
            probe_at: now + PROBE,
            probe: None,
        };
    }

    /// A call in the bot's name ended otherwise. `accepted`: with an answer of Discord's.
    pub(super) fn ended(&mut self, ticket: Ticket, accepted: bool) {
        if let Self::Rejected { probe, .. } = self
            && *probe == Some(ticket)
        {
            *probe = None;
            if accepted {
                *self = Self::Good;
            }
        }
    }
}
