//! What the fuzz targets call: whatever the bytes, nothing panics, and what is asserted here holds.
#![allow(clippy::unwrap_used, missing_docs, reason = "it is for fuzzing")]

use crate::desired::Desired;
use crate::gateway::WINDOW;
use crate::gateway::commands::{Command, Commands};
use crate::gateway::payload::Payload;
use crate::gateway::shard::{Output, Shard};
use crate::presence::Presence;
use crate::voice::DesiredVoiceState;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uro_discord_wire::{FromBridge, GatewayState, Snowflake};

/// In which time Discord takes 120 commands.
const MINUTE: Duration = Duration::from_secs(60);

/// A payload of the gateway, and its data as a term for Elixir.
pub fn payload(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(read) = Payload::read(text) else {
        return;
    };
    let event = FromBridge::Event {
        shard: 0,
        session: "s".into(),
        sequence: read.sequence.unwrap_or_default(),
        kind: read.kind.as_ref().into(),
        data: read.data.into(),
    };
    let mut term = Vec::new();
    if event.encode(&mut term).is_ok() {
        FromBridge::decode(&term).unwrap();
    }
    // Whoever reads only the beginning sees what is there, where all of it can be read.
    if let Ok(parsed) = Payload::parse(text) {
        assert_eq!(
            (read.op, read.sequence, read.kind),
            (parsed.op, parsed.sequence, parsed.kind)
        );
    }
}

/// What is desired, heard, lost and resumed, two bytes each: no window has more commands than Discord takes, and nothing spins.
pub fn commands(data: &[u8]) {
    let mut commands = Commands::new(WINDOW);
    let mut now = Instant::now();
    let mut sent: VecDeque<Instant> = VecDeque::new();
    let mut connected = false;
    for step in data.chunks_exact(2) {
        let (kind, value) = (step[0], u64::from(step[1]));
        let guild = Snowflake::new(1 + value % 16).unwrap();
        let channel = Snowflake::new(100 + value / 16).unwrap();
        match kind % 10 {
            0 => now += Duration::from_millis(value * 50),
            1 => {
                let desired = DesiredVoiceState {
                    user: Snowflake::new(7).unwrap(),
                    channel,
                    self_mute: kind > 127,
                    self_deaf: false,
                    beginning: u64::from(kind),
                    joined: false,
                };
                commands.voice.desire(guild, Some(desired));
            }
            2 => commands.voice.desire(guild, None),
            3 => drop(commands.voice.heard(guild, Some(channel), now)),
            4 => drop(commands.voice.heard(guild, None, now)),
            5 => {
                let activity = json!({"name": "Uro", "type": 4, "state": value.to_string()});
                let presence = json!({"activities": [activity], "status": "online"});
                commands
                    .presence
                    .want(serde_json::from_value::<Presence>(presence).ok());
            }
            6 if connected => {
                connected = false;
                commands.lost(now);
            }
            7 | 8 if !connected => {
                connected = true;
                sent.clear();
                commands.connected();
                if kind % 10 == 7 {
                    commands.resumed();
                } else {
                    commands.renewed();
                }
            }
            9 => commands.forget(),
            _ => {}
        }
        if !connected {
            continue;
        }
        while let Some(command) = commands.next(now) {
            if let Command::Voice(command) = command {
                assert!(command.begins.is_none() || command.channel.is_some());
            }
            sent.push_back(now);
            assert_few(&sent);
        }
        assert!(
            commands.due(now).is_none_or(|due| due > now),
            "it would spin"
        );
    }
}

fn assert_few(sent: &VecDeque<Instant>) {
    if let (Some(last), Some(before)) = (sent.back(), sent.iter().rev().nth(120)) {
        assert!(*last - *before >= MINUTE, "more than Discord takes");
    }
}

/// A shard, and what is known of it from outside.
struct Watched {
    shard: Shard,
    desired: Desired,
    /// What the shard was told last, which is looked at later than it changes.
    lease: Option<Instant>,
    now: Instant,
    connected: bool,
    closing: bool,
    waiting: bool,
    /// A permission to identify that was given while it was waited for.
    permitted: bool,
    /// Over the connection, the identify or resume among them.
    sent: VecDeque<Instant>,
}

fn gateway(intents: u64) -> Arc<uro_discord_wire::Gateway> {
    let gateway = json!({"token": "t", "intents": intents, "shards": 1, "events": ["WANTED"]});
    Arc::new(serde_json::from_value(gateway).unwrap())
}

impl Watched {
    fn new(now: Instant) -> Self {
        let gateway = gateway(1);
        Self {
            shard: Shard::new(0, gateway.clone(), &Desired::default(), WINDOW),
            desired: Desired {
                gateway: Some(gateway),
                ..Desired::default()
            },
            lease: None,
            now,
            connected: false,
            closing: false,
            waiting: false,
            permitted: false,
            sent: VecDeque::new(),
        }
    }

    fn look(&mut self) {
        self.lease = self.desired.lease;
        self.shard.desired(&self.desired, self.now);
    }

    fn hear(&mut self, payload: Value) {
        // Only an open connection brings any.
        if self.connected {
            let text = payload.to_string();
            let payload = Payload::read(&text).unwrap();
            self.shard.payload(&payload, self.now);
        }
    }

    /// Carries out what it says, and holds it against the rules.
    fn watch(&mut self) {
        while let Some(output) = self.shard.output() {
            match output {
                Output::Connect => {
                    assert!(!self.connected, "two connections");
                    let lease = self.lease;
                    assert!(lease.is_some_and(|lease| lease > self.now), "no lease");
                    if self.shard.session().is_none() {
                        assert!(self.permitted, "it identifies without permission");
                        self.permitted = false;
                    }
                    self.connected = true;
                    self.closing = false;
                    self.sent = [self.now].into();
                }
                Output::Close(_) => {
                    assert!(self.connected && !self.closing);
                    self.closing = true;
                }
                Output::Disconnect => {
                    assert!(self.connected);
                    self.connected = false;
                }
                Output::Send(_) => {
                    assert!(self.connected && !self.closing);
                    self.sent.push_back(self.now);
                    assert_few(&self.sent);
                }
                Output::Report(state) => {
                    self.waiting = matches!(state, GatewayState::Waiting);
                    if self.waiting {
                        self.permitted = false;
                    }
                }
                Output::Sequence { .. } | Output::Voice(_) => {}
            }
        }
    }
}

/// What is desired of a shard, what Discord says, and time that passes, two bytes each: it identifies only when it may, no window has more
/// commands than Discord takes, and nothing spins.
pub fn shard(data: &[u8]) {
    let mut watched = Watched::new(Instant::now());
    let mut sequence = 0;
    for step in data.chunks_exact(2) {
        let (kind, value) = (step[0] % 20, u64::from(step[1]));
        sequence += 1;
        let now = watched.now;
        match kind {
            0 => watched.now += Duration::from_millis(value * 10),
            1 => watched.now += Duration::from_secs(value),
            2 => {
                watched.desired.lease = Some(now + Duration::from_secs(value * 10));
                watched.look();
            }
            3 => {
                watched.permitted = watched.waiting;
                watched.desired.identify(0);
                watched.look();
            }
            4 => {
                let gateway = (value < 200).then(|| gateway(value / 100 + 1));
                watched.desired.era += u64::from(gateway.is_none());
                watched.desired.gateway = gateway;
                watched.look();
            }
            5 => {
                let activity = json!({"name": "Uro", "type": 4, "state": value.to_string()});
                let presence = json!({"activities": [activity], "status": "online"});
                watched.desired.presence = serde_json::from_value(presence).ok();
                watched.look();
            }
            6 => {
                for guild in 1..=value {
                    let desired = DesiredVoiceState {
                        user: Snowflake::new(7).unwrap(),
                        channel: Snowflake::new(1_000 + guild).unwrap(),
                        self_mute: false,
                        self_deaf: false,
                        beginning: sequence,
                        joined: false,
                    };
                    let guild = Snowflake::new(guild).unwrap();
                    watched.shard.voice(guild, Some(desired));
                }
            }
            7 => watched
                .shard
                .voice(Snowflake::new(1 + value).unwrap(), None),
            8 => watched.hear(json!({"op": 10, "d": {"heartbeat_interval": 41_250}})),
            9 => {
                let url = if value < 200 { "wss://a" } else { "none" };
                let ready =
                    json!({"session_id": "s", "resume_gateway_url": url, "user": {"id": "7"}});
                watched.hear(json!({"op": 0, "s": sequence, "t": "READY", "d": ready}));
            }
            10 => watched.hear(json!({"op": 0, "s": sequence, "t": "RESUMED", "d": {}})),
            11 => watched.hear(json!({"op": 0, "s": sequence, "t": "OTHER", "d": {}})),
            12 => {
                let channel = (value % 2 == 0).then(|| (1_001 + value / 2).to_string());
                let state = json!({"guild_id": (1 + value / 2).to_string(), "channel_id": channel, "user_id": "7", "session_id": "v"});
                watched
                    .hear(json!({"op": 0, "s": sequence, "t": "VOICE_STATE_UPDATE", "d": state}));
            }
            13 => watched.hear(json!({"op": 7, "d": null})),
            14 => watched.hear(json!({"op": 9, "d": value % 2 == 0})),
            15 if watched.connected => {
                let code = 4_000 + u16::try_from(value % 16).unwrap();
                watched.shard.closed(code, "", now);
            }
            16 if watched.connected => watched.shard.disconnected("lost", now),
            17 => watched.shard.reads(value % 2 == 0, now),
            18 => {
                watched.desired.let_go();
                if value % 2 == 0 {
                    watched.look();
                }
            }
            19 => {
                let session = json!({"shard": 0, "id": "s", "sequence": value});
                let told = json!({"token": "t", "intents": 1, "shards": 1, "sessions": [session], "events": ["WANTED"]});
                watched.desired.gateway = Some(Arc::new(serde_json::from_value(told).unwrap()));
                watched.look();
            }
            _ => {}
        }
        watched.watch();
        watched.shard.advance(watched.now);
        watched.watch();
        let deadline = watched.shard.deadline(watched.now);
        assert!(
            deadline.is_none_or(|deadline| deadline > watched.now),
            "it would spin"
        );
        if watched.shard.is_over() {
            assert!(!watched.connected, "it is over with its connection open");
            watched = Watched::new(watched.now);
        }
    }
}
