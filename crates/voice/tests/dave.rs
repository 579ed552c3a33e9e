//! End-to-end encryption in discord-sim's voice channels, which have a real MLS external sender.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod support;

use serde_json::json;
use support::{Bot, Discord, MainGateway, PlainClient, frame, soon, talk};
use uro_discord_voice::{DaveStatus, Event, Step};

async fn dave(bot: &Bot) -> DaveStatus {
    soon(bot.session.status()).await.unwrap().dave
}

/// Waits until everybody has the same privacy code, which is another than `old`, and gives it.
async fn same_code(bots: &mut [&mut Bot], old: Option<&str>) -> String {
    let search = async {
        loop {
            let mut codes = Vec::new();
            for bot in &mut *bots {
                codes.push(dave(bot).await.privacy_code);
            }
            codes.dedup();
            if let [Some(code)] = &codes[..]
                && Some(&**code) != old
            {
                return code.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon(search).await
}

/// Frames that the server had from a bot, and how many of them it could read. Silence does not count: it is always in clear.
async fn heard(discord: &Discord, bot: &str) -> (u64, u64) {
    let frames = discord.in_voice(bot).await.unwrap()["frames"].clone();
    let count = |key: &str| frames[key].as_u64().unwrap();
    (count("received"), count("without_dave"))
}

#[tokio::test]
async fn a_join_a_leave_and_a_join_again() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    // Alone there is nobody to talk to, and no key.
    assert!(!dave(&uro).await.can_send);
    uro.say(b'x', 5).await.unwrap();
    while soon(uro.session.status()).await.unwrap().sent.no_key < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut peer = discord.bot("peer", "world").await;
    let code = same_code(&mut [&mut uro, &mut peer], None).await;
    assert_eq!(code.len(), 30);
    talk(&mut [&mut uro, &mut peer]).await;
    let mut third = discord.bot("bot-1", "world").await;
    let code = same_code(&mut [&mut uro, &mut peer, &mut third], Some(&code)).await;
    talk(&mut [&mut uro, &mut peer, &mut third]).await;
    assert_eq!(dave(&uro).await.version, 1);

    peer.gateway.voice_state(&discord, None).await;
    peer.session.leave().await;
    let code = same_code(&mut [&mut uro, &mut third], Some(&code)).await;
    talk(&mut [&mut uro, &mut third]).await;

    let mut peer = discord.bot("peer", "world").await;
    same_code(&mut [&mut uro, &mut peer, &mut third], Some(&code)).await;
    talk(&mut [&mut uro, &mut peer, &mut third]).await;

    let status = soon(uro.session.status()).await.unwrap();
    assert_eq!(status.received.undecryptable, 0, "{status:?}");
    let (frames, readable) = heard(&discord, "uro").await;
    assert!(frames >= 4 * 20, "{frames}");
    assert_eq!(readable, 0);
    discord.no_violations().await;
}

#[tokio::test]
async fn down_to_no_encryption_and_up_again() {
    let discord = Discord::start(false).await;
    discord
        .post("settings", json!({"dave_required": false}))
        .await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "world").await;
    talk(&mut [&mut uro, &mut peer]).await;
    for _ in 0..2 {
        // Somebody who cannot encrypt.
        let mut gateway = MainGateway::open(&discord, "bot-1").await;
        let mut handshake = gateway.ask(&discord, "world").await;
        let Step::Join(info) = gateway.step(&mut handshake).await else {
            panic!("no server");
        };
        let plain = PlainClient::join(&info).await;
        for bot in [&mut uro, &mut peer] {
            bot.event(|event| matches!(event, Event::Encryption(dave) if dave.version == 0))
                .await;
        }
        assert_eq!(dave(&uro).await.privacy_code, None);
        let (_, before) = heard(&discord, "uro").await;
        talk(&mut [&mut uro, &mut peer]).await;
        let (_, after) = heard(&discord, "uro").await;
        assert_eq!(after, before + 20);
        gateway.voice_state(&discord, None).await;
        drop(plain);
        for bot in [&mut uro, &mut peer] {
            bot.event(|event| {
                matches!(event, Event::Encryption(dave) if dave.version == 1 && dave.can_send)
            })
            .await;
        }
        same_code(&mut [&mut uro, &mut peer], None).await;
        talk(&mut [&mut uro, &mut peer]).await;
        assert_eq!(heard(&discord, "uro").await.1, after);
    }
    discord.no_violations().await;
}

#[tokio::test]
async fn a_storm_of_new_groups() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "world").await;
    let mut third = discord.bot("bot-1", "world").await;
    talk(&mut [&mut uro, &mut peer, &mut third]).await;
    let code = same_code(&mut [&mut uro, &mut peer, &mut third], None).await;
    // Each is answered by a key package and commits, and the voice gateway takes 120 messages in ten seconds.
    for number in 0..2 {
        uro.session.send_opus(frame(b's', number)).await.unwrap();
        discord
            .post(
                "voice",
                json!({"action": "recreate_group", "channel": "world", "times": 10}),
            )
            .await;
    }
    same_code(&mut [&mut uro, &mut peer, &mut third], Some(&code)).await;
    for bot in [&mut uro, &mut peer, &mut third] {
        bot.forget_frames().await;
    }
    talk(&mut [&mut uro, &mut peer, &mut third]).await;
    assert_eq!(heard(&discord, "uro").await.1, 0);
    discord.no_violations().await;
}

#[tokio::test]
async fn a_damaged_commit_is_recovered_from() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "world").await;
    talk(&mut [&mut uro, &mut peer]).await;
    let code = same_code(&mut [&mut uro, &mut peer], None).await;
    discord
        .post("voice", json!({"action": "damage_commit", "user": "uro"}))
        .await;
    let mut third = discord.bot("bot-1", "world").await;
    same_code(&mut [&mut uro, &mut peer, &mut third], Some(&code)).await;
    talk(&mut [&mut uro, &mut peer, &mut third]).await;
    discord.no_violations().await;
}

/// Whoever is not let into the group hears nothing and is not heard, in particular not in clear.
#[tokio::test]
async fn without_a_commit_there_is_silence() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "world").await;
    talk(&mut [&mut uro, &mut peer]).await;
    discord
        .post(
            "faults",
            json!([{"voice_opcode": 28, "ignore": true, "times": 1000}]),
        )
        .await;
    let mut third = discord.bot("bot-1", "world").await;
    third.say(b'z', 20).await.unwrap();
    // Both others are still in their group.
    talk(&mut [&mut uro, &mut peer]).await;
    assert!(!dave(&third).await.can_send);
    assert_eq!(heard(&discord, "bot-1").await, (0, 0));
    discord
        .control(hyper::Method::DELETE, "faults", json!({}))
        .await;
    discord
        .post(
            "voice",
            json!({"action": "recreate_group", "channel": "world"}),
        )
        .await;
    same_code(&mut [&mut uro, &mut peer, &mut third], None).await;
    third.forget_frames().await;
    talk(&mut [&mut uro, &mut peer, &mut third]).await;
    discord.no_violations().await;
}

/// The group moves on while we are not connected; what was missed is repeated.
#[tokio::test]
async fn a_transition_during_a_resume() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let mut peer = discord.bot("peer", "world").await;
    talk(&mut [&mut uro, &mut peer]).await;
    let code = same_code(&mut [&mut uro, &mut peer], None).await;
    discord
        .post("faults", json!([{"voice_opcode": 7, "delay_ms": 1000}]))
        .await;
    discord
        .post("voice", json!({"action": "drop", "user": "uro"}))
        .await;
    let mut third = discord.bot("bot-1", "world").await;
    uro.event(|event| *event == Event::Resumed).await;
    same_code(&mut [&mut uro, &mut peer, &mut third], Some(&code)).await;
    talk(&mut [&mut uro, &mut peer, &mut third]).await;
    let status = soon(uro.session.status()).await.unwrap();
    assert_eq!(status.received.undecryptable, 0, "{status:?}");
    discord.no_violations().await;
}
