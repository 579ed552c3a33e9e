//! Several shards, against discord-sim.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::Bridge;
use support::sim::Discord;
use uro_discord_wire::{FromBridge, GatewayState};

const SHARDS: u32 = 4;

fn presence(state: &str) -> Value {
    json!({"since": null, "activities": [{"name": "Uro", "type": 4, "state": state}], "status": "online", "afk": false})
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shard_has_a_connection_its_events_and_the_presence() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge.credit(1_000).await;
    let gateway = discord.sharded(SHARDS, &["GUILD_CREATE", "ANYTHING"]).await;
    bridge
        .desire(json!({"gateway": gateway, "presence": presence("7 players")}))
        .await;
    let guild: u64 = discord.info().guild_id.parse().unwrap();
    let home = u32::try_from((guild >> 22) % u64::from(SHARDS)).unwrap();
    let all = SHARDS as usize;
    let (mut sessions, mut guilds) = (BTreeMap::new(), Vec::new());
    let (mut heard, mut shown) = (BTreeSet::new(), BTreeSet::new());
    while heard.len() < all || shown.len() < all || guilds.is_empty() {
        match bridge.next().await.decode() {
            FromBridge::Gateway {
                shard,
                state: GatewayState::Active(active),
            } => {
                sessions.insert(shard, active.session_id);
                if sessions.len() == all {
                    for shard in 0..SHARDS {
                        let dispatch =
                            json!({"type": "ANYTHING", "data": {"for": shard}, "shard": shard});
                        discord.post("dispatch", dispatch).await;
                    }
                }
            }
            FromBridge::Event {
                shard,
                session,
                kind,
                data,
                ..
            } => {
                assert_eq!(session, sessions[&shard]);
                let data: Value = serde_json::from_str(&data).unwrap();
                if kind == "GUILD_CREATE" {
                    guilds.push(shard);
                } else {
                    assert_eq!(data["for"], shard);
                    heard.insert(shard);
                }
            }
            FromBridge::Presence { shard, data } => {
                assert_eq!(data["activities"][0]["state"], "7 players");
                shown.insert(shard);
            }
            _ => {}
        }
    }
    assert_eq!(guilds, [home]);

    let seen = discord.get("gateway").await;
    assert_eq!(
        (&seen["identifies"], &seen["violations"]),
        (&json!(SHARDS), &json!({}))
    );
    let sessions = seen["sessions"].as_array().unwrap();
    let shards: BTreeSet<_> = sessions
        .iter()
        .map(|session| session["shard"].to_string())
        .collect();
    let expected = (0..SHARDS).map(|shard| format!("[{shard},{SHARDS}]"));
    assert_eq!(shards, expected.collect());
    for session in sessions {
        assert_eq!(session["presence"]["activities"][0]["state"], "7 players");
    }
    for connection in seen["connections"].as_array().unwrap() {
        assert_eq!(connection["compression"], "zstd-stream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_discord_refuses_is_told_and_the_others_go_on() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge.credit(1_000).await;
    let gateway = discord.sharded(SHARDS, &["ANYTHING"]).await;
    bridge
        .desire(json!({"gateway": gateway.clone(), "presence": null}))
        .await;
    bridge.all_active(SHARDS as usize).await;
    let close = json!({"action": "close", "code": 4014, "shard": 2});
    discord.post("gateway", close).await;
    let (shard, state) = bridge.fact().await;
    assert!(
        matches!(&state, GatewayState::Fatal(closed) if closed.code == Some(4014)),
        "{state:?}"
    );
    assert_eq!(shard, 2);
    // A retry would come at once.
    tokio::time::sleep(Duration::from_secs(1)).await;
    discord.dispatch("ANYTHING", json!({})).await;
    let mut heard = BTreeSet::new();
    while heard.len() < 3 {
        match bridge.next().await.decode() {
            FromBridge::Event { shard, .. } => drop(heard.insert(shard)),
            FromBridge::Gateway { shard, state } => panic!("{shard}: {state:?}"),
            _ => {}
        }
    }
    assert_eq!(heard, [0, 1, 3].into());

    bridge.desire(json!({"gateway": gateway})).await;
    loop {
        match bridge.fact().await {
            (2, GatewayState::Active(_)) => break,
            (2, _) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(discord.get("gateway").await["identifies"], SHARDS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_shards_ends_the_sessions_and_begins_others() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let gateway = discord.sharded(2, &[]).await;
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    bridge.all_active(2).await;
    let gateway = discord.sharded(3, &[]).await;
    bridge.desire(json!({"gateway": gateway})).await;
    let active = bridge.all_active(3).await;
    assert!(active.values().all(|active| !active.resumed));
    let sessions = discord.get("gateway").await["sessions"].clone();
    assert_eq!(sessions.as_array().unwrap().len(), 3, "{sessions}");
}

/// How far a shard's session is, as Elixir would keep it.
struct Known {
    session: String,
    sequence: u64,
    resume_url: Option<String>,
    /// The next number that its events must have.
    next: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_of_any_shard_is_missed_though_the_bridge_is_killed() {
    const EVENTS: u64 = 6_000;
    let discord = Discord::start().await;
    let gateway = discord.sharded(SHARDS, &["NUMBERED"]).await;
    let mut known: BTreeMap<u32, Known> = BTreeMap::new();
    let mut kills = 0;
    while known.len() < SHARDS as usize || known.values().any(|known| known.next < EVENTS) {
        let mut bridge = Bridge::greeted().await;
        let sessions = known.iter().map(|(shard, known)| {
            json!({"shard": shard, "id": known.session, "sequence": known.sequence, "resume_url": known.resume_url})
        });
        let mut gateway = gateway.clone();
        gateway["sessions"] = sessions.collect();
        bridge
            .desire(json!({"gateway": gateway, "presence": null}))
            .await;
        bridge.credit(100_000).await;
        if kills == 0 {
            for (shard, active) in bridge.all_active(SHARDS as usize).await {
                let known_now = Known {
                    session: active.session_id,
                    sequence: active.sequence,
                    resume_url: active.resume_url,
                    next: 0,
                };
                known.insert(shard, known_now);
            }
            let dispatch = json!({"type": "NUMBERED", "data": {}, "times": EVENTS, "numbered": true, "per_second": 1_000});
            discord.post("dispatch", dispatch).await;
        }
        // About so many of each shard's until it is killed.
        for _ in 0..fastrand::u64(1..2_000) {
            let paid = bridge.paid().await;
            let known = known.get_mut(&paid.shard).unwrap();
            assert_eq!(paid.session, known.session);
            assert!(paid.sequence > known.sequence);
            known.sequence = paid.sequence;
            if let Some((_, data)) = paid.event {
                assert_eq!(data["number"], known.next, "shard {}", paid.shard);
                known.next += 1;
            }
            if known.next == EVENTS {
                break;
            }
        }
        bridge.kill().await;
        kills += 1;
    }
    assert!(kills > 10, "{kills}");
    let seen = discord.get("gateway").await;
    assert_eq!(
        (
            &seen["identifies"],
            &seen["resumes_refused"],
            &seen["violations"]
        ),
        (&json!(SHARDS), &json!(0), &json!({}))
    );
}
