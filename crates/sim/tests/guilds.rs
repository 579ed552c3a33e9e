//! More guilds than the one: made cheaply, with channels and members by the thousand.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use support::{
    Discord, form_errors,
    gateway::{ALL_INTENTS, Gateway, identify, identify_freely},
};

/// A connection that has identified, with READY.
async fn connected(discord: &Discord) -> (Gateway, Value) {
    identify_freely(discord).await;
    let mut gateway = Gateway::open(discord).await;
    gateway.send(identify(discord, "uro", ALL_INTENTS)).await;
    let ready = gateway.event("READY").await;
    (gateway, ready)
}

async fn add(discord: &Discord, what: Value) -> Vec<Value> {
    let added = discord.tell("/guilds", what).await;
    added.as_array().unwrap().clone()
}

/// Op 4.
fn in_channel(guild: &Value, channel: &Value) -> Value {
    json!({"op": 4, "d": {"guild_id": guild, "channel_id": channel, "self_mute": false, "self_deaf": false}})
}

#[tokio::test]
async fn a_thousand_guilds_are_there_when_the_bot_logs_in() {
    let discord = Discord::start().await;
    let added = add(
        &discord,
        json!({"count": 1000, "voice_channels": 3, "members": 2000}),
    )
    .await;
    assert_eq!(added.len(), 1000);
    let (mut gateway, ready) = connected(&discord).await;
    assert_eq!(ready["d"]["guilds"].as_array().unwrap().len(), 1001);
    let mut seen = BTreeSet::new();
    while seen.len() < 1001 {
        let created = gateway.event("GUILD_CREATE").await;
        let guild = &created["d"];
        if guild["id"] != discord.info().guild_id {
            assert_eq!(guild["member_count"], 2004, "the four users, and the crowd");
            assert_eq!(
                (&guild["large"], guild["channels"].as_array().unwrap().len()),
                (&json!(true), 3)
            );
            assert!(
                guild["members"].as_array().unwrap().len() <= 4,
                "a large guild names who is online"
            );
        }
        assert!(
            seen.insert(guild["id"].as_str().unwrap().to_owned()),
            "told twice"
        );
    }
}

#[tokio::test]
async fn guilds_go_to_all_shards_in_turn() {
    let discord = Discord::start().await;
    let added = add(&discord, json!({"count": 16})).await;
    let mut of_shard = [0; 16];
    for guild in &added {
        let id: u64 = guild["id"].as_str().unwrap().parse().unwrap();
        of_shard[usize::try_from((id >> 22) % 16).unwrap()] += 1;
    }
    assert_eq!(of_shard, [1; 16]);
}

#[tokio::test]
async fn a_guild_that_is_added_is_told() {
    let discord = Discord::start().await;
    let (mut gateway, _) = connected(&discord).await;
    gateway.event("GUILD_CREATE").await;
    let added = add(
        &discord,
        json!({"count": 1, "text_channels": 2, "voice_channels": 1}),
    )
    .await;
    let created = gateway.event("GUILD_CREATE").await;
    assert_eq!(created["d"]["id"], added[0]["id"]);
    let text = added[0]["text_channels"][0].as_str().unwrap();
    let path = format!("/channels/{text}/messages");
    let posted = discord
        .rest(Method::POST, &path, Some(json!({"content": "here"})))
        .await;
    assert_eq!(posted.status, StatusCode::OK);
    let event = gateway.event("MESSAGE_CREATE").await;
    assert_eq!(event["d"]["guild_id"], added[0]["id"]);
}

#[tokio::test]
async fn members_come_in_chunks_and_pages() {
    let discord = Discord::start().await;
    let added = add(&discord, json!({"count": 1, "members": 2500})).await;
    let guild = added[0]["id"].as_str().unwrap();
    let (mut gateway, _) = connected(&discord).await;
    gateway
        .send(json!({"op": 8, "d": {"guild_id": guild, "query": "", "limit": 0}}))
        .await;
    let mut members = Vec::new();
    for index in 0..3 {
        let chunk = gateway.event("GUILD_MEMBERS_CHUNK").await;
        assert_eq!(
            (&chunk["d"]["chunk_index"], &chunk["d"]["chunk_count"]),
            (&json!(index), &json!(3))
        );
        members.extend(chunk["d"]["members"].as_array().unwrap().clone());
    }
    assert_eq!(members.len(), 2504);
    let mut paged: Vec<Value> = Vec::new();
    loop {
        let after = paged
            .last()
            .map_or(json!("0"), |last| last["user"]["id"].clone());
        let path = format!(
            "/guilds/{guild}/members?limit=1000&after={}",
            after.as_str().unwrap()
        );
        let page = discord.rest(Method::GET, &path, None).await.json();
        match page.as_array().unwrap().as_slice() {
            [] => break,
            page => paged.extend_from_slice(page),
        }
    }
    assert_eq!(paged, members);
    let last = members.last().unwrap()["user"]["id"].clone();
    gateway
        .send(json!({"op": 8, "d": {"guild_id": guild, "user_ids": [last, "1"], "limit": 0}}))
        .await;
    let chunk = gateway.event("GUILD_MEMBERS_CHUNK").await;
    assert_eq!(chunk["d"]["members"].as_array().unwrap().len(), 1);
    assert_eq!(chunk["d"]["not_found"], json!(["1"]));
}

#[tokio::test]
async fn whoever_is_named_is_looked_up_among_however_many() {
    let discord = Discord::start().await;
    let few = add(&discord, json!({"count": 1, "members": 100})).await;
    let many = add(&discord, json!({"count": 1, "members": 500_000})).await;
    let (mut gateway, _) = connected(&discord).await;
    let (alice, bob) = (
        &discord.info().users["alice"].id,
        &discord.info().users["bob"].id,
    );
    // The least of ten, one after the other: whatever else the machine does, it does to both.
    let mut took = [Duration::MAX; 2];
    for _ in 0..10 {
        for (guild, least) in [&few[0]["id"], &many[0]["id"]].into_iter().zip(&mut took) {
            let wanted =
                json!({"guild_id": guild, "user_ids": [bob, "2", alice, bob, "1"], "limit": 0});
            let began = Instant::now();
            gateway.send(json!({"op": 8, "d": wanted})).await;
            let chunk = gateway.event("GUILD_MEMBERS_CHUNK").await;
            *least = began.elapsed().min(*least);
            let found = chunk["d"]["members"].as_array().unwrap();
            let found: Vec<&Value> = found.iter().map(|m| &m["user"]["id"]).collect();
            assert_eq!(found, [alice, bob]);
            assert_eq!(chunk["d"]["not_found"], json!(["1", "2"]));
        }
    }
    assert!(took[1] < took[0] * 100, "{took:?}");
}

#[tokio::test]
async fn ones_guilds_come_by_pages() {
    let discord = Discord::start().await;
    let added = add(&discord, json!({"count": 3})).await;
    let mut all = vec![json!(discord.info().guild_id)];
    all.extend(added.iter().map(|guild| guild["id"].clone()));
    let page = async |query: &str| {
        let path = format!("/users/@me/guilds?{query}");
        discord.rest(Method::GET, &path, None).await
    };
    let ids = async |query: &str| {
        let shown = page(query).await.json();
        let shown = shown.as_array().unwrap().iter();
        shown.map(|guild| guild["id"].clone()).collect::<Vec<_>>()
    };
    let text = |at: usize| all[at].as_str().unwrap();
    assert_eq!(ids("").await, all);
    assert_eq!(ids("limit=2").await, all[..2]);
    assert_eq!(ids(&format!("limit=2&after={}", text(0))).await, all[1..3]);
    assert_eq!(ids(&format!("limit=2&before={}", text(3))).await, all[1..3]);
    for wrong in ["limit=0", "limit=201", "limit=x", "after=x", "before="] {
        form_errors(&page(wrong).await);
    }
}

#[tokio::test]
async fn a_user_is_in_one_channel_of_each_guild() {
    let discord = Discord::start().await;
    let added = add(&discord, json!({"count": 2, "voice_channels": 2})).await;
    let (mut gateway, _) = connected(&discord).await;
    for guild in &added {
        gateway
            .send(in_channel(&guild["id"], &guild["voice_channels"][0]))
            .await;
        let server = gateway.event("VOICE_SERVER_UPDATE").await;
        assert_eq!(server["d"]["guild_id"], guild["id"]);
    }
    // A move in one, which the other does not notice; and a channel of the one is none of the other.
    gateway
        .send(in_channel(&added[0]["id"], &added[0]["voice_channels"][1]))
        .await;
    gateway.event("VOICE_SERVER_UPDATE").await;
    gateway
        .send(in_channel(&added[0]["id"], &added[1]["voice_channels"][1]))
        .await;
    gateway
        .send(in_channel(&added[1]["id"], &json!(null)))
        .await;
    let left = gateway.event("VOICE_STATE_UPDATE").await;
    assert_eq!(
        (&left["d"]["guild_id"], &left["d"]["channel_id"]),
        (&added[1]["id"], &json!(null))
    );
    let voice = discord.seen("/voice").await;
    let channels = voice["channels"].as_array().unwrap();
    let taken: Vec<_> = channels
        .iter()
        .filter(|c| c["users"] != json!([]))
        .map(|c| &c["id"])
        .collect();
    assert_eq!(taken, [&added[0]["voice_channels"][1]]);
}

#[tokio::test]
async fn what_is_too_much_is_refused() {
    let discord = Discord::start().await;
    for wrong in [
        json!({"count": 10_000}),
        json!({"count": 1, "voice_channels": 501}),
        json!({"count": 1, "text_channels": 300, "voice_channels": 300}),
        json!({"count": 1, "members": 500_001}),
        json!({"count": -1}),
        json!({"count": 1, "rooms": 1}),
    ] {
        let answer = discord
            .try_control(Method::POST, "/guilds", Some(wrong.clone()))
            .await;
        assert_eq!(answer.status.as_u16() / 100, 4, "{wrong}");
    }
    assert_eq!(
        discord
            .rest(Method::GET, "/users/@me/guilds", None)
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
