//! twilight-gateway, which our bridge is made with, logs in over zstd-stream and resumes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use serde_json::json;
use support::{Discord, soon};
use twilight_gateway::{ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt};

fn shard(discord: &Discord) -> Shard {
    let info = discord.info();
    let config = ConfigBuilder::new(info.token.clone(), Intents::all())
        .proxy_url(info.gateway.clone())
        .build();
    Shard::with_config(ShardId::ONE, config)
}

/// The next event that `wanted` makes something of.
async fn event<T>(shard: &mut Shard, wanted: impl Fn(Event) -> Option<T>) -> T {
    loop {
        let event = soon(shard.next_event(EventTypeFlags::all())).await;
        let event = event
            .expect("the shard goes on")
            .expect("an event that twilight knows");
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

#[tokio::test]
async fn it_logs_in_and_resumes_with_what_it_missed() {
    let discord = Discord::start().await;
    let mut shard = shard(&discord);
    let ready = event(&mut shard, |event| match event {
        Event::Ready(ready) => Some(ready),
        _ => None,
    })
    .await;
    assert_eq!(ready.user.id.to_string(), discord.info().application_id);
    let guild = event(&mut shard, |event| match event {
        Event::GuildCreate(guild) => Some(guild),
        _ => None,
    })
    .await;
    assert_eq!(guild.id().to_string(), discord.info().guild_id);
    assert_eq!(
        discord.seen("/gateway").await["connections"][0]["compression"],
        "zstd-stream"
    );

    discord.fault(json!({"opcode": 6, "delay_ms": 300})).await;
    let before = discord.now().await;
    discord
        .tell("/gateway", json!({"action": "reconnect"}))
        .await;
    let away = async {
        discord.wait_for(before, "disconnect").await;
        discord
            .post_as("alice", "general", json!({"content": "missed"}))
            .await
    };
    let back = event(&mut shard, |event| match event {
        Event::MessageCreate(message) => Some(message),
        Event::Ready(_) => panic!("a new session"),
        _ => None,
    });
    let (posted, message) = tokio::join!(away, back);
    assert_eq!(
        (posted.status.as_u16(), message.content.as_str()),
        (200, "missed")
    );
    event(&mut shard, |event| {
        matches!(event, Event::Resumed).then_some(())
    })
    .await;
    let seen = discord.seen("/gateway").await;
    assert_eq!(
        (&seen["identifies"], &seen["resumes"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn it_learns_of_a_bad_token() {
    let discord = Discord::start().await;
    let config = ConfigBuilder::new("MTIz.a.b".to_owned(), Intents::GUILDS)
        .proxy_url(discord.info().gateway.clone());
    let mut shard = Shard::with_config(ShardId::ONE, config.build());
    let code = event(&mut shard, |event| match event {
        Event::GatewayClose(Some(frame)) => Some(frame.code),
        _ => None,
    })
    .await;
    assert_eq!(code, 4004);
}
