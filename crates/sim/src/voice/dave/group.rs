//! The DAVE side of a call: which version it has, who is in the group, and the transition that is under way.
//!
//! It does one thing at a time: while members prepare for a transition, what else there is to do waits for its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    VERSION,
    key_package::{KeyPackage, KeyPackageError},
    roster::{Accepted, Refusal, Roster},
    sender::SenderError,
    transition::Transition,
};
use crate::{id::Id, voice::op};

/// A message to a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Json(u8, Value),
    Binary(u8, Vec<u8>),
}

/// What happened, for the log.
pub type Event = (&'static str, Value);

/// What a group has been through.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    pub commits: u64,
    /// Commits that were not broadcast, by reason.
    pub commits_refused: BTreeMap<&'static str, u64>,
    pub transitions: u64,
    /// Op 31.
    pub invalid: u64,
}

/// DAVE in one channel's call.
pub struct Group {
    roster: Roster,
    /// The version of the call; 0: its frames are not encrypted end to end.
    version: u16,
    /// Who is in the call, and the newest version he has.
    present: BTreeMap<Id, u16>,
    /// Who was sent the external sender.
    knows_sender: BTreeSet<Id>,
    transition: Option<Transition>,
    last_transition: u16,
    /// Whose next commit or welcome is to be damaged.
    damaged: BTreeSet<Id>,
    counts: Counts,
    outgoing: Vec<(Id, Message)>,
    events: Vec<Event>,
}

impl Group {
    pub fn new(channel: Id) -> Result<Self, SenderError> {
        Ok(Self {
            roster: Roster::new(channel)?,
            version: 0,
            present: BTreeMap::new(),
            knows_sender: BTreeSet::new(),
            transition: None,
            last_transition: 0,
            damaged: BTreeSet::new(),
            counts: Counts::default(),
            outgoing: Vec::new(),
            events: Vec::new(),
        })
    }

    /// Somebody comes; answers the version that he is told.
    pub fn join(&mut self, user: Id, version: u16) -> u16 {
        let is_first = self.present.is_empty();
        self.present.insert(user, version.min(VERSION));
        if is_first {
            self.version = self.wanted_version();
        }
        self.wanted_version()
    }

    /// He has been told, and knows who else is there.
    pub fn enter(&mut self, user: Id, now: Instant) {
        if self.wanted_version() > 0 {
            self.introduce_sender(user);
        }
        self.step(now);
    }

    /// Somebody is gone.
    pub fn leave(&mut self, user: Id, now: Instant) {
        self.present.remove(&user);
        self.knows_sender.remove(&user);
        self.damaged.remove(&user);
        self.roster.mark_stale(user);
        self.ready_or_gone(user, now);
    }

    /// The version of the call.
    pub fn version(&self) -> u16 {
        self.version
    }

    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Op 26.
    pub fn key_package(
        &mut self,
        user: Id,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), KeyPackageError> {
        let package = KeyPackage::parse(user, bytes)?;
        // One that was under way as the call lost DAVE is of no use.
        if self.version > 0 {
            self.roster.add_key_package(user, package);
            self.step(now);
        }
        Ok(())
    }

    /// Op 28.
    pub fn commit(&mut self, user: Id, bytes: &[u8], now: Instant) -> Result<(), Refusal> {
        let accepted = self.roster.commit(user, bytes).inspect_err(|refusal| {
            *self
                .counts
                .commits_refused
                .entry(refusal.name())
                .or_default() += 1;
        })?;
        self.counts.commits += 1;
        self.announce(user, accepted, now);
        Ok(())
    }

    /// Op 23. `false`: there was no such transition.
    pub fn ready(&mut self, user: Id, transition: u64, now: Instant) -> bool {
        match &self.transition {
            Some(own) if u64::from(own.id) == transition => {
                let takes_part = own.members.contains(&user);
                self.ready_or_gone(user, now);
                takes_part
            }
            // It may be late.
            _ => (1..=u64::from(self.last_transition)).contains(&transition),
        }
    }

    /// Op 31.
    pub fn invalid(&mut self, user: Id, transition: u64, now: Instant) {
        self.counts.invalid += 1;
        self.events.push((
            "dave_invalid",
            json!({"user_id": user, "transition_id": transition}),
        ));
        self.roster.mark_stale(user);
        self.ready_or_gone(user, now);
    }

    /// Time passes.
    pub fn tick(&mut self, now: Instant, timeout: Duration) {
        self.execute_if_due(now, timeout);
    }

    /// A new group, so many times in a row: op 24.
    pub fn recreate(&mut self, times: u32) {
        if self.version == 0 {
            return;
        }
        self.transition = None;
        self.roster.reset();
        for _ in 0..times {
            self.prepare_epoch();
        }
    }

    /// Damages the next commit or welcome that a user is sent.
    pub fn damage(&mut self, user: Id) {
        self.damaged.insert(user);
    }

    /// What is to be sent, and what happened.
    pub fn take(&mut self) -> (Vec<(Id, Message)>, Vec<Event>) {
        (
            std::mem::take(&mut self.outgoing),
            std::mem::take(&mut self.events),
        )
    }

    /// What the control interface shows.
    pub fn show(&self) -> Value {
        let transition = self.transition.as_ref().map(|transition| {
            json!({
                "id": transition.id,
                "version": transition.version,
                "waiting": transition.waiting,
            })
        });
        let mut shown = json!(self.counts);
        shown["version"] = json!(self.version);
        shown["epoch"] = json!(self.roster.epoch());
        shown["members"] = self.roster.members().map(|user| json!(user)).collect();
        shown["pending"] = self.roster.waiting().map(|user| json!(user)).collect();
        shown["proposals"] = json!(self.roster.proposals());
        shown["transition"] = json!(transition);
        shown
    }

    /// The newest version that all have.
    fn wanted_version(&self) -> u16 {
        self.present.values().copied().min().unwrap_or(0)
    }

    /// Does what is next to do.
    fn step(&mut self, now: Instant) {
        if self.transition.is_some() || self.present.is_empty() {
            return;
        }
        match (self.version, self.wanted_version()) {
            (0, 0) => {}
            (_, 0) => self.downgrade(now),
            (0, version) => {
                self.version = version;
                self.roster.reset();
                self.prepare_epoch();
            }
            _ if self.roster.epoch() > 0 && self.present.len() == 1 => {
                // "Sole member reset": who is left alone keeps no group.
                self.roster.reset();
                self.prepare_epoch();
            }
            _ => self.propose(),
        }
    }

    fn downgrade(&mut self, now: Instant) {
        let members = self.knows_sender.clone();
        let id = self.next_transition();
        let data = json!({"transition_id": id, "protocol_version": 0});
        for &user in &members {
            self.send(user, op::PREPARE_TRANSITION, &data);
        }
        self.transition = Some(Transition::new(id, 0, members, now));
        self.execute_if_due(now, Duration::MAX);
    }

    /// Announces a new group to all.
    fn prepare_epoch(&mut self) {
        let users: Vec<Id> = self.present.keys().copied().collect();
        let epoch = json!({
            "transition_id": following(self.last_transition),
            "epoch": 1,
            "protocol_version": self.version,
        });
        let alone = json!({"transition_id": 0, "protocol_version": self.version});
        for &user in &users {
            self.introduce_sender(user);
            self.send(user, op::PREPARE_EPOCH, &epoch);
            if users.len() == 1 {
                self.send(user, op::PREPARE_TRANSITION, &alone);
            }
        }
        self.events.push((
            "dave_epoch",
            json!({"users": users, "version": self.version}),
        ));
    }

    fn propose(&mut self) {
        match self.roster.propose() {
            Ok(payloads) => {
                let messages = payloads
                    .into_iter()
                    .map(|(user, payload)| (user, Message::Binary(op::PROPOSALS, payload)));
                self.outgoing.extend(messages);
            }
            Err(error) => tracing::error!(%error, "no proposals"),
        }
    }

    fn announce(&mut self, committer: Id, accepted: Accepted, now: Instant) {
        let id = self.next_transition();
        let mut members = BTreeSet::new();
        let commits = accepted
            .stayed
            .into_iter()
            .map(|user| (user, op::ANNOUNCE_COMMIT, accepted.message.clone()));
        let welcomes = accepted
            .welcomes
            .into_iter()
            .map(|(user, welcome)| (user, op::WELCOME, welcome));
        for (user, op, message) in commits.chain(welcomes) {
            members.insert(user);
            let mut payload = [&id.to_be_bytes()[..], &message].concat();
            if self.damaged.remove(&user)
                && let Some(last) = payload.last_mut()
            {
                *last ^= 1;
            }
            self.outgoing.push((user, Message::Binary(op, payload)));
        }
        self.events.push((
            "dave_commit",
            json!({"user_id": committer, "transition_id": id, "epoch": self.roster.epoch(), "members": members}),
        ));
        // Who left after the proposals cannot get ready.
        let members = members
            .into_iter()
            .filter(|user| self.present.contains_key(user))
            .collect();
        self.transition = Some(Transition::new(id, self.version, members, now));
        self.execute_if_due(now, Duration::MAX);
    }

    fn ready_or_gone(&mut self, user: Id, now: Instant) {
        if let Some(transition) = &mut self.transition {
            transition.forget(user);
        }
        self.execute_if_due(now, Duration::MAX);
        self.step(now);
    }

    fn execute_if_due(&mut self, now: Instant, timeout: Duration) {
        let Some(transition) = self.transition.take_if(|own| own.is_due(now, timeout)) else {
            return;
        };
        for &user in &transition.members {
            if self.present.contains_key(&user) {
                let data = json!({"transition_id": transition.id});
                self.send(user, op::EXECUTE_TRANSITION, &data);
            }
        }
        if transition.version == 0 {
            self.version = 0;
            self.roster.reset();
        }
        self.counts.transitions += 1;
        self.events.push((
            "dave_transition",
            json!({
                "transition_id": transition.id,
                "version": transition.version,
                "epoch": self.roster.epoch(),
                "late": transition.waiting,
            }),
        ));
        self.step(now);
    }

    fn introduce_sender(&mut self, user: Id) {
        if self.knows_sender.insert(user) {
            let package = self.roster.external_sender().to_vec();
            self.outgoing
                .push((user, Message::Binary(op::EXTERNAL_SENDER, package)));
        }
    }

    fn send(&mut self, user: Id, op: u8, data: &Value) {
        self.outgoing.push((user, Message::Json(op, data.clone())));
    }

    fn next_transition(&mut self) -> u16 {
        self.last_transition = following(self.last_transition);
        self.last_transition
    }
}

/// The transition's id after this one. 0 is that of a change that needs no preparation.
fn following(transition: u16) -> u16 {
    transition.checked_add(1).unwrap_or(1)
}
