//! What the fuzz targets call: whatever the bytes, nothing panics, and what is asserted here holds.
#![allow(clippy::unwrap_used, missing_docs, reason = "it is for fuzzing")]

use crate::gateway::budget::WINDOW;
use crate::gateway::commands::{Command, Commands};
use crate::gateway::payload::Payload;
use crate::presence::Presence;
use crate::voice::DesiredVoiceState;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;
use uro_discord_wire::{FromBridge, Snowflake};

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
                };
                commands.voice.desire(guild, Some(desired));
            }
            2 => commands.voice.desire(guild, None),
            3 => drop(commands.voice.heard(guild, Some(channel), now)),
            4 => drop(commands.voice.heard(guild, None, now)),
            5 => {
                let activity =
                    serde_json::json!({"name": "Uro", "type": 4, "state": value.to_string()});
                let presence = serde_json::json!({"activities": [activity], "status": "online"});
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
            if sent.len() > 120 {
                assert!(
                    now - sent[sent.len() - 121] >= WINDOW,
                    "more than Discord takes"
                );
            }
        }
        assert!(
            commands.due(now).is_none_or(|due| due > now),
            "it would spin"
        );
    }
}
