//! The rate limiter: decides when each call may send. It does no IO and reads no clock: time is an argument, so that
//! its tests run through minutes in no time. [`crate::gate`] connects it to tasks and timers.
//!
//! Source: Discord's documentation, "Rate Limits". A bucket is kept for every [`Key`]; it is learned from every
//! response, and until the first one has come its requests go one at a time. Beside the buckets there is the bot's
//! limit on all requests ([`global`]), the pause that an edge server asks for ([`pause`]) and the count of rejected
//! requests ([`breaker`]).

mod breaker;
mod bucket;
mod call;
mod global;
#[cfg(test)]
mod model;
mod pause;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(
    clippy::indexing_slicing,
    reason = "a fuzz target that panics has found something"
)]
pub mod script;
mod status;
#[cfg(test)]
mod tests;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use breaker::Breaker;
use bucket::{Availability, Bucket};
use call::{Call, Mark, Place, State};
use global::Global;
use pause::Pause;
use token::Token;

pub(crate) use call::{Outcome, Ticket, Verdict};
pub use status::Status;
pub(crate) use token::PROBE;

use crate::rate_limit::{Limited, Scope};
use crate::request::Priority;
use crate::target::{Account, Key};

/// The most calls that may wait; beyond it something is wrong, and more waiting would only hide it.
pub(crate) const MAX_QUEUED: usize = 20_000;

/// Buckets kept before the idle ones are looked for.
const SWEEP_AT: usize = 1024;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// Somebody else keeps the limits (a shared proxy): only 429s are heeded.
    deferring: bool,
    buckets: HashMap<Key, Bucket>,
    calls: HashMap<Ticket, Call>,
    /// Heads of buckets that may go, in the bot's name and in others'.
    ready: BTreeSet<Place>,
    ready_exempt: BTreeSet<Place>,
    timers: BTreeSet<(Instant, Place)>,
    verdicts: Vec<(Ticket, Verdict)>,
    global: Global,
    pause: Pause,
    breaker: Breaker,
    token: Token,
    queued: usize,
    in_flight: usize,
    next_ticket: u64,
    sweep_at: usize,
}

impl Limiter {
    /// `deferring`: another limiter stands between this one and Discord. `max_rejected`: see [`breaker`].
    pub(crate) fn new(deferring: bool, max_rejected: u32) -> Self {
        Self {
            deferring,
            buckets: HashMap::new(),
            calls: HashMap::new(),
            ready: BTreeSet::new(),
            ready_exempt: BTreeSet::new(),
            timers: BTreeSet::new(),
            verdicts: Vec::new(),
            global: Global::new(deferring),
            pause: Pause::default(),
            breaker: Breaker::new(max_rejected),
            token: Token::default(),
            queued: 0,
            in_flight: 0,
            next_ticket: 0,
            sweep_at: SWEEP_AT,
        }
    }

    /// A call that will want to send; `None` if there are too many.
    pub(crate) fn enter(&mut self, key: Key, priority: Priority) -> Option<Ticket> {
        if self.calls.len() >= MAX_QUEUED {
            return None;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.calls.insert(
            ticket,
            Call {
                key,
                priority,
                state: State::Idle,
            },
        );
        Some(ticket)
    }

    /// The call wants to send now. Its verdict is among those of a later [`Self::advance`].
    pub(crate) fn queue(&mut self, ticket: Ticket, now: Instant) {
        let Some(call) = self.calls.get_mut(&ticket) else {
            return;
        };
        let account = call.key.account;
        if let Some(refusal) = refusal(&mut self.token, &mut self.breaker, account, ticket, now) {
            self.verdicts.push((ticket, refusal));
            return;
        }
        call.state = State::Queued;
        self.queued += 1;
        let place = (call.priority, ticket);
        let key = call.key.clone();
        self.bucket(&key).queue.insert(place);
        self.place(&key, now);
    }

    /// An attempt of this call has ended.
    pub(crate) fn done(&mut self, ticket: Ticket, outcome: Outcome<'_>, now: Instant) {
        let Some(call) = self.calls.get_mut(&ticket) else {
            return;
        };
        if call.state != State::InFlight {
            return;
        }
        call.state = State::Idle;
        self.in_flight -= 1;
        let key = call.key.clone();
        if key.account == Account::Bot {
            self.global.release(now);
        }
        let deferring = self.deferring;
        let bucket = self.bucket(&key);
        bucket.in_flight = bucket.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Lost => {
                bucket.lost(now);
                self.pause.ended(ticket, false, now);
                self.token.ended(ticket, false);
            }
            Outcome::Answered {
                status,
                limits,
                limited,
                discords,
            } => {
                if !deferring {
                    bucket.observe(status, limits, now);
                }
                self.pause.ended(ticket, true, now);
                if status == 401 && discords && key.account == Account::Bot {
                    if !self.token.is_rejected() {
                        tracing::error!("Discord rejected the bot token (401)");
                    }
                    self.token.rejected(now);
                } else {
                    self.token.ended(ticket, discords);
                }
                self.heed(&key, status, limited, now);
            }
        }
        self.place(&key, now);
    }

    /// The call has ended, or was dropped.
    pub(crate) fn leave(&mut self, ticket: Ticket, now: Instant) {
        self.done(ticket, Outcome::Lost, now);
        self.token.ended(ticket, false);
        let Some(call) = self.calls.remove(&ticket) else {
            return;
        };
        if call.state == State::Queued {
            self.queued -= 1;
            if let Some(bucket) = self.buckets.get_mut(&call.key) {
                bucket.queue.remove(&(call.priority, ticket));
            }
            self.place(&call.key, now);
        }
    }

    /// Lets go what may go at `now`. Returns the verdicts since the last time, and when to call again at the latest.
    pub(crate) fn advance(&mut self, now: Instant) -> (Vec<(Ticket, Verdict)>, Option<Instant>) {
        while let Some((at, place)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, place));
            if let Some(key) = self.calls.get(&place.1).map(|call| call.key.clone()) {
                self.place(&key, now);
            }
        }
        while self.pause.admits(now) {
            let exempt = self.ready_exempt.first().copied();
            let next = exempt.or_else(|| {
                self.ready
                    .first()
                    .copied()
                    .filter(|place| self.global.take(place.0, now))
            });
            let Some(place) = next else { break };
            self.grant(place, now);
        }
        if self.buckets.len() > self.sweep_at {
            self.buckets.retain(|_, bucket| !bucket.is_idle(now));
            self.sweep_at = SWEEP_AT.max(self.buckets.len() * 2);
        }
        (std::mem::take(&mut self.verdicts), self.wake_at(now))
    }

    /// Until when this call certainly cannot send, and whose limit that is.
    pub(crate) fn held_until(&self, ticket: Ticket, now: Instant) -> Option<(Instant, Scope)> {
        let call = self.calls.get(&ticket)?;
        let bucket = self
            .buckets
            .get(&call.key)
            .and_then(|bucket| bucket.held_until(now));
        let global = self
            .global
            .paused(now)
            .filter(|_| call.key.account == Account::Bot);
        let holds = [
            bucket,
            global.map(|until| (until, Scope::Global)),
            self.pause.until(now).map(|until| (until, Scope::Address)),
        ];
        holds.into_iter().flatten().max_by_key(|(until, _)| *until)
    }

    /// The state at `now`.
    pub(crate) fn status(&mut self, now: Instant) -> Status {
        let until = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(now));
        Status {
            unauthorized: self.token.is_rejected(),
            breaker_open_for: until(self.breaker.open_until(now)),
            paused_for: until(self.global.paused(now).max(self.pause.until(now))),
            rejected: self.breaker.rejected(now),
            queued: self.queued,
            in_flight: self.in_flight,
            buckets: self.buckets.len(),
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    fn global_in_flight(&self) -> usize {
        self.global.in_flight()
    }

    fn bucket(&mut self, key: &Key) -> &mut Bucket {
        self.buckets.entry(key.clone()).or_insert_with(|| {
            if self.deferring {
                Bucket::unlimited()
            } else {
                Bucket::default()
            }
        })
    }

    /// Puts a bucket where its head's chances say; to be called whenever they may have changed.
    fn place(&mut self, key: &Key, now: Instant) {
        let Some(bucket) = self.buckets.get_mut(key) else {
            return;
        };
        let ready = match key.account {
            Account::Bot => &mut self.ready,
            Account::Other => &mut self.ready_exempt,
        };
        match bucket.mark.take() {
            Some(Mark::Ready(place)) => ready.remove(&place),
            Some(Mark::At(at, place)) => self.timers.remove(&(at, place)),
            None => false,
        };
        let Some(head) = bucket.queue.first().copied() else {
            return;
        };
        bucket.mark = match bucket.availability(now) {
            Availability::Now => ready.insert(head).then_some(Mark::Ready(head)),
            Availability::At(at) => self.timers.insert((at, head)).then_some(Mark::At(at, head)),
            Availability::AfterResponse => None,
        };
    }

    fn grant(&mut self, (priority, ticket): Place, now: Instant) {
        let Some(call) = self.calls.get_mut(&ticket) else {
            return;
        };
        call.state = State::InFlight;
        self.queued -= 1;
        self.in_flight += 1;
        let key = call.key.clone();
        if let Some(bucket) = self.buckets.get_mut(&key) {
            bucket.queue.remove(&(priority, ticket));
            bucket.granted(now);
        }
        self.pause.granted(ticket);
        self.verdicts.push((ticket, Verdict::Go));
        self.place(&key, now);
    }

    /// Draws the consequences of an answer that tells us off.
    fn heed(&mut self, key: &Key, status: u16, limited: Option<Limited>, now: Instant) {
        let rejected = match limited {
            Some(limited) => limited.scope != Scope::Shared,
            None => matches!(status, 401 | 403),
        };
        if rejected {
            self.breaker.record(now);
        }
        if let Some(Limited { retry_after, scope }) = limited {
            let until = now + retry_after;
            match scope {
                Scope::Global if key.account == Account::Bot => self.global.pause(until),
                Scope::Address => self.pause.begin(until),
                // The call itself waits.
                Scope::Message => {}
                _ => {
                    if let Some(bucket) = self.buckets.get_mut(key) {
                        bucket.block(until, scope);
                    }
                }
            }
        }
        if rejected {
            self.refuse_queued(now);
        }
    }

    /// Sends home those who wait in vain.
    fn refuse_queued(&mut self, now: Instant) {
        if !self.token.is_rejected() && self.breaker.open_until(now).is_none() {
            return;
        }
        let mut emptied = Vec::new();
        for (ticket, call) in self
            .calls
            .iter_mut()
            .filter(|(_, call)| call.state == State::Queued)
        {
            let account = call.key.account;
            let Some(refusal) = refusal(&mut self.token, &mut self.breaker, account, *ticket, now)
            else {
                continue;
            };
            call.state = State::Idle;
            self.queued -= 1;
            self.verdicts.push((*ticket, refusal));
            if let Some(bucket) = self.buckets.get_mut(&call.key) {
                bucket.queue.remove(&(call.priority, *ticket));
            }
            emptied.push(call.key.clone());
        }
        for key in emptied {
            self.place(&key, now);
        }
    }

    /// When time alone may let something go; it is later than `now`. While the probe of a pause is out, its answer does.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let ready = if self.pause.admits(now) {
            self.global.next(now).filter(|_| !self.ready.is_empty())
        } else {
            self.pause
                .until(now)
                .filter(|_| !self.ready.is_empty() || !self.ready_exempt.is_empty())
        };
        timer.into_iter().chain(ready).min()
    }
}

/// Why a call in this name must not be sent, if so.
fn refusal(
    token: &mut Token,
    breaker: &mut Breaker,
    account: Account,
    ticket: Ticket,
    now: Instant,
) -> Option<Verdict> {
    if let Some(until) = breaker.open_until(now) {
        return Some(Verdict::Breaker(until.saturating_duration_since(now)));
    }
    match account {
        Account::Bot => token.admit(ticket, now).err().map(Verdict::Unauthorized),
        Account::Other => None,
    }
}
