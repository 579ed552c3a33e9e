//! A long call in simulated time: people come and go, the network loses and delays, keys change all the time.
//!
//! Nothing drifts, nothing grows, and every frame is accounted for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::core::{Action, Core, Sending};
use crate::config::{Config, JoinInfo, Scheme, Tls};
use crate::dave::server::{Answer, DaveServer, Message, deliver};
use crate::dave::{Dave, Step};
use crate::event::Event;
use crate::media::crypto::{Mode, Transport};
use crate::pacer::FRAME;
use crate::sender::Sender;
use crate::status::Phase;
use uro_discord_media::rtp::Header;
use uro_discord_media::window::{Arrival, Window};

const US: u64 = 1;
const CHANNEL: u64 = 42;
const OUR_SSRC: u32 = 7;
const KEY: [u8; 32] = [9; 32];

/// The network: what of datagrams is lost, how long they take, and how much that varies.
const LOSS: f64 = 0.01;
const DELAY: Duration = Duration::from_millis(50);
const JITTER: Duration = Duration::from_millis(40);

/// How long a WebSocket message takes, to whomever.
const MESSAGE: Duration = Duration::from_millis(40);

/// How late a task is woken.
const WAKE: Duration = Duration::from_millis(2);

enum What {
    /// Somebody comes or goes.
    Churn,
    /// The voice gateway's connection breaks.
    Break,
    /// Another one stands.
    Open,
    /// Of the connection itself, not numbered.
    ToCore(Value),
    /// Numbered messages to the core have arrived.
    Messages,
    ToMember(u64, Message),
    ToDaveServer(u64, Answer),
    Down(Vec<u8>),
    Up(Vec<u8>),
    /// The people who speak have a frame each.
    Frames,
    /// We have a frame.
    OurFrame,
    /// The core's deadline.
    Wake,
}

struct Member {
    dave: Dave,
    sender: Sender,
    sent: u64,
}

/// What became of frames, as the world knows it.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    lost: u64,
    came: u64,
    handed_out: u64,
    our_sent: u64,
    our_lost: u64,
    our_came: u64,
    our_understood: u64,
}

struct World {
    now: Instant,
    start: Instant,
    end: Instant,
    random: fastrand::Rng,
    agenda: BinaryHeap<Reverse<(Instant, u64)>>,
    whats: HashMap<u64, What>,
    number: u64,
    core: Core,
    wake_at: Option<Instant>,
    connected: bool,
    /// Numbered messages, text or binary, that the core has not had.
    messages: VecDeque<(Instant, Result<Value, Vec<u8>>)>,
    sequence: u16,
    server: DaveServer,
    members: BTreeMap<u64, Member>,
    next_user: u64,
    departed: BTreeSet<u64>,
    /// The voice server's end.
    transport: Transport,
    our_queue: VecDeque<Bytes>,
    our_frames: u64,
    our_window: Window,
    first_sent: Option<(Instant, u32)>,
    last_sent: Option<(Instant, u32)>,
    tally: Tally,
    breaks: u32,
    churn: Duration,
    ends: Vec<String>,
}

impl World {
    fn new(seconds: u64, churn: Duration) -> Self {
        let start = Instant::now();
        let info = JoinInfo {
            endpoint: "127.0.0.1:1".into(),
            guild_id: 5,
            channel_id: CHANNEL,
            user_id: US,
            session_id: "s".into(),
            token: "t".into(),
        };
        let config = Config {
            scheme: Scheme::Ws,
            ..Config::with_tls(Tls::new(None).unwrap())
        };
        let mut world = Self {
            now: start,
            start,
            end: start + Duration::from_secs(seconds),
            random: fastrand::Rng::with_seed(7),
            agenda: BinaryHeap::new(),
            whats: HashMap::new(),
            number: 0,
            core: Core::new(info, config, start).unwrap(),
            wake_at: None,
            connected: false,
            messages: VecDeque::new(),
            sequence: 0,
            server: DaveServer::new(CHANNEL),
            members: BTreeMap::new(),
            next_user: 100,
            departed: BTreeSet::new(),
            transport: Transport::new(Mode::Aes256Gcm, &KEY.into()),
            our_queue: VecDeque::new(),
            our_frames: 0,
            our_window: Window::default(),
            first_sent: None,
            last_sent: None,
            tally: Tally::default(),
            breaks: 0,
            churn,
            ends: Vec::new(),
        };
        world.plan(Duration::ZERO, What::Wake);
        world.plan(Duration::from_secs(1), What::Churn);
        world.plan(Duration::from_secs(3), What::Frames);
        world.plan(Duration::from_secs(4), What::OurFrame);
        world.plan(Duration::from_secs(45), What::Break);
        world
    }

    fn plan(&mut self, after: Duration, what: What) {
        self.number += 1;
        self.agenda.push(Reverse((self.now + after, self.number)));
        self.whats.insert(self.number, what);
    }

    /// Through the network; `None` if it gets lost.
    fn delay(&mut self) -> Option<Duration> {
        if self.random.f64() < LOSS {
            return None;
        }
        Some(DELAY + JITTER.mul_f64(self.random.f64()))
    }

    fn run(&mut self) {
        while let Some(Reverse((at, number))) = self.agenda.pop() {
            self.now = at;
            let what = self.whats.remove(&number).unwrap();
            self.happen(what);
            self.deliver();
            self.advance();
        }
    }

    fn over(&self) -> bool {
        self.now >= self.end
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Churn => self.churn(),
            What::Break if self.over() => {}
            What::Break => {
                self.breaks += 1;
                self.connected = false;
                self.core.closed(None, self.now);
                self.plan(Duration::from_secs(45), What::Break);
            }
            What::Open => {
                self.core.opened(self.now);
                let hello = json!({"op": 8, "d": {"heartbeat_interval": 13_750}});
                self.plan(MESSAGE, What::ToCore(hello));
            }
            What::ToCore(message) => {
                // Resumed, or greeted for the first time: what was missed follows.
                self.connected |= message["op"] == 9 || self.core.status().phase == Phase::Joining;
                self.core.text_message(&message.to_string(), self.now);
                self.messages();
            }
            What::Messages => self.messages(),
            What::ToMember(user, message) => {
                let Some(member) = self.members.get_mut(&user) else {
                    return;
                };
                let mut steps = Vec::new();
                deliver(&mut member.dave, message, self.now, &mut steps);
                self.steps(user, steps);
            }
            What::ToDaveServer(user, answer) => {
                if self.members.contains_key(&user) || user == US {
                    self.server.receive(user, answer);
                }
            }
            What::Down(mut datagram) => {
                self.tally.came += 1;
                self.core.datagram(&mut datagram, self.now);
            }
            What::Up(datagram) => self.hear_us(datagram),
            What::Frames => self.frames(),
            What::OurFrame if self.over() => {}
            What::OurFrame => {
                self.our_frames += 1;
                let frame = [&[0xaa; 40], &self.our_frames.to_be_bytes()[..]].concat();
                self.our_queue.push_back(frame.into());
                let status = self.core.status();
                let waiting = self.our_queue.len();
                let after = self.now - self.start;
                assert!(waiting < 5, "{after:?} {:?} {status:?}", self.ends);
                self.plan(FRAME, What::OurFrame);
            }
            What::Wake => {}
        }
    }

    fn steps(&mut self, user: u64, steps: Vec<Step>) {
        for step in steps {
            let answer = match step {
                Step::Text(text) => Answer::text(&text).unwrap(),
                Step::Binary(binary) => Answer::binary(&binary),
                Step::Changed => continue,
                step => panic!("{step:?}"),
            };
            self.plan(MESSAGE, What::ToDaveServer(user, answer));
        }
    }

    /// What the server says, on its way.
    fn deliver(&mut self) {
        for (user, message) in std::mem::take(&mut self.server.out) {
            if user != US {
                self.plan(MESSAGE, What::ToMember(user, message));
                continue;
            }
            let text = match message {
                Message::Binary(mut binary) => {
                    self.sequence = self.sequence.wrapping_add(1);
                    binary[..2].copy_from_slice(&self.sequence.to_be_bytes());
                    self.queue(Err(binary));
                    continue;
                }
                Message::Start(version) => json!({"op": 4, "d": {
                    "mode": Mode::Aes256Gcm.name(),
                    "secret_key": KEY,
                    "dave_protocol_version": version,
                }}),
                Message::Connected(users) => {
                    let users: Vec<String> = users.iter().map(u64::to_string).collect();
                    json!({"op": 11, "d": {"user_ids": users}})
                }
                Message::Disconnected(user) => {
                    json!({"op": 13, "d": {"user_id": user.to_string()}})
                }
                Message::Prepare {
                    transition,
                    version,
                } => {
                    json!({"op": 21, "d": {"transition_id": transition, "protocol_version": version}})
                }
                Message::Execute { transition } => {
                    json!({"op": 22, "d": {"transition_id": transition}})
                }
                Message::Epoch { epoch, version } => {
                    json!({"op": 24, "d": {"epoch": epoch, "protocol_version": version}})
                }
            };
            self.say_to_core(text);
        }
    }

    fn say_to_core(&mut self, mut message: Value) {
        self.sequence = self.sequence.wrapping_add(1);
        message["seq"] = self.sequence.into();
        self.queue(Ok(message));
    }

    fn queue(&mut self, message: Result<Value, Vec<u8>>) {
        self.messages.push_back((self.now + MESSAGE, message));
        self.plan(MESSAGE, What::Messages);
    }

    /// Gives the core what has arrived.
    fn messages(&mut self) {
        while self.connected
            && self.messages.front().is_some_and(|(at, _)| *at <= self.now)
            && let Some((_, message)) = self.messages.pop_front()
        {
            match message {
                Ok(text) => self.core.text_message(&text.to_string(), self.now),
                Err(binary) => self.core.binary_message(&binary, self.now),
            }
        }
    }

    /// Lets the core do what is due, and does what it says.
    fn advance(&mut self) {
        let due = self.core.deadline().is_some_and(|at| at <= self.now);
        if due || !self.our_queue.is_empty() {
            self.core.advance(self.now);
            let mut packet = Vec::new();
            let (queue, now) = (&mut self.our_queue, self.now);
            let mut packets = Vec::new();
            loop {
                match self.core.packet(now, || queue.pop_front(), &mut packet) {
                    Sending::Packet => packets.push(packet.clone()),
                    Sending::Skip => {}
                    Sending::Nothing => break,
                }
            }
            for packet in packets {
                self.our_packet(packet);
            }
        }
        while let Some(action) = self.core.action() {
            self.act(action);
        }
        if let Some(at) = self.core.deadline().filter(|at| self.wake_at != Some(*at)) {
            self.wake_at = Some(at);
            let late = WAKE.mul_f64(self.random.f64());
            // After the end only what is under way is waited for.
            if !self.over() || at < self.end + Duration::from_secs(2) {
                self.plan(at.saturating_duration_since(self.now) + late, What::Wake);
            }
        }
    }

    fn our_packet(&mut self, packet: Vec<u8>) {
        let timestamp = Header::parse(&packet).unwrap().timestamp;
        self.first_sent.get_or_insert((self.now, timestamp));
        self.last_sent = Some((self.now, timestamp));
        self.tally.our_sent += 1;
        match self.delay() {
            Some(delay) => self.plan(delay, What::Up(packet)),
            None => self.tally.our_lost += 1,
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Connect { .. } => self.plan(MESSAGE * 3, What::Open),
            Action::Disconnect { .. } => self.connected = false,
            Action::Text(text) => self.text(&text),
            Action::Binary(binary) => {
                self.plan(MESSAGE, What::ToDaveServer(US, Answer::binary(&binary)));
            }
            Action::Bind(_) => {}
            Action::Datagram(mut datagram) => {
                if datagram.len() == 74 {
                    datagram[1] = 2;
                    datagram[8..17].copy_from_slice(b"127.0.0.1");
                    datagram[73] = 9;
                }
                self.core.datagram(&mut datagram, self.now + DELAY);
            }
            Action::Event(event) => {
                if let Event::UserLeft { user_id } = event {
                    self.departed.insert(user_id);
                }
            }
            Action::Frame(received) => {
                self.tally.handed_out += 1;
                assert_eq!(received.frame.len(), 48);
                let user = u64::from_be_bytes(*received.frame.last_chunk().unwrap());
                assert_eq!(user, received.user_id);
            }
            Action::Video(_) => unreachable!("video is off"),
            Action::End(end) => self.ends.push(end.to_string()),
        }
    }

    /// What we say to the voice gateway.
    fn text(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap();
        match message["op"].as_u64().unwrap() {
            0 => self.say_to_core(json!({"op": 2, "d": {
                "ssrc": OUR_SSRC, "ip": "127.0.0.1", "port": 1, "modes": [Mode::Aes256Gcm.name()],
            }})),
            1 => self.server.join(US),
            3 => {
                let ack = json!({"op": 6, "d": {"t": message["d"]["t"]}});
                self.plan(MESSAGE, What::ToCore(ack));
            }
            5 => assert_eq!(message["d"]["ssrc"], OUR_SSRC),
            7 => {
                let seq_ack = message["d"]["seq_ack"].as_i64().unwrap();
                let missed = self.messages.len() as i64;
                assert_eq!(seq_ack + missed, i64::from(self.sequence));
                self.plan(MESSAGE, What::ToCore(json!({"op": 9, "d": null})));
            }
            23 | 31 => {
                let answer = Answer::text(text).unwrap();
                self.plan(MESSAGE, What::ToDaveServer(US, answer));
            }
            op => panic!("op {op}"),
        }
    }

    fn churn(&mut self) {
        if self.over() {
            return;
        }
        self.plan(self.churn, What::Churn);
        if self.members.len() < 3 {
            return self.come();
        }
        match self.random.u8(..100) {
            // Everybody anew; at a moment when nothing else is under way, as the server knows no better.
            0..5 if self.server.is_quiet() && self.server.version() == 1 => {
                self.server.reset();
            }
            5..10 if self.server.is_quiet() => match self.server.version() {
                0 => self.server.upgrade(),
                _ => self.server.downgrade(),
            },
            _ if self.server.version() == 0 && self.server.is_quiet() => self.server.upgrade(),
            // Two at once.
            10..20 => {
                self.go();
                self.come();
            }
            20..60 if self.members.len() > 4 => self.go(),
            _ if self.members.len() < 9 => self.come(),
            _ => self.go(),
        }
    }

    fn come(&mut self) {
        self.next_user += 1;
        let user = self.next_user;
        let member = Member {
            dave: Dave::new(user, CHANNEL),
            sender: Sender::new(user as u32),
            sent: 0,
        };
        self.members.insert(user, member);
        self.server.join(user);
        let speaking =
            json!({"op": 5, "d": {"speaking": 1, "ssrc": user, "user_id": user.to_string()}});
        self.say_to_core(speaking);
    }

    fn go(&mut self) {
        let Some(user) = self.random.choice(self.members.keys().copied()) else {
            return;
        };
        self.members.remove(&user);
        self.server.leave(user);
    }

    /// The three who have been here the longest speak.
    fn frames(&mut self) {
        if self.over() {
            return;
        }
        self.plan(FRAME, What::Frames);
        let users: Vec<u64> = self.members.keys().copied().take(3).collect();
        for user in users {
            let Some(member) = self.members.get_mut(&user) else {
                continue;
            };
            let frame = [&[user as u8; 40], &user.to_be_bytes()[..]].concat();
            let mut packet = Vec::new();
            let sent = member.sender.packet(
                &frame,
                false,
                &mut member.dave,
                &mut self.transport,
                self.now,
                &mut packet,
            );
            if sent.is_err() {
                continue;
            }
            member.sent += 1;
            self.tally.sent += 1;
            match self.delay() {
                Some(delay) => self.plan(delay, What::Down(packet)),
                None => self.tally.lost += 1,
            }
        }
    }

    /// One of the others hears us.
    fn hear_us(&mut self, mut datagram: Vec<u8>) {
        self.tally.our_came += 1;
        let header = Header::parse(&datagram).unwrap();
        let frame = self.transport.open(&mut datagram, header.clear).unwrap();
        let arrival = self.our_window.arrive(header.sequence);
        assert!(!matches!(arrival, Arrival::Duplicate | Arrival::Old));
        let Some(listener) = self
            .members
            .values_mut()
            .find(|member| member.dave.can_send())
        else {
            return;
        };
        let (mut out, mut steps) = (vec![0; frame.len()], Vec::new());
        let understood = listener
            .dave
            .decrypt(US, frame, &mut out, self.now, &mut steps);
        if understood.is_ok() {
            self.tally.our_understood += 1;
        }
    }
}

/// Four minutes with a change every four seconds. With `VOICE_ENDURANCE` in the environment: an hour, with one every fifteen.
#[test]
fn a_long_call() {
    let whole = std::env::var_os("VOICE_ENDURANCE").is_some();
    let (seconds, churn) = if whole { (3600, 15) } else { (240, 4) };
    let mut world = World::new(seconds, Duration::from_secs(churn));
    world.run();
    let (tally, status) = (&world.tally, world.core.status());
    let shown = format!(
        "{tally:?} {status:?} transitions {} users {} breaks {}",
        world.server.transitions,
        world.next_user - 100,
        world.breaks
    );
    eprintln!("{shown}");
    assert!(world.ends.is_empty(), "{:?}", world.ends);
    assert_eq!(status.phase, Phase::Joined);

    // It was as hard as it was meant to be.
    let changes = seconds / churn;
    assert!(
        u64::from(world.server.transitions) > changes * 3 / 4,
        "{shown}"
    );
    assert!(world.next_user - 100 > changes / 4, "{shown}");
    assert!(world.breaks > 4, "{shown}");

    // Every frame of theirs is accounted for.
    let received = status.received;
    assert_eq!(tally.sent, tally.lost + tally.came, "{shown}");
    assert_eq!(tally.came, received.received + received.too_late, "{shown}");
    assert_eq!(
        received.received,
        received.delivered + received.held_too_long + received.undecryptable,
        "{shown}"
    );
    assert_eq!(received.delivered, tally.handed_out, "{shown}");
    assert_eq!(
        (
            received.undecryptable,
            received.duplicates,
            received.malformed
        ),
        (0, 0, 0),
        "{shown}"
    );
    assert!(received.held_too_long < tally.sent / 100, "{shown}");

    // Every frame of ours.
    assert_eq!(status.sent.sent, tally.our_sent, "{shown}");
    assert_eq!(tally.our_sent, tally.our_lost + tally.our_came, "{shown}");
    assert!(tally.our_understood > tally.our_came * 97 / 100, "{shown}");
    assert_eq!(status.sent.not_connected, 0, "{shown}");

    // No drift: by our clock, and by the timestamps.
    let ((first, begin), (last, end)) = (world.first_sent.unwrap(), world.last_sent.unwrap());
    let frames = u128::from(end.wrapping_sub(begin)) / 960;
    let should = FRAME * frames as u32;
    let is = last - first;
    assert!(is.abs_diff(should) <= WAKE * 2, "{is:?} {should:?}");

    // Nothing has grown.
    let sizes = world.core.sizes();
    assert!(sizes.iter().all(|size| *size < 64), "{sizes:?}");
}
