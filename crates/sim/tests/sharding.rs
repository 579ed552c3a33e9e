//! Shards, how many identifies there are for them, and streams of numbered events.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use support::{
    Discord,
    gateway::{ALL_INTENTS, Gateway, Said, identify, identify_freely, kinds},
};

/// Connects and identifies as a shard.
async fn shard(discord: &Discord, number: u64, shards: u64) -> Gateway {
    let mut gateway = Gateway::open(discord).await;
    gateway.send(identify_as(discord, number, shards)).await;
    let ready = gateway.event("READY").await;
    assert_eq!(ready["d"]["shard"], json!([number, shards]));
    gateway
}

fn identify_as(discord: &Discord, number: u64, shards: u64) -> Value {
    let mut identify = identify(discord, "uro", ALL_INTENTS);
    identify["d"]["shard"] = json!([number, shards]);
    identify
}

#[tokio::test]
async fn each_event_goes_to_one_shard() {
    let discord = Discord::start().await;
    identify_freely(&discord).await;
    let guild: u64 = discord.info().guild_id.parse().unwrap();
    let home = (guild >> 22) % 3;
    let mut shards = Vec::new();
    for number in 0..3 {
        shards.push(shard(&discord, number, 3).await);
    }
    for (number, gateway) in (0..).zip(&mut shards) {
        let guilds: Vec<_> = gateway.events().await;
        let created = guilds.iter().filter(|event| event["t"] == "GUILD_CREATE");
        assert_eq!(created.count(), usize::from(number == home));
    }
    discord
        .post_as("alice", "general", json!({"content": "in the guild"}))
        .await;
    let direct = discord
        .rest(
            Method::POST,
            "/users/@me/channels",
            Some(json!({"recipient_id": discord.info().users["alice"].id})),
        )
        .await
        .json();
    let path = format!("/channels/{}/messages", direct["id"].as_str().unwrap());
    discord
        .rest(Method::POST, &path, Some(json!({"content": "direct"})))
        .await;
    for (number, gateway) in (0..).zip(&mut shards) {
        let events = gateway.events().await;
        let heard: Vec<_> = events
            .iter()
            .filter(|event| event["t"] == "MESSAGE_CREATE")
            .map(|event| event["d"]["content"].as_str().unwrap())
            .collect();
        let mut expected = Vec::new();
        if number == home {
            expected.push("in the guild");
        }
        if number == 0 {
            expected.push("direct");
        }
        assert_eq!(heard, expected, "shard {number}");
    }
}

#[tokio::test]
async fn the_number_of_shards_is_judged() {
    let discord = Discord::start().await;
    identify_freely(&discord).await;
    discord
        .tell(
            "/settings",
            json!({"required_shards": 2, "recommended_shards": 4}),
        )
        .await;
    let gateway_bot = discord.rest(Method::GET, "/gateway/bot", None).await.json();
    assert_eq!(gateway_bot["shards"], 4);
    for (number, shards, code) in [(2, 2, 4010), (0, 0, 4010), (0, 1, 4011)] {
        let mut gateway = Gateway::open(&discord).await;
        gateway.send(identify_as(&discord, number, shards)).await;
        assert_eq!(gateway.close_code().await, code);
    }
    shard(&discord, 1, 2).await;
}

#[tokio::test]
async fn identifies_of_one_bucket_are_spaced_and_all_are_counted() {
    let discord = Discord::start().await;
    let settings = json!({"max_concurrency": 2, "identify_budget": 10, "identifies_elsewhere": 5});
    discord.tell("/settings", settings).await;
    let limit = async || {
        let answer = discord.rest(Method::GET, "/gateway/bot", None).await;
        answer.json()["session_start_limit"].clone()
    };
    let fresh = limit().await;
    assert_eq!(
        (
            &fresh["total"],
            &fresh["remaining"],
            &fresh["max_concurrency"]
        ),
        (&json!(10), &json!(5), &json!(2))
    );
    let _zero = shard(&discord, 0, 4).await;
    let _one = shard(&discord, 1, 4).await;
    let mut two = Gateway::open(&discord).await;
    two.send(identify_as(&discord, 2, 4)).await;
    assert_eq!(two.payload().await["op"], 9, "in the bucket of shard 0");
    let spent = limit().await;
    assert_eq!(spent["remaining"], 2);
    let reset = spent["reset_after"].as_u64().unwrap();
    assert!((1..24 * 60 * 60 * 1_000).contains(&reset), "{reset}");

    discord
        .tell("/settings", json!({"identify_period_ms": 1}))
        .await;
    assert_eq!(limit().await["remaining"], 5, "the period is over");
}

#[tokio::test]
async fn a_paced_dispatch_is_numbered_and_goes_on_across_resumes() {
    let discord = Discord::start().await;
    identify_freely(&discord).await;
    let settings = json!({"session_events": 100_000, "session_bytes": 64 << 20});
    discord.tell("/settings", settings).await;
    let (mut gateway, ready) = Gateway::identified(&discord, "uro", 0).await;
    let mut last = ready["s"].as_u64().unwrap();
    let start = Instant::now();
    let dispatch = json!({"type": "NUMBERED", "data": {}, "times": 3_000, "numbered": true, "per_second": 3_000, "user": "uro"});
    assert_eq!(
        discord.tell("/dispatch", dispatch).await,
        json!({"sessions": 1})
    );
    let mut expected = 0;
    for read in [500, 700, 800, 1_000] {
        for _ in 0..read {
            let event = gateway.event("NUMBERED").await;
            assert_eq!(event["d"]["number"], expected);
            expected += 1;
            last = event["s"].as_u64().unwrap();
        }
        drop(gateway);
        gateway = Gateway::open(&discord).await;
        let token = &discord.info().token;
        gateway
            .send(json!({"op": 6, "d": {"token": token, "session_id": ready["d"]["session_id"], "seq": last}}))
            .await;
    }
    gateway.event("RESUMED").await;
    assert_eq!(kinds(&gateway.events().await), [""; 0]);
    let over = discord.wait_for(0, "dispatched").await;
    assert_eq!(
        (&over["event"], &over["times"]),
        (&json!("NUMBERED"), &json!(3_000))
    );
    assert!(start.elapsed() > Duration::from_millis(950));
}

#[tokio::test]
async fn a_dispatch_and_what_is_done_to_connections_can_be_for_one_shard() {
    let discord = Discord::start().await;
    identify_freely(&discord).await;
    let mut zero = shard(&discord, 0, 2).await;
    let mut one = shard(&discord, 1, 2).await;
    zero.events().await;
    one.events().await;
    for (number, gateway) in [(0, &mut zero), (1, &mut one)] {
        let dispatch = json!({"type": "X", "data": {"for": number}, "shard": number});
        assert_eq!(
            discord.tell("/dispatch", dispatch).await,
            json!({"sessions": 1})
        );
        assert_eq!(gateway.event("X").await["d"]["for"], number);
    }
    let presence = json!({"since": null, "activities": [{"name": "Uro", "type": 4, "state": "1"}], "status": "idle", "afk": false});
    one.send(json!({"op": 3, "d": presence})).await;
    one.events().await;
    let sessions = discord.seen("/gateway").await["sessions"].clone();
    let shown = |number: u64| {
        let mut sessions = sessions.as_array().unwrap().iter();
        sessions
            .find(|session| session["shard"][0] == number)
            .unwrap()["presence"]
            .clone()
    };
    assert_eq!(shown(0)["status"], "online");
    assert_eq!(shown(1)["activities"][0]["state"], "1");

    let drop_one = json!({"action": "drop", "shard": 1});
    assert_eq!(
        discord.tell("/gateway", drop_one).await,
        json!({"connections": 1})
    );
    assert_eq!(one.said().await, Said::Nothing);
    // Still open.
    zero.events().await;
}
