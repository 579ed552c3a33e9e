mod video;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::server::{Answer, DaveServer, Message, deliver};
use super::*;
use crate::media::OPUS_SILENCE;

const CHANNEL: u64 = 42;
const FRAME: [u8; 60] = [0x55; 60];

/// A server and those in it, without a network between.
struct Room {
    server: DaveServer,
    members: BTreeMap<u64, Dave>,
    now: Instant,
    /// Whose messages about the group are kept back.
    deaf: Option<u64>,
    kept: Vec<Message>,
    /// Recoveries: by whom and of which transition.
    invalid: Vec<(u64, u16)>,
    key_packages: u32,
    changes: u32,
}

impl Room {
    fn new(users: &[u64]) -> Self {
        // What is logged is shown when a test fails.
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_test_writer()
            .try_init();
        let mut room = Self {
            server: DaveServer::new(CHANNEL),
            members: BTreeMap::new(),
            now: Instant::now(),
            deaf: None,
            kept: Vec::new(),
            invalid: Vec::new(),
            key_packages: 0,
            changes: 0,
        };
        for user in users {
            room.join(*user);
        }
        room
    }

    fn join(&mut self, user: u64) {
        self.members.insert(user, Dave::new(user, CHANNEL));
        self.server.join(user);
        self.run();
    }

    fn leave(&mut self, user: u64) {
        self.members.remove(&user);
        self.server.leave(user);
        self.run();
    }

    /// Delivers until nobody says anything any more.
    fn run(&mut self) {
        loop {
            let out = std::mem::take(&mut self.server.out);
            if out.is_empty() {
                return;
            }
            for (user, message) in out {
                if self.deaf == Some(user) && !matches!(message, Message::Connected(_)) {
                    self.kept.push(message);
                } else {
                    self.deliver(user, message);
                }
            }
        }
    }

    fn deliver(&mut self, user: u64, message: Message) {
        let Some(dave) = self.members.get_mut(&user) else {
            return;
        };
        let mut steps = Vec::new();
        deliver(dave, message, self.now, &mut steps);
        self.answer(user, steps);
    }

    fn answer(&mut self, user: u64, steps: Vec<Step>) {
        for step in steps {
            let answer = match step {
                Step::Text(text) => Answer::text(&text).unwrap(),
                Step::Binary(binary) => Answer::binary(&binary),
                Step::Changed => {
                    self.changes += 1;
                    continue;
                }
                step => panic!("{step:?}"),
            };
            match &answer {
                Answer::Invalid(transition) => self.invalid.push((user, *transition)),
                Answer::KeyPackage(_) => self.key_packages += 1,
                _ => {}
            }
            self.server.receive(user, answer);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for user in self.members.keys().copied().collect::<Vec<_>>() {
            let mut steps = Vec::new();
            if let Some(dave) = self.members.get_mut(&user) {
                dave.advance(self.now, &mut steps);
            }
            self.answer(user, steps);
        }
        self.run();
    }

    fn encrypt(&mut self, user: u64) -> Result<Vec<u8>, NoKey> {
        let mut out = Vec::new();
        let dave = self.members.get_mut(&user).unwrap();
        dave.encrypt(&FRAME, self.now, &mut out).map(|()| out)
    }

    fn decrypt(&mut self, user: u64, from: u64, frame: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut out = vec![0; frame.len()];
        let mut steps = Vec::new();
        let dave = self.members.get_mut(&user).unwrap();
        let opened = dave.decrypt(from, frame, &mut out, self.now, &mut steps);
        self.answer(user, steps);
        self.run();
        opened.map(|length| out[..length].to_vec())
    }

    /// Everybody hears everybody, and nobody sends in clear.
    fn talk(&mut self) {
        let users: Vec<u64> = self.members.keys().copied().collect();
        for from in &users {
            let frame = self.encrypt(*from).expect("a key");
            assert_ne!(frame, FRAME, "{from} sends in clear");
            for user in users.iter().filter(|user| *user != from) {
                let opened = self.decrypt(*user, *from, &frame);
                assert_eq!(opened.as_deref(), Ok(&FRAME[..]), "{from} to {user}");
            }
        }
        let mut codes: Vec<_> = self.members.values().map(Dave::privacy_code).collect();
        codes.dedup();
        assert_eq!(codes.len(), 1, "{codes:?}");
        assert_eq!(codes[0].map(str::len), Some(30));
    }
}

#[test]
fn people_come_and_go_and_hear_each_other() {
    let mut room = Room::new(&[1]);
    assert_eq!(room.encrypt(1), Err(NoKey));
    room.join(2);
    room.talk();
    let code = room.members[&1].privacy_code().unwrap().to_owned();
    room.join(3);
    room.talk();
    assert_ne!(room.members[&1].privacy_code(), Some(&*code));
    room.leave(1);
    room.talk();
    room.join(4);
    room.join(1);
    room.talk();
    assert_eq!(room.invalid, []);
}

#[test]
fn alone_there_is_no_key_and_with_company_there_is_again() {
    let mut room = Room::new(&[1, 2]);
    room.talk();
    room.leave(2);
    assert_eq!(room.encrypt(1), Err(NoKey));
    assert!(!room.members[&1].can_send());
    room.join(3);
    room.talk();
}

#[test]
fn frames_under_way_during_a_transition_are_understood() {
    let mut room = Room::new(&[1, 2]);
    let old = room.encrypt(1).unwrap();
    room.deaf = Some(2);
    room.join(3);
    let before = room.encrypt(1).unwrap();
    room.server.time_out();
    room.run();
    // 1 has executed the transition, and 2 does not even know that there is one.
    let new = room.encrypt(1).unwrap();
    assert_eq!(room.decrypt(2, 1, &before).as_deref(), Ok(&FRAME[..]));
    assert!(room.decrypt(2, 1, &new).is_err());
    room.deaf = None;
    for message in std::mem::take(&mut room.kept) {
        room.deliver(2, message);
    }
    room.run();
    assert_eq!(room.decrypt(2, 1, &new).as_deref(), Ok(&FRAME[..]));
    assert_eq!(room.decrypt(2, 1, &old).as_deref(), Ok(&FRAME[..]));
    assert_eq!(room.decrypt(2, 1, &old), Err(Refusal::Undecryptable));
    room.talk();
}

#[test]
fn a_frame_of_the_next_epoch_is_early_once_it_was_proposed() {
    let mut room = Room::new(&[1, 2]);
    room.server.withhold_commits = true;
    room.join(3);
    let strange = [&FRAME[..], &[1; 8], &[1, 12, 0xfa, 0xfa]].concat();
    assert_eq!(room.decrypt(2, 1, &strange), Err(Refusal::Early));
    assert_eq!(room.decrypt(3, 1, &strange), Err(Refusal::Early));
}

#[test]
fn down_and_up_again() {
    let mut room = Room::new(&[1, 2]);
    room.talk();
    let encrypted = room.encrypt(1).unwrap();
    room.server.downgrade();
    room.run();
    let plain = room.encrypt(1).unwrap();
    assert_eq!(plain, FRAME);
    assert_eq!(room.decrypt(2, 1, &plain).as_deref(), Ok(&FRAME[..]));
    assert_eq!(room.decrypt(2, 1, &encrypted).as_deref(), Ok(&FRAME[..]));
    assert_eq!(room.members[&1].privacy_code(), None);
    room.join(3);
    assert_eq!(room.encrypt(3).unwrap(), FRAME);
    room.server.upgrade();
    room.run();
    room.talk();
    // What was under way in clear is taken for ten seconds, by davey's clock, and not for ever.
    assert_eq!(room.decrypt(2, 1, &plain).as_deref(), Ok(&FRAME[..]));
    assert!(room.members.values().all(|dave| dave.passthrough.is_none()));
}

#[test]
fn a_downgrade_that_does_not_come_does_not_leave_the_door_open() {
    let mut room = Room::new(&[1, 2]);
    let mut steps = Vec::new();
    let now = room.now;
    let dave = room.members.get_mut(&1).unwrap();
    dave.prepare(77, 0, now, &mut steps);
    assert!(room.encrypt(1).is_ok_and(|frame| frame != FRAME));
    assert_eq!(room.decrypt(1, 2, &FRAME).as_deref(), Ok(&FRAME[..]));
    room.pass(Duration::from_secs(10));
    assert_eq!(room.members[&1].passthrough, None);
    assert_eq!(room.members[&1].deadline(), None);
}

#[test]
fn plaintext_is_refused() {
    let mut room = Room::new(&[1, 2]);
    assert!(room.decrypt(1, 2, &FRAME).is_err());
    assert_eq!(
        room.decrypt(1, 2, &OPUS_SILENCE).as_deref(),
        Ok(&OPUS_SILENCE[..])
    );
    // Were it the group's fault, this would begin a recovery.
    for _ in 0..MAX_FAILURES * 2 {
        assert!(room.decrypt(1, 2, &FRAME).is_err());
    }
    assert_eq!(room.invalid, []);
}

#[test]
fn stages_have_no_end_to_end_encryption() {
    let mut dave = Dave::new(1, CHANNEL);
    let (mut steps, now) = (Vec::new(), Instant::now());
    dave.start(0, now, &mut steps);
    assert!(matches!(steps[..], [Step::Changed]));
    let mut out = Vec::new();
    assert_eq!(dave.encrypt(&FRAME, now, &mut out), Ok(()));
    assert_eq!(out, FRAME);
    let mut opened = [0; 60];
    assert_eq!(
        dave.decrypt(2, &FRAME, &mut opened, now, &mut steps),
        Ok(60)
    );
    assert_eq!(opened, FRAME);
}

#[test]
fn a_storm_of_new_epochs_ends_in_one_group() {
    let mut room = Room::new(&[1, 2, 3]);
    for _ in 0..5 {
        room.server.reset();
        room.run();
        room.talk();
    }
    // In the middle of joining, and with nobody to hear the answers.
    room.server.reset();
    for (user, message) in std::mem::take(&mut room.server.out) {
        for _ in 0..20 {
            let dave = room.members.get_mut(&user).unwrap();
            deliver(dave, message.clone(), room.now, &mut Vec::new());
        }
    }
    for user in 1..=3 {
        assert!(room.encrypt(user).is_ok_and(|frame| frame != FRAME));
    }
    room.server.reset();
    room.run();
    room.talk();
    assert_eq!(room.invalid, []);
}

/// The server never answered our key package. Whoever speaks, or hears what he cannot open, tries again.
#[test]
fn who_was_forgotten_joins_anew() {
    let mut room = Room::new(&[1, 2]);
    room.members.insert(3, Dave::new(3, CHANNEL));
    room.server.join(3);
    for (user, message) in std::mem::take(&mut room.server.out) {
        let dave = room.members.get_mut(&user).unwrap();
        deliver(dave, message, room.now, &mut Vec::new());
    }
    assert_eq!(room.encrypt(3), Err(NoKey));
    room.pass(SETTLED / 2);
    assert_eq!(room.encrypt(3), Err(NoKey));
    assert_eq!(room.members[&3].deadline(), None);
    room.pass(SETTLED);
    assert_eq!(room.encrypt(3), Err(NoKey));
    room.pass(Duration::ZERO);
    assert_eq!(room.invalid, [(3, 0)]);
    room.talk();
}

#[test]
fn a_withheld_commit_leaves_the_old_keys_in_use() {
    let mut room = Room::new(&[1, 2]);
    room.server.withhold_commits = true;
    room.join(3);
    let frame = room.encrypt(1).unwrap();
    assert_eq!(room.decrypt(2, 1, &frame).as_deref(), Ok(&FRAME[..]));
    assert_eq!(room.encrypt(3), Err(NoKey));
    room.server.withhold_commits = false;
    room.server.reset();
    room.run();
    room.talk();
}

#[test]
fn a_lost_commit_is_recovered_from_once_per_ten_seconds() {
    let mut room = Room::new(&[1, 2]);
    // 2 misses a transition, and then cannot follow the next.
    room.deaf = Some(2);
    room.join(3);
    room.server.time_out();
    room.run();
    room.deaf = None;
    room.kept.clear();
    room.join(4);
    room.server.time_out();
    room.run();
    assert_eq!(room.invalid, [(2, 3)]);
    room.talk();
    // So soon after the first one the second waits.
    room.now += Duration::from_secs(1);
    room.deaf = Some(2);
    room.join(5);
    room.server.time_out();
    room.run();
    room.deaf = None;
    room.kept.clear();
    room.join(6);
    room.server.time_out();
    room.run();
    assert_eq!(room.invalid.len(), 1);
    room.pass(Duration::from_millis(8900));
    assert_eq!(room.invalid.len(), 1);
    room.pass(Duration::from_millis(100));
    assert_eq!(room.invalid.len(), 2);
    room.talk();
}

#[test]
fn frames_that_nobody_can_open_begin_a_recovery() {
    let mut room = Room::new(&[1, 2]);
    room.pass(SETTLED);
    // Its nonce is the first one of another key, and has been used with ours.
    let strange = [&FRAME[..], &[1; 8], &[1, 12, 0xfa, 0xfa]].concat();
    for _ in 1..MAX_FAILURES {
        assert_eq!(room.decrypt(2, 1, &strange), Err(Refusal::Undecryptable));
    }
    assert_eq!(room.invalid, []);
    // One frame that opens: it is not the group.
    let frame = room.encrypt(1).unwrap();
    assert!(room.decrypt(2, 1, &frame).is_ok());
    for _ in 0..MAX_FAILURES {
        assert_eq!(room.invalid, []);
        assert_eq!(room.decrypt(2, 1, &strange), Err(Refusal::Undecryptable));
    }
    assert_eq!(room.invalid, [(2, 1)]);
    room.talk();
}

#[test]
fn what_comes_before_the_session_description_is_kept() {
    let mut room = Room::new(&[1]);
    room.members.insert(2, Dave::new(2, CHANNEL));
    room.server.join(2);
    // The external sender comes first, and then the rest.
    let mut out = std::mem::take(&mut room.server.out);
    let start = out
        .iter()
        .position(|(_, message)| matches!(message, Message::Start(_)));
    let start = out.remove(start.unwrap());
    for (user, message) in out {
        room.deliver(user, message);
    }
    assert_eq!(room.key_packages, 1);
    room.deliver(2, start.1);
    room.run();
    room.talk();
}

#[test]
fn who_is_not_in_the_channel_is_not_let_in() {
    let mut room = Room::new(&[1, 2]);
    for dave in room.members.values_mut() {
        dave.users.connect(9);
        dave.users.disconnect(9, room.now - Duration::from_secs(20));
    }
    // 3 comes, and 1 and 2 are not told.
    room.members.insert(3, Dave::new(3, CHANNEL));
    room.server.join(3);
    room.server
        .out
        .retain(|(_, message)| !matches!(message, Message::Connected(users) if users[..] == [3]));
    room.run();
    assert!(!room.server.in_group(3));
    assert_eq!(room.encrypt(3), Err(NoKey));
    let frame = room.encrypt(1).unwrap();
    assert!(room.decrypt(2, 1, &frame).is_ok());
}

#[test]
fn an_unknown_version_is_not_pretended_to_be_known() {
    let now = Instant::now();
    let unsupported = |tell: fn(&mut Dave, Instant, &mut Vec<Step>)| {
        let mut dave = Dave::new(1, CHANNEL);
        let mut steps = Vec::new();
        tell(&mut dave, now, &mut steps);
        assert!(matches!(steps[..], [Step::Unsupported(2)]), "{steps:?}");
        assert!(!dave.can_send());
    };
    unsupported(|dave, now, steps| dave.start(2, now, steps));
    unsupported(|dave, now, steps| dave.prepare(1, 2, now, steps));
    unsupported(|dave, now, steps| dave.prepare_epoch(1, 2, now, steps));
}

#[test]
fn malformed_messages_do_no_harm() {
    let mut room = Room::new(&[1, 2]);
    let mut random = fastrand::Rng::with_seed(6);
    let (now, mut steps) = (room.now, Vec::new());
    let dave = room.members.get_mut(&1).unwrap();
    let mut out = [0; 200];
    for _ in 0..3_000 {
        let mut bytes = vec![0; random.usize(..150)];
        random.fill(&mut bytes);
        dave.receive(
            &[&[0, 0, 25 + random.u8(..6)], &bytes[..]].concat(),
            now,
            &mut steps,
        );
        if random.bool() {
            let size = bytes.len() as u8;
            bytes.extend([random.u8(..=size), 0xfa, 0xfa]);
        }
        let _ = dave.decrypt(2, &bytes, &mut out, now, &mut steps);
    }
}
