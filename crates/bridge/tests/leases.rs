//! When the gateway may be held, and when a shard may identify.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::time::{Duration, Instant};
use support::Bridge;
use support::sim::Discord;
use uro_discord_wire::{FromBridge, GatewayState, ToBridge};

/// Connections that were ever opened.
async fn connections(discord: &Discord) -> usize {
    let events = discord.get("events?types=connect").await;
    events["events"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_lapses_closes_and_the_next_one_resumes() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge.credit(100).await;
    // No time at all.
    bridge.say(&ToBridge::Lease(0)).await;
    let gateway = discord.sharded(2, &["MESSAGE_CREATE"]).await;
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    bridge.no_event_before_pong().await;
    assert_eq!(connections(&discord).await, 0);

    bridge.say(&ToBridge::Lease(60_000)).await;
    let first = bridge.all_active(2).await;
    // Each replaces the one before, were it longer.
    bridge.say(&ToBridge::Lease(700)).await;
    let start = Instant::now();
    for _ in 0..2 {
        match bridge.fact().await {
            (_, GatewayState::Disconnected(closed)) => {
                assert_eq!(closed.reason, "the lease lapsed");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(start.elapsed() > Duration::from_millis(650));
    let (number, first_closed) = discord.logged_after("disconnect", 0).await;
    assert_eq!(first_closed["code"], 4000);
    assert_eq!(
        discord.logged_after("disconnect", number).await.1["code"],
        4000
    );

    discord.dispatch("MESSAGE_CREATE", json!({"n": 1})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    bridge.no_event_before_pong().await;
    assert_eq!(connections(&discord).await, 2);

    bridge.say(&ToBridge::Lease(60_000)).await;
    let mut missed = 0;
    let mut resumed = 0;
    while missed < 2 || resumed < 2 {
        match bridge.next().await.decode() {
            FromBridge::Event { kind, .. } if kind == "MESSAGE_CREATE" => missed += 1,
            FromBridge::Gateway {
                shard,
                state: GatewayState::Active(active),
            } => {
                assert!(active.resumed);
                assert_eq!(active.session_id, first[&shard].session_id);
                resumed += 1;
            }
            _ => {}
        }
    }
    assert_eq!(discord.get("gateway").await["identifies"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_lapses_although_nobody_reads_what_the_bridge_says() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge.credit(1_000_000).await;
    let gateway = discord.gateway(&["FLOOD"]);
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    bridge.active().await;
    bridge.say(&ToBridge::Lease(2_000)).await;
    // Far more than the pipe and the bridge hold.
    let flood = json!({"type": "FLOOD", "data": "x".repeat(20_000), "times": 1_000});
    discord.post("dispatch", flood).await;
    let closed = discord.logged("disconnect").await;
    assert_eq!(
        (&closed["code"], &closed["by"]),
        (&json!(4000), &json!("client"))
    );
    // And what came until then is not lost.
    bridge.say(&ToBridge::Lease(600_000)).await;
    for _ in 0..1_000 {
        assert_eq!(bridge.event().await.1, "FLOOD");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_lease_goes_on() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&[]), "presence": null}))
        .await;
    bridge.active().await;
    for _ in 0..10 {
        bridge.say(&ToBridge::Lease(1_000)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bridge.say(&ToBridge::Lease(60_000)).await;
    assert_eq!(connections(&discord).await, 1);
    assert_eq!(
        discord.get("events?types=disconnect").await["events"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_waits_for_the_permission_to_identify_with_no_connection() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge.permits = false;
    // For nobody: no gateway is wanted yet, and this is no shard of it.
    bridge.say(&ToBridge::Identify(0)).await;
    let gateway = discord.sharded(2, &[]).await;
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    bridge.say(&ToBridge::Identify(2)).await;
    let mut waiting: Vec<_> = [bridge.fact().await, bridge.fact().await].into();
    waiting.sort_by_key(|(shard, _)| *shard);
    assert_eq!(
        waiting,
        [(0, GatewayState::Waiting), (1, GatewayState::Waiting)]
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    bridge.no_event_before_pong().await;
    assert_eq!(connections(&discord).await, 0);

    bridge.say(&ToBridge::Identify(1)).await;
    assert_eq!(bridge.fact().await, (1, GatewayState::Connecting));
    assert_eq!(bridge.fact().await, (1, GatewayState::Identifying));
    assert!(matches!(
        bridge.fact().await,
        (1, GatewayState::Active(active)) if !active.resumed
    ));
    // One that is not waiting does not keep it for later.
    bridge.say(&ToBridge::Identify(1)).await;
    discord
        .post("gateway", json!({"action": "invalid_session", "shard": 1}))
        .await;
    assert!(matches!(
        bridge.fact().await,
        (1, GatewayState::Disconnected(closed)) if closed.reason == "Discord found the session invalid"
    ));
    assert_eq!(bridge.fact().await, (1, GatewayState::Waiting));
    tokio::time::sleep(Duration::from_millis(500)).await;
    bridge.no_event_before_pong().await;
    assert_eq!(connections(&discord).await, 1);
    assert_eq!(discord.get("gateway").await["identifies"], 1);

    bridge.say(&ToBridge::Identify(1)).await;
    bridge.say(&ToBridge::Identify(0)).await;
    bridge.all_active(2).await;
    assert_eq!(discord.get("gateway").await["identifies"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_used_is_asked_for_again() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let mut bridge = Bridge::greeted().await;
    bridge.permits = false;
    let gateway =
        json!({"token": "t", "intents": 0, "shards": 1, "url": format!("ws://{address}")});
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    for _ in 0..3 {
        assert_eq!(bridge.state().await, GatewayState::Waiting);
        bridge.say(&ToBridge::Identify(0)).await;
        assert_eq!(bridge.state().await, GatewayState::Connecting);
        assert!(matches!(
            bridge.state().await,
            GatewayState::Disconnected(_)
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_gateway_and_the_same_again_is_another_one() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let gateway = discord.gateway(&[]);
    bridge
        .desire(json!({"gateway": gateway.clone(), "presence": null}))
        .await;
    let session = bridge.active().await;
    // At once, and with the session as another node might have left it.
    bridge.desire(json!({"gateway": null})).await;
    let mut again = gateway;
    again["sessions"] = json!([{"shard": 0, "id": session, "sequence": 1, "resume_url": null}]);
    bridge.desire(json!({"gateway": again})).await;
    assert_eq!(discord.logged("disconnect").await["code"], 4000);
    assert_eq!(bridge.active().await, session);
    assert_eq!(discord.logged("resume").await["sequence"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_session_is_is_told_when_its_events_do_not_tell() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge.credit(1_000).await;
    bridge
        .desire(json!({"gateway": discord.gateway(&["WANTED", "GUILD_CREATE"]), "presence": null}))
        .await;
    let session = bridge.active().await;
    let guild = bridge.paid().await;
    assert_eq!(guild.event.unwrap().0, "GUILD_CREATE");

    discord.dispatch("OTHER", json!({})).await;
    let told = bridge.paid().await;
    assert!(told.event.is_none());
    assert_eq!(
        (told.shard, &told.session, told.sequence),
        (0, &session, guild.sequence + 1)
    );
    // Two seconds later at the earliest, and then the last one.
    let start = Instant::now();
    for _ in 0..5 {
        discord.dispatch("OTHER", json!({})).await;
    }
    let later = bridge.paid().await;
    assert!(later.event.is_none());
    assert_eq!(later.sequence, told.sequence + 5);
    assert!(start.elapsed() > Duration::from_millis(1_500));

    // An event says it as well.
    discord.dispatch("OTHER", json!({})).await;
    discord.dispatch("WANTED", json!({})).await;
    let wanted = bridge.paid().await;
    assert_eq!(wanted.sequence, later.sequence + 2);
    assert_eq!(wanted.event.unwrap().0, "WANTED");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    bridge.say(&ToBridge::Ping(b"\x6a")).await;
    match bridge.next().await.decode() {
        FromBridge::Pong(_) => {}
        other => panic!("{other:?}"),
    }
}
