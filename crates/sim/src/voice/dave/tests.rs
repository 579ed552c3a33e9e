//! Groups with davey's sessions as their members.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroU16,
    time::{Duration, Instant},
};

use davey::{DaveSession, MediaType, ProposalsOperationType};
use serde_json::Value;

use super::{Group, Message};
use crate::{id::Id, voice::op};

const CHANNEL: Id = Id(1_300_000_000_000_000_206);
const TIMEOUT: Duration = Duration::from_secs(2);

/// A member, who does what DAVE tells him to.
struct Member {
    session: DaveSession,
    version: u16,
    executed: Vec<u64>,
}

/// A call.
struct Call {
    group: Group,
    members: BTreeMap<Id, Member>,
    now: Instant,
    /// Messages of these opcodes from clients are lost, so many times.
    lost: BTreeMap<u8, u32>,
    /// What clients have sent and the group has not read.
    sent: VecDeque<(Id, Message)>,
    events: Vec<&'static str>,
}

impl Call {
    fn new() -> Self {
        Self {
            group: Group::new(CHANNEL).unwrap(),
            members: BTreeMap::new(),
            now: Instant::now(),
            lost: BTreeMap::new(),
            sent: VecDeque::new(),
            events: Vec::new(),
        }
    }

    fn join(&mut self, user: u64, version: u16) -> u16 {
        let told = self.group.join(Id(user), version);
        let version = NonZeroU16::new(1).unwrap();
        let mut session = DaveSession::new(version, user, CHANNEL.0, None).unwrap();
        if told > 0 {
            let package = session.create_key_package().unwrap();
            self.sent
                .push_back((Id(user), Message::Binary(op::KEY_PACKAGE, package)));
        } else {
            session.set_passthrough_mode(true, None);
        }
        let member = Member {
            session,
            version: told,
            executed: Vec::new(),
        };
        self.members.insert(Id(user), member);
        self.group.enter(Id(user), self.now);
        self.pump();
        told
    }

    fn leave(&mut self, user: u64) {
        self.members.remove(&Id(user));
        self.group.leave(Id(user), self.now);
        self.pump();
    }

    /// Lets messages flow until there are none.
    fn pump(&mut self) {
        loop {
            let (messages, events) = self.group.take();
            self.events.extend(events.iter().map(|(kind, _)| *kind));
            let known: Vec<u64> = self.members.keys().map(|user| user.0).collect();
            for (user, message) in messages {
                if let Some(member) = self.members.get_mut(&user) {
                    let answers = member.hear(user, message, &known);
                    self.sent
                        .extend(answers.into_iter().map(|answer| (user, answer)));
                }
            }
            let Some((user, message)) = self.sent.pop_front() else {
                return;
            };
            self.read(user, message);
        }
    }

    fn read(&mut self, user: Id, message: Message) {
        let (Message::Json(op, _) | Message::Binary(op, _)) = &message;
        if let Some(times) = self.lost.get_mut(op)
            && *times > 0
        {
            *times -= 1;
            return;
        }
        let transition = |data: &Value| data["transition_id"].as_u64().unwrap();
        match message {
            Message::Binary(op::KEY_PACKAGE, bytes) => {
                self.group.key_package(user, &bytes, self.now).unwrap();
            }
            Message::Binary(op::COMMIT_WELCOME, bytes) => {
                if let Err(refusal) = self.group.commit(user, &bytes, self.now) {
                    assert!(refusal.is_bad_luck(), "{refusal}");
                }
            }
            Message::Json(op::TRANSITION_READY, data) => {
                assert!(self.group.ready(user, transition(&data), self.now));
            }
            Message::Json(op::INVALID_COMMIT_WELCOME, data) => {
                self.group.invalid(user, transition(&data), self.now);
            }
            other => panic!("{other:?}"),
        }
    }

    /// All who are there hear each other, and nobody else hears them; their privacy codes agree.
    fn assert_encrypted(&mut self) {
        let users: Vec<Id> = self.members.keys().copied().collect();
        let codes: BTreeSet<_> = self
            .members
            .values()
            .map(|member| member.session.voice_privacy_code().map(str::to_owned))
            .collect();
        assert_eq!(codes.len(), 1, "{codes:?}");
        assert!(codes.first().unwrap().is_some());
        for &speaker in &users {
            let frame = vec![speaker.0 as u8; 40];
            let session = &mut self.members.get_mut(&speaker).unwrap().session;
            assert!(session.can_encrypt());
            let sealed = session.encrypt_opus(&frame).unwrap().into_owned();
            assert_ne!(sealed, frame);
            for &listener in users.iter().filter(|&&user| user != speaker) {
                let session = &mut self.members.get_mut(&listener).unwrap().session;
                let heard = session.decrypt(speaker.0, MediaType::AUDIO, &sealed);
                assert_eq!(heard.unwrap(), frame, "{speaker} to {listener}");
            }
        }
        let shown = self.group.show();
        assert_eq!(shown["version"], 1);
        assert_eq!(shown["proposals"], 0);
        assert_eq!(shown["transition"], Value::Null);
        let mut members: Vec<u64> = shown["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap().parse().unwrap())
            .collect();
        members.sort_unstable();
        assert_eq!(members, users.iter().map(|user| user.0).collect::<Vec<_>>());
    }

    fn session(&mut self, user: u64) -> &mut DaveSession {
        &mut self.members.get_mut(&Id(user)).unwrap().session
    }
}

impl Member {
    fn hear(&mut self, user: Id, message: Message, known: &[u64]) -> Vec<Message> {
        match message {
            Message::Binary(op::EXTERNAL_SENDER, payload) => {
                self.session.set_external_sender(&payload).unwrap();
                Vec::new()
            }
            Message::Binary(op::PROPOSALS, payload) => {
                let kind = match payload[0] {
                    0 => ProposalsOperationType::APPEND,
                    _ => ProposalsOperationType::REVOKE,
                };
                let made = self
                    .session
                    .process_proposals(kind, &payload[1..], Some(known))
                    .unwrap();
                let commit =
                    made.map(|made| [made.commit, made.welcome.unwrap_or_default()].concat());
                commit
                    .map(|commit| Message::Binary(op::COMMIT_WELCOME, commit))
                    .into_iter()
                    .collect()
            }
            Message::Binary(op::ANNOUNCE_COMMIT, payload) => {
                let (transition, commit) = split(&payload);
                match self.session.process_commit(commit) {
                    Ok(true) => self.prepare(transition, 1),
                    Ok(false) => Vec::new(),
                    Err(_) => self.recover(user, transition),
                }
            }
            Message::Binary(op::WELCOME, payload) => {
                let (transition, welcome) = split(&payload);
                match self.session.process_welcome(welcome, Some(known)) {
                    Ok(()) => self.prepare(transition, 1),
                    Err(_) => self.recover(user, transition),
                }
            }
            Message::Json(op::PREPARE_TRANSITION, data) => {
                let version = data["protocol_version"].as_u64().unwrap() as u16;
                if version == 0 {
                    self.session.set_passthrough_mode(true, None);
                }
                let transition = data["transition_id"].as_u64().unwrap() as u16;
                self.prepare(transition, version)
            }
            Message::Json(op::PREPARE_EPOCH, data) => {
                assert_eq!(
                    (&data["epoch"], &data["protocol_version"]),
                    (&1.into(), &1.into())
                );
                vec![self.reinit(user)]
            }
            Message::Json(op::EXECUTE_TRANSITION, data) => {
                let transition = data["transition_id"].as_u64().unwrap();
                self.session.execute_transition(transition as u16).unwrap();
                self.session
                    .set_passthrough_mode(self.version == 0, Some(10));
                self.executed.push(transition);
                Vec::new()
            }
            other => panic!("{other:?}"),
        }
    }

    fn prepare(&mut self, transition: u16, version: u16) -> Vec<Message> {
        self.session
            .prepare_transition(transition, version)
            .unwrap();
        self.version = version;
        if transition == 0 {
            return Vec::new();
        }
        vec![Message::Json(
            op::TRANSITION_READY,
            serde_json::json!({"transition_id": transition}),
        )]
    }

    fn recover(&mut self, user: Id, transition: u16) -> Vec<Message> {
        let flag = Message::Json(
            op::INVALID_COMMIT_WELCOME,
            serde_json::json!({"transition_id": transition}),
        );
        vec![flag, self.reinit(user)]
    }

    fn reinit(&mut self, user: Id) -> Message {
        self.session
            .reinit(NonZeroU16::new(1).unwrap(), user.0, CHANNEL.0, None)
            .unwrap();
        Message::Binary(op::KEY_PACKAGE, self.session.create_key_package().unwrap())
    }
}

fn split(payload: &[u8]) -> (u16, &[u8]) {
    let (id, message) = payload.split_first_chunk::<2>().unwrap();
    (u16::from_be_bytes(*id), message)
}

#[test]
fn members_come_and_go() {
    let mut call = Call::new();
    assert_eq!(call.join(1, 1), 1);
    assert!(!call.session(1).can_encrypt());
    call.join(2, 1);
    call.assert_encrypted();
    call.join(3, 1);
    call.assert_encrypted();
    let mut gone = call.members.remove(&Id(2)).unwrap();
    call.leave(2);
    call.assert_encrypted();
    let sealed = call.session(1).encrypt_opus(&[5; 30]).unwrap().into_owned();
    assert!(gone.session.decrypt(1, MediaType::AUDIO, &sealed).is_err());
    // He comes back, to the place that he left empty.
    call.join(2, 1);
    call.assert_encrypted();
    assert_eq!(call.group.show()["epoch"], 4);
    assert_eq!(call.group.show()["transitions"], 4);
}

#[test]
fn who_is_left_alone_keeps_no_group() {
    let mut call = Call::new();
    call.join(1, 1);
    call.join(2, 1);
    call.leave(1);
    assert_eq!(call.group.show()["epoch"], 0);
    assert!(!call.session(2).can_encrypt());
    call.join(3, 1);
    call.assert_encrypted();
    call.leave(2);
    call.leave(3);
    assert!(call.group.is_empty());
}

#[test]
fn one_without_dave_makes_the_call_plain() {
    let mut call = Call::new();
    call.join(1, 1);
    call.join(2, 1);
    assert_eq!(call.join(3, 0), 0);
    assert_eq!(call.group.version(), 0);
    assert!([1, 2].iter().all(|&user| !call.session(user).can_encrypt()));
    assert_eq!(call.join(4, 1), 0);
    call.leave(3);
    call.assert_encrypted();
    // Alone with one who has no DAVE, and then alone.
    assert_eq!(call.join(5, 0), 0);
    call.leave(1);
    call.leave(2);
    call.leave(4);
    assert_eq!(call.join(6, 1), 0);
    call.leave(5);
    assert_eq!(call.group.version(), 1);
    call.join(7, 1);
    call.assert_encrypted();
}

#[test]
fn who_cannot_follow_is_added_anew() {
    for damaged in [1, 2, 3, 4] {
        let mut call = Call::new();
        for user in [1, 2, 3] {
            call.join(user, 1);
        }
        let before = call.group.show()["epoch"].as_u64().unwrap();
        call.group.damage(Id(damaged));
        call.join(4, 1);
        call.assert_encrypted();
        // The damage to a commit does not reach him who made it, if he is the one.
        let shown = call.group.show();
        assert_eq!(shown["invalid"], 1, "{damaged}");
        assert_eq!(shown["epoch"], before + 2);
        assert!(call.events.contains(&"dave_invalid"));
    }
}

#[test]
fn when_nobody_can_follow_there_is_a_new_group() {
    let mut call = Call::new();
    call.join(1, 1);
    for user in [1, 2] {
        call.group.damage(Id(user));
    }
    // Damage to who is not there yet is not remembered.
    call.group.damage(Id(2));
    call.join(2, 1);
    call.assert_encrypted();
}

#[test]
fn a_storm_of_new_epochs_ends_well() {
    let mut call = Call::new();
    for user in [1, 2, 3] {
        call.join(user, 1);
    }
    call.group.recreate(20);
    call.pump();
    call.assert_encrypted();
    assert_eq!(call.group.show()["epoch"], 1);
}

#[test]
fn another_commit_wins_when_the_first_is_lost() {
    let mut call = Call::new();
    for user in [1, 2, 3] {
        call.join(user, 1);
    }
    call.lost.insert(op::COMMIT_WELCOME, 2);
    call.join(4, 1);
    call.assert_encrypted();
    // Whoever loses the race is only late.
    call.join(5, 1);
    assert!(call.group.show()["commits_refused"]["late"].as_u64() > Some(0));
    call.assert_encrypted();
}

#[test]
fn who_is_not_ready_is_not_waited_for() {
    let mut call = Call::new();
    call.join(1, 1);
    call.lost.insert(op::TRANSITION_READY, 1);
    call.join(2, 1);
    assert!(!call.session(1).can_encrypt());
    assert_ne!(call.group.show()["transition"], Value::Null);
    // What happens meanwhile waits.
    call.join(3, 1);
    assert_eq!(call.group.show()["epoch"], 1);
    call.group.tick(call.now + TIMEOUT / 2, TIMEOUT);
    call.pump();
    assert!(!call.session(1).can_encrypt());
    call.group.tick(call.now + TIMEOUT, TIMEOUT);
    call.pump();
    call.assert_encrypted();
}

#[test]
fn a_proposal_is_revoked_for_who_leaves_before_the_commit() {
    let mut call = Call::new();
    for user in [1, 2] {
        call.join(user, 1);
    }
    call.lost.insert(op::COMMIT_WELCOME, 2);
    call.join(3, 1);
    assert_eq!(call.group.show()["proposals"], 1);
    call.leave(3);
    call.assert_encrypted();
    call.join(4, 1);
    call.assert_encrypted();
}

#[test]
fn bytes_that_are_no_messages_are_refused() {
    let mut call = Call::new();
    for user in [1, 2] {
        call.join(user, 1);
    }
    let mut session = DaveSession::new(NonZeroU16::new(1).unwrap(), 3, CHANNEL.0, None).unwrap();
    let package = session.create_key_package().unwrap();
    let now = call.now;
    assert!(
        call.group.key_package(Id(4), &package, now).is_err(),
        "not his own"
    );
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..300 {
        let mut damaged = package.clone();
        let place = random.usize(..damaged.len());
        damaged[place] ^= 1 << random.u8(..8);
        assert!(
            call.group.key_package(Id(3), &damaged, now).is_err(),
            "{place}"
        );
    }
    for length in 0..package.len() {
        assert!(
            call.group
                .key_package(Id(3), &package[..length], now)
                .is_err()
        );
    }
    // A commit is signed by who the voice gateway cannot know to be himself; it is judged by what it says.
    call.lost.insert(op::COMMIT_WELCOME, 2);
    call.join(3, 1);
    for _ in 0..2_000 {
        let mut bytes = vec![0; random.usize(..400)];
        random.fill(&mut bytes);
        bytes.splice(..bytes.len().min(4), [0, 1, 0, 1]);
        assert!(call.group.commit(Id(1), &bytes, now).is_err());
    }
    call.lost.clear();
    call.leave(3);
    call.assert_encrypted();
}

/// Many come and go, in an order that is another for each seed.
#[test]
fn many_come_and_go() {
    for seed in 0..2 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut call = Call::new();
        let mut next = 1;
        for _ in 0..25 {
            let there: Vec<u64> = call.members.keys().map(|user| user.0).collect();
            match random.u32(..10) {
                0..=4 => {
                    call.join(next, 1);
                    next += 1;
                }
                5..=7 if !there.is_empty() => call.leave(there[random.usize(..there.len())]),
                8 if !there.is_empty() => {
                    call.group.damage(Id(there[random.usize(..there.len())]));
                }
                9 => {
                    call.join(next, 0);
                    call.leave(next);
                    next += 1;
                }
                _ => {}
            }
            call.group.tick(call.now + TIMEOUT, TIMEOUT);
            call.pump();
            if call.members.len() > 1 {
                call.assert_encrypted();
            }
        }
    }
}
