//! What a voice channel says of itself.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use hyper::Method;
use serde_json::{Value, json};
use support::{
    Discord, error, form_errors,
    gateway::{ALL_INTENTS, Gateway},
};

async fn shown(discord: &Discord) -> Value {
    let guild = discord.seen("/guild").await;
    let channels = guild["channels"].as_array().unwrap();
    let world = channels.iter().find(|channel| channel["name"] == "world");
    world.unwrap()["status"].clone()
}

async fn set(discord: &Discord, user: &str, channel: &str, status: Value) -> support::Answer {
    let path = format!("/channels/{}/voice-status", discord.channel(channel));
    let body = json!({"status": status});
    discord.rest_as(user, Method::PUT, &path, Some(body)).await
}

#[tokio::test]
async fn it_is_set_and_cleared_and_told() {
    let discord = Discord::start().await;
    let (mut gateway, _) = Gateway::identified(&discord, "peer", ALL_INTENTS).await;
    assert_eq!(shown(&discord).await, Value::Null);
    for (status, seen) in [
        (json!("11 players"), json!("11 players")),
        (json!("é".repeat(500)), json!("é".repeat(500))),
        (json!(""), Value::Null),
        (json!("again"), json!("again")),
        (Value::Null, Value::Null),
    ] {
        let answer = set(&discord, "uro", "world", status).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
        assert_eq!(shown(&discord).await, seen);
        let told = gateway.event("VOICE_CHANNEL_STATUS_UPDATE").await;
        let guild = &discord.seen("/guild").await["id"];
        assert_eq!(
            told["d"],
            json!({"id": discord.channel("world"), "guild_id": guild, "status": seen})
        );
        assert_eq!(
            discord.wait_for(0, "voice_channel_status").await["id"],
            told["d"]["id"]
        );
    }
}

#[tokio::test]
async fn it_is_for_voice_channels_and_for_who_may() {
    let discord = Discord::start().await;
    let status = json!("hello");
    assert_eq!(
        error(&set(&discord, "uro", "status", status.clone()).await),
        (400, 50024)
    );
    // Not in the channel, and not one who manages it.
    assert_eq!(
        error(&set(&discord, "peer", "world", status.clone()).await),
        (403, 50013)
    );
    let (mut gateway, _) = Gateway::identified(&discord, "peer", ALL_INTENTS).await;
    let guild = discord.seen("/guild").await["id"].clone();
    let join = json!({"guild_id": guild, "channel_id": discord.channel("world"), "self_mute": false, "self_deaf": true});
    gateway.send(json!({"op": 4, "d": join})).await;
    gateway.event("VOICE_STATE_UPDATE").await;
    assert_eq!(
        set(&discord, "peer", "world", status.clone()).await.status,
        204
    );
    assert_eq!(shown(&discord).await, status);

    let long = set(&discord, "uro", "world", json!("x".repeat(501))).await;
    assert_eq!(
        form_errors(&long)["status"]["_errors"][0]["code"],
        "BASE_TYPE_MAX_LENGTH"
    );
    let path = format!("/channels/{}/voice-status", discord.channel("world"));
    let none = discord.rest(Method::PUT, &path, Some(json!({}))).await;
    assert_eq!(
        form_errors(&none)["status"]["_errors"][0]["code"],
        "BASE_TYPE_REQUIRED"
    );
    assert_eq!(shown(&discord).await, status);
}
