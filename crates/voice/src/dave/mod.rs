//! DAVE: end-to-end encryption of what is said, keyed by an MLS group of everybody in the channel
//! ([whitepaper](https://daveprotocol.com)).
//!
//! [`Dave`] is the state machine between the voice gateway's messages and `davey`, which does the cryptography. It has no
//! clock and no socket. Its rule is: **no key, no frame**. What cannot be encrypted is not sent.

mod frames;
mod guard;
mod users;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use davey::ProposalsOperationType::{APPEND, REVOKE};
use davey::errors::{ProcessCommitError, SetExternalSenderError};

use crate::error::Cause;
use crate::gateway::message::{self, Binary, Outgoing};
use guard::{DaveError, Guarded};
use users::Users;

/// The version of the protocol that we have.
pub(crate) const VERSION: u16 = 1;

/// A new key package takes the whole group through a transition: not more often than this.
const RECOVERY_PAUSE: Duration = Duration::from_secs(10);

/// So many frames in a row that nobody's key opens mean that our group is not theirs. (discord.js has the same number.)
const MAX_FAILURES: u32 = 36;

/// Plaintext still under way when encryption begins is taken for so long.
const PASSTHROUGH: u32 = 10;

/// What changes has changed by then, or something got lost.
const SETTLED: Duration = Duration::from_secs(10);

/// What waits for the session description; more than this is a fault of the server.
const MAX_QUEUED: usize = 64;

/// What is to be sent, and what has happened.
#[derive(Debug)]
pub(crate) enum Step {
    Text(String),
    Binary(Vec<u8>),
    /// Another version, epoch or privacy code is in force, or keys changed: frames that failed may open now.
    Changed,
    /// The server wants a version that we do not have.
    Unsupported(u16),
    /// It cannot go on.
    Broken(Cause),
}

/// Why a frame was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Keys are changing: it may open in a moment.
    Early,
    /// It will never open.
    Undecryptable,
}

/// No key to encrypt with; the frame must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoKey;

pub(crate) struct Dave {
    user_id: u64,
    channel_id: u64,
    users: Users,
    /// The version in force; `None` until the session description, 0 for a channel without end-to-end encryption.
    version: Option<u16>,
    session: Option<Guarded>,
    external_sender: Option<Vec<u8>>,
    /// Binary messages that came before the session description.
    queued: Vec<Vec<u8>>,
    /// Transitions that were announced, and the version they lead to.
    pending: HashMap<u16, u16>,
    last_transition: u16,
    /// A key package was sent, and there is no welcome or commit yet.
    joining: bool,
    /// Proposals came, and no commit for them yet.
    proposed: bool,
    /// Until when it may take to join, commit or execute what is under way.
    settled: Option<Instant>,
    failures: u32,
    recovered: Option<Instant>,
    /// When to recover, and which transition failed.
    recovery: Option<(Instant, u16)>,
    /// Plaintext is taken; until when, if nothing else ends it.
    #[allow(clippy::option_option, reason = "it may be open without an end")]
    passthrough: Option<Option<Instant>>,
}

impl Dave {
    pub(crate) fn new(user_id: u64, channel_id: u64) -> Self {
        Self {
            user_id,
            channel_id,
            users: Users::new(user_id),
            version: None,
            session: None,
            external_sender: None,
            queued: Vec::new(),
            pending: HashMap::new(),
            last_transition: 0,
            joining: false,
            proposed: false,
            settled: None,
            failures: 0,
            recovered: None,
            recovery: None,
            passthrough: None,
        }
    }

    /// Whoever is in the channel, without us.
    pub(crate) fn users(&self) -> impl Iterator<Item = u64> {
        self.users.others()
    }

    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.users.size(), self.pending.len() + self.queued.len())
    }

    /// The version in force: 0 means none.
    pub(crate) fn version(&self) -> u16 {
        self.version.unwrap_or(0)
    }

    pub(crate) fn epoch(&self) -> Option<u64> {
        self.session.as_ref()?.epoch()
    }

    pub(crate) fn privacy_code(&self) -> Option<&str> {
        self.session.as_ref()?.privacy_code()
    }

    /// Whether frames may be sent: there is a key, or the channel is not end-to-end encrypted.
    pub(crate) fn can_send(&self) -> bool {
        match self.version {
            None => false,
            Some(0) => true,
            Some(_) => self.session.as_ref().is_some_and(Guarded::can_encrypt),
        }
    }

    pub(crate) fn connected(&mut self, user: u64) -> bool {
        self.users.connect(user)
    }

    pub(crate) fn disconnected(&mut self, user: u64, now: Instant) -> bool {
        self.users.disconnect(user, now)
    }

    /// The session description (4).
    pub(crate) fn start(&mut self, version: u16, now: Instant, steps: &mut Vec<Step>) {
        if version > VERSION {
            steps.push(Step::Unsupported(version));
            return;
        }
        self.version = Some(version);
        if version > 0 {
            self.renew(now, steps);
        } else {
            self.passthrough = Some(None);
        }
        for message in std::mem::take(&mut self.queued) {
            if let Ok((binary, _)) = Binary::parse(&message) {
                self.binary(binary, now, steps);
            }
        }
        steps.push(Step::Changed);
    }

    /// A binary message. Before the session description it is kept for later.
    pub(crate) fn receive(&mut self, message: &[u8], now: Instant, steps: &mut Vec<Step>) {
        if self.version.is_none() {
            if self.queued.len() < MAX_QUEUED {
                self.queued.push(message.to_vec());
            }
        } else if let Ok((binary, _)) = Binary::parse(message) {
            self.binary(binary, now, steps);
        }
    }

    fn binary(&mut self, binary: Binary<'_>, now: Instant, steps: &mut Vec<Step>) {
        match binary {
            Binary::ExternalSender(sender) => self.external_sender(sender, now, steps),
            Binary::Proposals { revoke, proposals } => {
                self.proposals(revoke, proposals, now, steps);
            }
            Binary::Commit { transition, commit } => self.commit(transition, commit, now, steps),
            Binary::Welcome {
                transition,
                welcome,
            } => self.welcome(transition, welcome, now, steps),
            Binary::Other => {}
        }
    }

    fn external_sender(&mut self, sender: &[u8], now: Instant, steps: &mut Vec<Step>) {
        self.external_sender = Some(sender.to_vec());
        let Some(session) = &mut self.session else {
            return;
        };
        match session.call(|dave| dave.set_external_sender(sender)) {
            Some(Ok(()) | Err(SetExternalSenderError::AlreadyInGroup)) => {}
            Some(Err(error)) => tracing::warn!(%error, "the external sender was not taken"),
            None => self.panicked(now, steps),
        }
    }

    fn proposals(&mut self, revoke: bool, proposals: &[u8], now: Instant, steps: &mut Vec<Step>) {
        let kind = if revoke { REVOKE } else { APPEND };
        let expected = self.users.connected();
        let Some(session) = &mut self.session else {
            return;
        };
        match session.call(|dave| dave.process_proposals(kind, proposals, Some(&expected))) {
            Some(Ok(Some(answer))) => {
                self.proposed = true;
                self.settled = Some(now + SETTLED);
                let welcome = answer.welcome.as_deref();
                steps.push(Step::Binary(message::commit_welcome(
                    &answer.commit,
                    welcome,
                )));
            }
            Some(Ok(None)) => self.proposed = false,
            // Others commit without it, or Discord asks anew; what we then cannot follow leads to a recovery.
            Some(Err(error)) => tracing::debug!(%error, "proposals were not taken"),
            None => self.panicked(now, steps),
        }
    }

    fn commit(&mut self, transition: u16, commit: &[u8], now: Instant, steps: &mut Vec<Step>) {
        let Some(session) = &mut self.session else {
            return;
        };
        match session.call(|dave| dave.process_commit(commit)) {
            Some(Ok(true)) => self.joined(transition, now, steps),
            // The beginning of a group that will welcome us, or already has with this very transition.
            Some(Ok(false) | Err(ProcessCommitError::CommitBeforeWelcome)) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, transition, "a commit could not be followed");
                self.recover(transition, now, steps);
            }
            None => self.panicked(now, steps),
        }
    }

    fn welcome(&mut self, transition: u16, welcome: &[u8], now: Instant, steps: &mut Vec<Step>) {
        let recognised = self.users.recognised(now);
        let Some(session) = &mut self.session else {
            return;
        };
        match session.call(|dave| dave.process_welcome(welcome, Some(&recognised))) {
            Some(Ok(())) => self.joined(transition, now, steps),
            Some(Err(error)) => {
                tracing::warn!(%error, transition, "a welcome could not be followed");
                self.recover(transition, now, steps);
            }
            None => self.panicked(now, steps),
        }
    }

    /// The group moved on, and we with it.
    fn joined(&mut self, transition: u16, now: Instant, steps: &mut Vec<Step>) {
        self.joining = false;
        self.proposed = false;
        self.recovery = None;
        self.failures = 0;
        self.prepare(transition, VERSION, now, steps);
    }

    /// DAVE Prepare Transition (21).
    pub(crate) fn prepare(
        &mut self,
        transition: u16,
        version: u16,
        now: Instant,
        steps: &mut Vec<Step>,
    ) {
        if version > VERSION {
            steps.push(Step::Unsupported(version));
            return;
        }
        self.last_transition = transition;
        self.settled = Some(now + SETTLED);
        if version == 0 {
            self.open_passthrough(now + RECOVERY_PAUSE);
        }
        if let Some(session) = &mut self.session
            && let Some(Err(error)) =
                session.call(|dave| dave.prepare_transition(transition, version))
        {
            tracing::warn!(%error, transition, "a transition was not prepared");
        }
        if transition == 0 {
            self.in_force(version);
        } else {
            self.pending.insert(transition, version);
            let ready = Outgoing::TransitionReady {
                transition_id: transition,
            };
            steps.push(Step::Text(ready.to_json()));
        }
        steps.push(Step::Changed);
    }

    /// DAVE Execute Transition (22).
    pub(crate) fn execute(&mut self, transition: u16, steps: &mut Vec<Step>) {
        let Some(version) = self.pending.remove(&transition) else {
            tracing::debug!(transition, "a transition that was not announced");
            return;
        };
        if let Some(session) = &mut self.session {
            // davey forgets transitions when the group is made anew. Transition 0 is one that is executed at once.
            let done = session.call(|dave| match dave.execute_transition(transition) {
                Ok(false) => dave.prepare_transition(0, version),
                other => other.map(|_| ()),
            });
            if let Some(Err(error)) = done {
                tracing::warn!(%error, transition, "a transition was not executed");
            }
        }
        self.in_force(version);
        steps.push(Step::Changed);
    }

    fn in_force(&mut self, version: u16) {
        self.version = Some(version);
        if version > 0 {
            self.close_passthrough();
        } else if let Some(until) = &mut self.passthrough {
            *until = None;
        }
    }

    /// Others may send plaintext before the transition is executed here. If it never is, that ends.
    fn open_passthrough(&mut self, until: Instant) {
        self.passthrough = Some(Some(until).filter(|_| self.version != Some(0)));
        if let Some(session) = &mut self.session {
            session.passthrough(true, None);
        }
    }

    fn close_passthrough(&mut self) {
        if self.passthrough.take().is_some()
            && let Some(session) = &mut self.session
        {
            // Not (true, n): that takes plaintext for ever.
            session.passthrough(false, Some(PASSTHROUGH));
        }
    }

    /// DAVE Prepare Epoch (24). At epoch 1 there is a new group; it may come at any time, and repeatedly.
    pub(crate) fn prepare_epoch(
        &mut self,
        epoch: u64,
        version: u16,
        now: Instant,
        steps: &mut Vec<Step>,
    ) {
        if version > VERSION {
            steps.push(Step::Unsupported(version));
        } else if epoch == 1 && version > 0 {
            self.renew(now, steps);
            steps.push(Step::Changed);
        }
    }

    /// Leaves the group for a new one, with a new key package. What was the key to send with stays until the next transition.
    fn renew(&mut self, now: Instant, steps: &mut Vec<Step>) {
        self.joining = true;
        self.settled = Some(now + SETTLED);
        self.proposed = false;
        self.failures = 0;
        self.recovery = None;
        let package = self.renewed().and_then(Guarded::key_package);
        steps.push(match package {
            Ok(package) => Step::Binary(message::key_package(&package)),
            Err(error) => Step::Broken(Cause::new(error)),
        });
    }

    /// A session that is in no group.
    fn renewed(&mut self) -> Result<&mut Guarded, DaveError> {
        if let Some(session) = &mut self.session {
            session.renew(self.user_id, self.channel_id)?;
        }
        match &mut self.session {
            Some(session) => Ok(session),
            none => {
                let mut session = Guarded::new(self.user_id, self.channel_id)?;
                session.passthrough(self.passthrough.is_some(), Some(0));
                if let Some(sender) = &self.external_sender
                    && let Some(Err(error)) = session.call(|dave| dave.set_external_sender(sender))
                {
                    tracing::warn!(%error, "the external sender was not taken");
                }
                Ok(none.insert(session))
            }
        }
    }

    /// Tells that a commit or welcome was of no use, and begins anew; later, if it was so lately.
    fn recover(&mut self, transition: u16, now: Instant, steps: &mut Vec<Step>) {
        let earliest = self.next_recovery(now);
        if now < earliest {
            self.recovery.get_or_insert((earliest, transition)).1 = transition;
            return;
        }
        self.recovered = Some(now);
        let invalid = Outgoing::InvalidCommitWelcome {
            transition_id: transition,
        };
        steps.push(Step::Text(invalid.to_json()));
        self.renew(now, steps);
        steps.push(Step::Changed);
    }

    fn next_recovery(&self, now: Instant) -> Instant {
        let earliest = self.recovered.map(|last| last + RECOVERY_PAUSE);
        earliest.map_or(now, |earliest| earliest.max(now))
    }

    /// davey panicked over a message. What it holds is not to be trusted any more.
    fn panicked(&mut self, now: Instant, steps: &mut Vec<Step>) {
        self.session = None;
        self.recover(self.last_transition, now, steps);
    }

    /// When [`Dave::advance`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let recovery = self.recovery.map(|(at, _)| at);
        recovery.into_iter().chain(self.passthrough.flatten()).min()
    }

    pub(crate) fn advance(&mut self, now: Instant, steps: &mut Vec<Step>) {
        if let Some((_, transition)) = self.recovery.take_if(|(at, _)| now >= *at) {
            self.recover(transition, now, steps);
        }
        if self.passthrough.flatten().is_some_and(|until| now >= until) {
            self.close_passthrough();
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), expect(dead_code, reason = "fuzzing uses a part"))]
pub(crate) mod server;
#[cfg(test)]
mod tests;
