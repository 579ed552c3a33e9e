//! Many events, and what they cost in memory.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::Bridge;
use support::sim::Discord;

const GUILDS: usize = 1_000;

/// Events of 4 KiB for a shard that is to be busy.
const FLOOD: u64 = 60_000;

/// Each takes all of the machine: two at once would make the other late.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_guilds_cost_less_than_40_mib() {
    let _turn = TURN.lock().await;
    let discord = Discord::start().await;
    discord
        .post("settings", json!({"heartbeat_interval_ms": 600_000}))
        .await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&["GUILD_CREATE"]), "presence": null}))
        .await;
    bridge.active().await;
    bridge.credit(1).await;
    assert_eq!(bridge.event().await.1, "GUILD_CREATE");

    let roles = ["1300000000000000100", "1300000000000000101"];
    let member = |number: u32| {
        let user = json!({"id": (1_400_000_000_000_000_000_u64 + u64::from(number)).to_string(), "username": format!("player_{number}"),
            "global_name": format!("Player {number}"), "avatar": "0123456789abcdef0123456789abcdef", "discriminator": "0", "bot": false});
        json!({"user": user, "nick": null, "roles": roles, "joined_at": "2025-06-15T12:00:00.000000+00:00", "deaf": false, "mute": false})
    };
    let guild = json!({"name": "A guild", "members": (0..100).map(member).collect::<Vec<_>>()});
    let megabytes = (guild.to_string().len() * GUILDS) >> 20;
    assert!(megabytes > 24, "{megabytes} MiB are no load");
    let guilds = json!({"type": "GUILD_CREATE", "data": guild, "times": GUILDS, "numbered": true});
    discord.post("dispatch", guilds).await;
    // Elixir is slow to begin, so that the bridge holds as much as it ever does.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    bridge.credit(2_000).await;
    for _ in 0..GUILDS {
        while bridge.next().await.event_kind() != Some("GUILD_CREATE") {}
    }
    let memory = bridge.peak_memory() >> 20;
    assert!(memory < 40, "{memory} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_shards_without_credit_hold_no_more_than_one() {
    let _turn = TURN.lock().await;
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let gateway = discord.sharded(4, &["LARGE"]).await;
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    bridge.all_active(4).await;
    // 20 MiB on each.
    let large = json!({"type": "LARGE", "data": {"text": "x".repeat(20 << 10)}, "times": 1_000, "numbered": true});
    discord.post("dispatch", large).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    bridge.no_event_before_pong().await;
    let memory = bridge.peak_memory() >> 20;
    assert!(memory < 40, "{memory} MiB");

    bridge.credit(100_000).await;
    let mut next = [0; 4];
    while next.iter().any(|&next| next < 1_000) {
        let paid = bridge.paid().await;
        if let Some((_, data)) = paid.event {
            let next = &mut next[paid.shard as usize];
            assert_eq!(data["number"], *next);
            *next += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_busy_is_left_so_that_it_can_be_resumed() {
    let _turn = TURN.lock().await;
    let discord = std::sync::Arc::new(Discord::start().await);
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&[]), "presence": null}))
        .await;
    let session = bridge.active().await;
    bridge.credit(100_000).await;
    // More than is read before it leaves. The simulator keeps all of it: else it would close the connection of a client that reads too slowly.
    let kept = json!({"session_events": 100_000, "session_bytes": 256 << 20});
    discord.post("settings", kept).await;
    let flood = tokio::spawn({
        let discord = discord.clone();
        async move {
            for _ in 0..FLOOD / 2_000 {
                let event = json!({"type": "UNWANTED", "data": {"text": "x".repeat(4 << 10)}, "times": 2_000});
                discord.post("dispatch", event).await;
            }
        }
    });
    // It has begun.
    let mut sequence = 0;
    while sequence < 2_000 {
        sequence = bridge.paid().await.sequence;
    }
    assert!(sequence < FLOOD, "it is not busy any more");
    let ended = bridge.close().await;
    assert_eq!(ended.code(), Some(0), "{:?}", ended.log);
    assert_eq!(discord.logged("disconnect").await["code"], 4000);
    flood.abort();
    let sessions = discord.get("gateway").await["sessions"].clone();
    assert_eq!(sessions[0]["id"], session);
}
