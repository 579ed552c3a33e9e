//! Peers over real sockets: how they come, what they hear, how they go.

mod common;

use common::client::{Client, Plan, Seen};
use common::{open, token};
use serde_json::json;
use uro_discord_portal::token::Role;
use uro_discord_portal::{Left, Limits};

#[tokio::test]
async fn a_publisher_joins_and_leaves() {
    let mut world = open("127.0.0.1:0", Limits::default());
    let plan = Plan {
        kind: "whip",
        token: token(Role::Publish, "user:1"),
        audio: "sendonly",
        video: true,
        ..Plan::default()
    };
    let mut client = Client::connect(&world.routes, plan).await;
    client.connected().await;
    world.joined().await;
    client.close();
    assert_eq!(world.left().await, Left::Said);
}

#[tokio::test]
async fn a_world_says_hello() {
    let mut world = open("127.0.0.1:0", Limits::default());
    let plan = Plan {
        token: token(Role::Peer, "world:1"),
        channels: true,
        ..Plan::default()
    };
    let mut client = Client::connect(&world.routes, plan).await;
    client.opened().await;
    client.say(&json!({"type": "hello", "proto": 1, "role": "world", "voice": {"codec": "opus", "frame_ms": 10, "channels": 1, "rate": 48000}, "listens": "each"}));
    let peer = world.joined().await;
    let welcome = client.text().await;
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(welcome["peer"], peer.0);
    assert_eq!(welcome["voice"]["frame_ms"], 10);
    let roster = client.text().await;
    assert_eq!(roster, json!({"type": "roster", "speakers": []}));
    client.say_text(r#"{"type":"bye"}"#);
    assert_eq!(world.left().await, Left::Said);
    client
        .see(|seen| matches!(seen, Seen::Over | Seen::ChannelClosed).then_some(()))
        .await;
}
