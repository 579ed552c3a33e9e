//! Voice: the program on its pipes, in a channel of discord-sim.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::Bridge;
use support::sim::{Discord, INTENTS};
use uro_discord_wire::{FromBridge, GatewayState, Play, VoiceState};

/// GUILD_VOICE_STATES.
const VOICE_STATES: u64 = 1 << 7;

/// A file that is removed with its owner.
struct Tune(PathBuf);

impl Tune {
    /// So many packets of 20 ms. What is in them is nobody's business on the way.
    fn new(name: &str, packets: u64) -> Self {
        let path = std::env::temp_dir().join(format!("uro-{}-{name}.opus", std::process::id()));
        let mut writer = PacketWriter::new(std::fs::File::create(&path).unwrap());
        let page = PacketWriteEndInfo::EndPage;
        writer
            .write_packet(b"OpusHead".to_vec(), 1, page, 0)
            .unwrap();
        writer
            .write_packet(b"OpusTags".to_vec(), 1, page, 0)
            .unwrap();
        for number in 0..packets {
            let end = if number + 1 == packets {
                PacketWriteEndInfo::EndStream
            } else {
                PacketWriteEndInfo::NormalPacket
            };
            let packet = [&[0xfc][..], &[7; 60][..]].concat();
            writer
                .write_packet(packet, 1, end, (number + 1) * 960)
                .unwrap();
        }
        Self(path)
    }

    fn play(&self, again: bool) -> Play {
        Play {
            path: self.0.to_str().unwrap().into(),
            again,
            attempt: 1,
        }
    }
}

impl Drop for Tune {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The desired state with the bot in this channel.
fn in_channel(discord: &Discord, sessions: Value, channel: &str, play: Option<&Play>) -> Value {
    let info = discord.info();
    let mut gateway = discord.gateway(&[]);
    gateway["intents"] = json!(INTENTS | VOICE_STATES);
    gateway["sessions"] = sessions;
    json!({
        "gateway": gateway,
        "presence": null,
        "voice": {
            "user": info.application_id,
            "channels": [{
                "guild": info.guild_id,
                "channel": info.channels[channel],
                "attempt": 1,
                "play": play,
            }],
        },
    })
}

async fn voice<T>(bridge: &mut Bridge, wanted: impl Fn(VoiceState) -> Option<T>) -> T {
    let state = bridge.until(|message| match message {
        FromBridge::Voice { state, .. } => wanted(state),
        _ => None,
    });
    support::patiently("a fact about voice", state).await
}

async fn joined(bridge: &mut Bridge) -> String {
    voice(bridge, |state| match state {
        VoiceState::Joined(place) => Some(place.channel.to_string()),
        VoiceState::Ended(ended) => panic!("{}", ended.reason),
        _ => None,
    })
    .await
}

/// What the simulator knows of our bot in voice.
async fn seen(discord: &Discord) -> Option<Value> {
    let voice = discord.get("voice").await;
    assert_eq!(voice["violations"], json!({}), "{voice:#}");
    let channels = voice["channels"].as_array().unwrap();
    channels
        .iter()
        .flat_map(|channel| channel["users"].as_array().unwrap())
        .find(|user| user["user_id"] == discord.info().application_id)
        .cloned()
}

/// Waits until the simulator has frames from us, more than so many.
async fn heard(discord: &Discord, more_than: u64) -> u64 {
    support::patiently("frames", async {
        loop {
            let frames = seen(discord)
                .await
                .and_then(|user| user["frames"]["received"].as_u64());
            match frames {
                Some(frames) if frames > more_than => return frames,
                // There is no event for a frame.
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
}

#[tokio::test]
async fn whoever_joins_again_is_told_what_there_is() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let mut desired = in_channel(&discord, json!([]), "world", None);
    bridge.desire(desired.clone()).await;
    let world = joined(&mut bridge).await;
    for attempt in [2, 3] {
        desired["voice"]["channels"][0]["attempt"] = json!(attempt);
        bridge.desire(desired.clone()).await;
        assert_eq!(joined(&mut bridge).await, world);
        voice(&mut bridge, |state| match state {
            VoiceState::Encryption(encryption) => Some(encryption),
            _ => None,
        })
        .await;
    }
    // In one session all the time.
    let log = discord.get("events").await;
    let identifies = log["events"].as_array().unwrap().iter();
    let identifies = identifies.filter(|event| event["type"] == "voice_identify");
    assert_eq!(identifies.count(), 1, "{log:#}");
}

// On a stage, which is not end-to-end encrypted: elsewhere there is no key, and nothing to hear, while the bot is alone.
#[tokio::test]
async fn joins_plays_and_leaves() {
    let discord = Discord::start().await;
    let tune = Tune::new("once", 25);
    let mut bridge = Bridge::greeted().await;
    let play = tune.play(false);
    bridge
        .desire(in_channel(&discord, json!([]), "stage", Some(&play)))
        .await;
    assert_eq!(
        joined(&mut bridge).await,
        discord.info().channels["stage"].to_string()
    );
    let played = voice(&mut bridge, |state| match state {
        VoiceState::Played(played) => Some(played),
        _ => None,
    })
    .await;
    assert_eq!((&*played.path, played.error), (&*play.path, None));
    // All of it, from the beginning, though the last of it is on its way still.
    heard(&discord, 24).await;

    bridge.desire(json!({"voice": null})).await;
    voice(&mut bridge, |state| {
        matches!(state, VoiceState::Left).then_some(())
    })
    .await;
    support::patiently("the bot to be gone", async {
        while seen(&discord).await.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    bridge.close().await;
}

#[tokio::test]
async fn after_sigkill_it_is_back_and_heard() {
    let discord = Discord::start().await;
    let tune = Tune::new("again", 50);
    let play = tune.play(true);
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(in_channel(&discord, json!([]), "stage", Some(&play)))
        .await;
    let mut active = None;
    while active.is_none() {
        active = match bridge.state().await {
            GatewayState::Active(active) => Some(active),
            _ => None,
        };
    }
    let active = active.unwrap();
    joined(&mut bridge).await;
    heard(&discord, 10).await;
    bridge.kill().await;

    let killed = Instant::now();
    let mut bridge = Bridge::greeted().await;
    let sessions = json!([{
        "shard": 0, "id": active.session_id, "sequence": active.sequence, "resume_url": active.resume_url,
    }]);
    bridge
        .desire(in_channel(&discord, sessions, "stage", Some(&play)))
        .await;
    joined(&mut bridge).await;
    // The counts are of a session, and this is another one.
    heard(&discord, 10).await;
    let took = killed.elapsed();
    println!("heard again {took:?} after SIGKILL");
    assert!(took < Duration::from_secs(10), "{took:?}");
    bridge.close().await;
}

#[tokio::test]
async fn a_full_channel_is_said_and_so_is_a_wrong_file() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let play = Play {
        path: "/does/not/exist".into(),
        again: false,
        attempt: 1,
    };
    bridge
        .desire(in_channel(&discord, json!([]), "stage", Some(&play)))
        .await;
    let played = voice(&mut bridge, |state| match state {
        VoiceState::Played(played) => Some(played),
        _ => None,
    })
    .await;
    assert!(played.error.unwrap().contains("cannot be opened"));

    // A text channel is none to speak in; Discord says nothing.
    bridge
        .desire(in_channel(&discord, json!([]), "general", None))
        .await;
    let ended = voice(&mut bridge, |state| match state {
        VoiceState::Ended(ended) => Some(ended),
        _ => None,
    })
    .await;
    assert!(
        ended.reason.contains("did not let the bot into"),
        "{}",
        ended.reason
    );
    bridge.close().await;
}

#[tokio::test]
async fn people_move_the_bot_and_throw_it_out() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(in_channel(&discord, json!([]), "world", None))
        .await;
    joined(&mut bridge).await;
    discord
        .post(
            "voice",
            json!({"action": "move", "user": "uro", "channel": "lobby"}),
        )
        .await;
    assert_eq!(
        joined(&mut bridge).await,
        discord.info().channels["lobby"].to_string()
    );
    discord
        .post("voice", json!({"action": "disconnect", "user": "uro"}))
        .await;
    let ended = voice(&mut bridge, |state| match state {
        VoiceState::Ended(ended) => Some(ended),
        _ => None,
    })
    .await;
    // Somebody wanted it so.
    assert_eq!(ended.retry_ms, None);
    // Asked again, it comes again.
    let mut again = in_channel(&discord, json!([]), "world", None);
    again["voice"]["channels"][0]["attempt"] = json!(2);
    bridge.desire(json!({"voice": again["voice"]})).await;
    joined(&mut bridge).await;
    bridge.close().await;
}
