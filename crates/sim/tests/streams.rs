//! A stream of events, as `POST /stream` plays it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Value, json};
use support::{
    Discord,
    gateway::{ALL_INTENTS, Gateway, Said},
    soon,
};
use twilight_gateway::{ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt};

fn plan(user: &str) -> Value {
    json!({"user": user, "seed": 7, "events": 2_000, "guilds": 10, "members": [10, 200]})
}

#[tokio::test]
async fn it_is_a_part_of_its_session() {
    let discord = Discord::start().await;
    let (mut gateway, ready) = Gateway::identified(&discord, "uro", ALL_INTENTS).await;
    let before = gateway.events().await.last().unwrap()["s"]
        .as_u64()
        .unwrap();
    let told = discord.tell("/stream", plan("uro")).await;
    assert_eq!(
        (&told["events"], &told["types"]["GUILD_CREATE"]),
        (&json!(2_000), &json!(10))
    );

    gateway.send(json!({"op": 1, "d": null})).await;
    discord
        .tell("/dispatch", json!({"type": "AFTER", "data": 1}))
        .await;
    let mut bytes = 0;
    for number in 1..=2_000 {
        let event = gateway.payload().await;
        assert_eq!(event["s"], before + number);
        bytes += event["d"].to_string().len();
        if number == 1 {
            assert_eq!(event["d"]["content"], "stream 7 begins");
        } else if number == 2_000 {
            assert_eq!(event["d"]["content"], "stream 7 ends");
        }
    }
    assert_eq!(told["bytes"], bytes);
    assert!(told["wire_bytes"].as_u64().unwrap() > bytes as u64);
    let mut after = [gateway.payload().await, gateway.payload().await];
    after.sort_by_key(|payload| payload["op"].as_u64());
    assert_eq!(
        (&after[0]["t"], &after[0]["s"]),
        (&json!("AFTER"), &json!(before + 2_001))
    );
    assert_eq!(after[1]["op"], 11);

    // It is not kept, so what comes after it can be had again, and it cannot.
    let sessions = [(before + 2_000, Some("AFTER")), (before + 1_999, None)];
    for (sequence, first) in sessions {
        let mut resumed = Gateway::open(&discord).await;
        let token = &discord.info().token;
        let data = json!({"token": token, "session_id": ready["d"]["session_id"], "seq": sequence});
        resumed.send(json!({"op": 6, "d": data})).await;
        match (resumed.said().await, first) {
            (Said::Payload(event), Some(first)) => assert_eq!(event["t"], first),
            (Said::Payload(refused), None) => assert_eq!(refused["op"], 9),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn twilight_understands_all_of_it_over_zstd() {
    let discord = Discord::start().await;
    let info = discord.info();
    let config = ConfigBuilder::new(info.token.clone(), Intents::all())
        .proxy_url(info.gateway.clone())
        .build();
    let mut shard = Shard::with_config(ShardId::ONE, config);
    let mut told = Value::Null;
    let mut types: BTreeMap<_, u64> = BTreeMap::new();
    loop {
        let event = soon(shard.next_event(EventTypeFlags::all())).await;
        let event = event
            .expect("the shard goes on")
            .expect("an event that twilight knows");
        match &event {
            Event::PresenceUpdate(presence)
                if presence.user.id().to_string() == info.application_id =>
            {
                told = discord.tell("/stream", plan("uro")).await;
                types.clear();
                continue;
            }
            Event::GuildCreate(guild) if guild.id().to_string() == info.guild_id => continue,
            _ => {}
        }
        *types
            .entry(event.kind().name().unwrap_or_default())
            .or_default() += 1;
        if matches!(&event, Event::MessageCreate(message) if message.content == "stream 7 ends") {
            break;
        }
    }
    assert_eq!(told["types"], json!(types));
    assert!(told["wire_bytes"].as_u64() < told["bytes"].as_u64());
}

#[tokio::test]
async fn it_needs_somebody_who_listens() {
    let discord = Discord::start().await;
    let refused = discord
        .try_control(Method::POST, "/stream", Some(plan("uro")))
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()),
        (
            400,
            json!({"error": "a stream is for a user who has one session with a connection; `uro` has not"})
        )
    );
    let refused = discord
        .try_control(Method::POST, "/stream", Some(plan("nobody")))
        .await;
    assert_eq!(refused.status.as_u16(), 404);
    let refused = discord
        .try_control(
            Method::POST,
            "/stream",
            Some(json!({"user": "uro", "seed": 1, "events": 1})),
        )
        .await;
    assert_eq!(refused.status.as_u16(), 400);
}
