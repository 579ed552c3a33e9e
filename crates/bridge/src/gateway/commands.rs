//! What a shard tells Discord, and when: the presence, and where the bot is in voice. A machine without sockets and clock, which owns the
//! connection's budget: what is not sent yet can still be replaced or withdrawn.

use super::budget::{Budget, Share};
use super::voice_states::{UpdateVoiceState, VoiceStates};
use crate::presence::{Pace, Presence};
use std::time::Duration;
use tokio::time::Instant;

/// A command for Discord.
#[derive(Debug, PartialEq)]
pub enum Command {
    Presence(Presence),
    Voice(UpdateVoiceState),
}

/// The commands of a shard, over all its connections.
#[derive(Debug)]
pub struct Commands {
    budget: Budget,
    pub presence: Pace,
    pub voice: VoiceStates,
    /// When the last connection was lost.
    lost: Option<Instant>,
}

impl Commands {
    /// `window` is the time in which Discord counts commands.
    pub fn new(window: Duration) -> Self {
        Self {
            budget: Budget::new(window),
            presence: Pace::new(),
            voice: VoiceStates::new(),
            lost: None,
        }
    }

    /// A connection was opened, on which nothing was sent.
    pub fn connected(&mut self) {
        self.budget.renew();
    }

    /// Discord has begun a new session.
    pub fn renewed(&mut self) {
        self.presence.renewed();
        self.voice.renewed();
        self.lost = None;
    }

    /// Discord has taken up the session again, and told what was missed.
    pub fn resumed(&mut self) {
        if let Some(lost) = self.lost.take() {
            self.voice.resumed(lost);
        }
    }

    /// The connection was lost.
    pub fn lost(&mut self, now: Instant) {
        self.presence.lost(now);
        // Until it is resumed, however many attempts that takes, nothing more is sent.
        self.lost.get_or_insert(now);
    }

    /// The session is not ours any more, and may be again.
    pub fn forget(&mut self) {
        self.presence.forget();
        self.voice.forget();
        self.lost = None;
    }

    /// When the next command may be sent, if there is one. It may be a time that has passed.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let presence = self.presence.due(now);
        let presence = presence.map(|due| due.max(self.budget.free(Share::Presence, now)));
        let voice = self.voice.is_due();
        let voice = voice.then(|| self.budget.free(Share::Voice, now));
        presence.into_iter().chain(voice).min()
    }

    /// A command that is to be sent now; it counts as sent.
    pub fn next(&mut self, now: Instant) -> Option<Command> {
        let free = |share| self.budget.free(share, now) <= now;
        if self.presence.due(now).is_some_and(|due| due <= now) && free(Share::Presence) {
            self.budget.spend(Share::Presence, now);
            return Some(Command::Presence(self.presence.send(now)));
        }
        if free(Share::Voice)
            && let Some(command) = self.voice.next(now)
        {
            self.budget.spend(Share::Voice, now);
            return Some(Command::Voice(command));
        }
        None
    }
}

#[cfg(test)]
mod tests;
