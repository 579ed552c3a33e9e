//! The gateway: who may identify, what is sent to whom, what closes a connection.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use hyper::Method;
use serde_json::{Value, json};
use support::{
    Discord,
    gateway::{ALL_INTENTS, Gateway, identify, identify_freely, kinds},
};

const GUILDS: u64 = 1;
const GUILD_MESSAGES: u64 = 1 << 9;
const MESSAGE_CONTENT: u64 = 1 << 15;

#[tokio::test]
async fn identify_is_answered_with_ready_and_the_guild() {
    let discord = Discord::start().await;
    let (mut gateway, ready) = Gateway::identified(&discord, "uro", ALL_INTENTS).await;
    assert_eq!((&ready["s"], &ready["d"]["v"]), (&json!(1), &json!(10)));
    assert_eq!(ready["d"]["user"]["id"], discord.info().application_id);
    assert_eq!(ready["d"]["resume_gateway_url"], discord.info().gateway);
    assert_eq!(
        ready["d"]["guilds"],
        json!([{"id": discord.info().guild_id, "unavailable": true}])
    );
    let guild = gateway.event("GUILD_CREATE").await;
    assert_eq!(guild["s"], 2);
    assert_eq!(
        guild["d"]["channels"].as_array().unwrap().len(),
        discord.info().channels.len()
    );
    assert_eq!(guild["d"]["members"].as_array().unwrap().len(), 4);

    let seen = discord.seen("/gateway").await;
    assert_eq!(
        (&seen["identifies"], &seen["commands"]["2"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(seen["sessions"][0]["id"], ready["d"]["session_id"]);
    let presence = discord.seen("/presence").await;
    assert_eq!(
        (&presence[0]["name"], &presence[0]["status"]),
        (&json!("uro"), &json!("online"))
    );
}

#[tokio::test]
async fn zlib_stream_and_plain_text_carry_the_same() {
    let discord = Discord::start().await;
    let mut plain = Gateway::connect(&discord, "?v=10&encoding=json").await;
    let mut zlib = Gateway::connect(&discord, "/?v=10&encoding=json&compress=zlib-stream").await;
    plain.payload().await;
    zlib.payload().await;
    plain.send(identify(&discord, "uro", ALL_INTENTS)).await;
    let guild = plain.event("GUILD_CREATE").await;
    zlib.send(identify(&discord, "peer", ALL_INTENTS)).await;
    let same = zlib.event("GUILD_CREATE").await;
    assert_eq!(guild["d"]["channels"], same["d"]["channels"]);
    let text = "ü".repeat(2000);
    discord
        .post_as("alice", "general", json!({"content": text}))
        .await;
    assert_eq!(zlib.event("MESSAGE_CREATE").await["d"]["content"], text);
    let names = discord.seen("/gateway").await["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["compression"].clone())
        .collect::<Vec<_>>();
    assert_eq!(names, ["none", "zlib-stream"]);
}

#[tokio::test]
async fn only_what_the_intents_name_is_sent() {
    let discord = Discord::start().await;
    let (mut all, _) = Gateway::identified(&discord, "uro", ALL_INTENTS).await;
    let (mut blind, _) = Gateway::identified(&discord, "peer", GUILDS | GUILD_MESSAGES).await;
    let (mut deaf, _) = Gateway::identified(&discord, "alice", GUILDS).await;
    for gateway in [&mut all, &mut blind, &mut deaf] {
        gateway.events().await;
    }
    let secret = json!({"content": "secret", "embeds": [{"title": "secret"}]});
    let posted = discord
        .post_as("bob", "general", secret.clone())
        .await
        .json();
    discord.post_as("peer", "general", secret).await;
    let mention = format!("<@{}> secret", discord.info().users["peer"].id);
    discord
        .post_as("bob", "general", json!({"content": mention}))
        .await;
    let path = format!(
        "/channels/{}/messages/{}",
        discord.channel("general"),
        posted["id"].as_str().unwrap()
    );
    discord.rest_as("bob", Method::DELETE, &path, None).await;

    let full = all.events().await;
    assert_eq!(
        kinds(&full),
        [
            "MESSAGE_CREATE",
            "MESSAGE_CREATE",
            "MESSAGE_CREATE",
            "MESSAGE_DELETE"
        ]
    );
    assert!(
        full[..3]
            .iter()
            .all(|event| event["d"]["content"].as_str().unwrap().contains("secret"))
    );
    assert_eq!(full[0]["d"]["guild_id"], discord.info().guild_id);
    assert_eq!(full[3]["d"]["id"], posted["id"]);
    let seen = blind.events().await;
    let contents: Vec<&Value> = seen[..3]
        .iter()
        .map(|event| &event["d"]["content"])
        .collect();
    assert_eq!(
        contents,
        [&json!(""), &json!("secret"), &json!(mention)],
        "its own and what mentions it"
    );
    assert_eq!(seen[0]["d"]["embeds"], json!([]));
    assert_eq!(kinds(&deaf.events().await), [""; 0]);

    // What happens in a channel that a bot does not see is not for it.
    discord
        .post_as("alice", "staff", json!({"content": "x"}))
        .await;
    assert_eq!(kinds(&all.events().await), [""; 0]);
}

#[tokio::test]
async fn identifies_that_discord_refuses_are_refused() {
    let discord = Discord::start().await;
    identify_freely(&discord).await;
    let mut token = identify(&discord, "uro", 0);
    token["d"]["token"] = json!("MTIz.a.b");
    let mut shard = identify(&discord, "uro", 0);
    shard["d"]["shard"] = json!([2, 2]);
    let mut properties = identify(&discord, "uro", 0);
    properties["d"]
        .as_object_mut()
        .unwrap()
        .remove("properties");
    let cases = [
        (token, 4004),
        (shard, 4010),
        (properties, 4002),
        (identify(&discord, "uro", 1 << 30), 4013),
        (json!({"op": 3, "d": {}}), 4003),
        (json!({"op": 99, "d": {}}), 4001),
        (json!({"op": "2"}), 4002),
        (json!([]), 4002),
        (json!({"op": 1, "d": "x".repeat(4096)}), 4002),
    ];
    for (payload, code) in cases {
        let mut gateway = Gateway::open(&discord).await;
        gateway.send(payload.clone()).await;
        assert_eq!(gateway.close_code().await, code, "{payload}");
    }
    let mut gateway = Gateway::open(&discord).await;
    gateway.send_text("{\"op\":".to_owned()).await;
    assert_eq!(gateway.close_code().await, 4002);

    discord
        .tell("/settings", json!({"privileged_intents": 0}))
        .await;
    let mut gateway = Gateway::open(&discord).await;
    gateway
        .send(identify(&discord, "uro", MESSAGE_CONTENT))
        .await;
    assert_eq!(gateway.close_code().await, 4014);

    let (mut gateway, _) = Gateway::identified(&discord, "uro", GUILDS).await;
    gateway.send(identify(&discord, "uro", GUILDS)).await;
    assert_eq!(gateway.close_code().await, 4005);
    let mut gateway = Gateway::connect(&discord, "/?v=9&encoding=json").await;
    assert_eq!(gateway.close_code().await, 4012);
}

#[tokio::test]
async fn identifies_take_their_time_and_their_budget() {
    let discord = Discord::start().await;
    let (_first, _) = Gateway::identified(&discord, "uro", GUILDS).await;
    let mut second = Gateway::open(&discord).await;
    second.send(identify(&discord, "uro", GUILDS)).await;
    let refused = second.payload().await;
    assert_eq!((&refused["op"], &refused["d"]), (&json!(9), &json!(false)));
    discord
        .tell(
            "/settings",
            json!({"identify_interval_ms": 0, "identify_budget": 3}),
        )
        .await;
    second.send(identify(&discord, "uro", GUILDS)).await;
    second.event("READY").await;
    let limit =
        discord.rest(Method::GET, "/gateway/bot", None).await.json()["session_start_limit"].clone();
    assert_eq!(
        (&limit["total"], &limit["remaining"]),
        (&json!(3), &json!(0))
    );
    let mut third = Gateway::open(&discord).await;
    third.send(identify(&discord, "uro", GUILDS)).await;
    assert_eq!(third.close_code().await, 4004, "Discord resets the token");
    let seen = discord.seen("/gateway").await;
    assert_eq!(
        seen["violations"],
        json!({"identify_rate": 1, "identify_budget": 1})
    );
    assert_eq!(seen["identifies"], 2);
}

#[tokio::test]
async fn presence_is_shown_and_kept_to_five_in_twenty_seconds() {
    let discord = Discord::start().await;
    let (mut watcher, _) = Gateway::identified(&discord, "peer", ALL_INTENTS).await;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", GUILDS).await;
    watcher.events().await;
    let presence = |state: String| {
        let activity = json!({"name": "Custom Status", "type": 4, "state": state});
        json!({"op": 3, "d": {"since": null, "activities": [activity], "status": "idle", "afk": false}})
    };
    for n in 1..=7 {
        gateway.send(presence(format!("{n} players"))).await;
    }
    gateway.events().await;
    let shown = discord.seen("/presence").await[0].clone();
    assert_eq!(
        (&shown["status"], &shown["activities"][0]["state"]),
        (&json!("idle"), &json!("5 players"))
    );
    assert_eq!(
        discord.seen("/gateway").await["violations"],
        json!({"presence_rate": 2})
    );
    let updates = watcher.events().await;
    assert_eq!(kinds(&updates), ["PRESENCE_UPDATE"; 5]);
    assert_eq!(updates[4]["d"]["activities"][0]["state"], "5 players");

    gateway
        .send(json!({"op": 3, "d": {"status": "busy"}}))
        .await;
    assert_eq!(gateway.close_code().await, 4002);
    let mut other = Gateway::open(&discord).await;
    let mut hello = identify(&discord, "alice", 0);
    hello["d"]["presence"] = json!({"status": "dnd", "activities": [{"name": "x", "type": 0}], "since": null, "afk": false});
    other.send(hello).await;
    other.event("READY").await;
    assert_eq!(discord.seen("/presence").await[2]["status"], "dnd");
    other.close(1000).await;
    discord.wait_for(0, "session_end").await;
    assert_eq!(discord.seen("/presence").await[2]["status"], "offline");
}

#[tokio::test]
async fn a_hundred_and_twenty_commands_a_minute_are_the_most() {
    let discord = Discord::start().await;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    for _ in 0..120 {
        gateway.send(json!({"op": 1, "d": null})).await;
    }
    assert_eq!(gateway.close_code().await, 4008);
    assert_eq!(
        discord.seen("/gateway").await["violations"],
        json!({"command_rate": 1})
    );
}

#[tokio::test]
async fn voice_and_members_are_answered() {
    let discord = Discord::start().await;
    let guild = &discord.info().guild_id;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", ALL_INTENTS).await;
    gateway.events().await;
    let join = |channel: Value| json!({"op": 4, "d": {"guild_id": guild, "channel_id": channel, "self_mute": false, "self_deaf": true}});
    gateway.send(join(json!(discord.channel("world")))).await;
    let joined = gateway.events().await;
    assert_eq!(
        kinds(&joined),
        ["VOICE_STATE_UPDATE", "VOICE_SERVER_UPDATE"]
    );
    assert_eq!(joined[0]["d"]["self_deaf"], true);
    assert_eq!(
        discord.seen("/guild").await["voice_states"][0]["channel_id"],
        discord.channel("world")
    );
    gateway.send(join(json!(discord.channel("general")))).await;
    assert_eq!(
        kinds(&gateway.events().await),
        [""; 0],
        "not a voice channel"
    );
    gateway.send(join(Value::Null)).await;
    assert_eq!(kinds(&gateway.events().await), ["VOICE_STATE_UPDATE"]);
    assert_eq!(discord.seen("/guild").await["voice_states"], json!([]));

    gateway
        .send(json!({"op": 8, "d": {"guild_id": guild, "query": "", "limit": 0, "nonce": "n"}}))
        .await;
    let chunk = &gateway.events().await[0]["d"];
    assert_eq!(
        (chunk["members"].as_array().unwrap().len(), &chunk["nonce"]),
        (4, &json!("n"))
    );
    gateway.send(json!({"op": 8, "d": {"guild_id": guild, "user_ids": [discord.info().users["bob"].id, "1"]}})).await;
    let chunk = &gateway.events().await[0]["d"];
    assert_eq!(
        (
            &chunk["members"][0]["user"]["username"],
            &chunk["not_found"]
        ),
        (&json!("bob"), &json!(["1"]))
    );
}
