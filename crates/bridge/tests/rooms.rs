//! More voice channels on one shard than Discord takes commands in a minute. `ROOMS=1000` has a thousand, for which the budget takes about
//! ten minutes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use support::Bridge;
use support::sim::{Discord, INTENTS};
use uro_discord_wire::{FromBridge, VoiceState};

/// GUILD_VOICE_STATES.
const VOICE_STATES: u64 = 1 << 7;

/// The desired state with the bot in the first channel of each of these guilds.
fn in_rooms(discord: &Discord, guilds: &[Value]) -> Value {
    let channels = guilds.iter().map(|guild| {
        json!({"guild": guild["id"], "channel": guild["voice_channels"][0], "attempt": 1, "play": null})
    });
    let user = &discord.info().application_id;
    json!({"user": user, "channels": channels.collect::<Vec<_>>()})
}

fn ids(guilds: &[Value]) -> BTreeSet<String> {
    let ids = guilds.iter().map(|guild| guild["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// The guilds in whose channels Discord has the bot.
async fn taken(discord: &Discord) -> BTreeSet<String> {
    let voice = discord.get("voice").await;
    let channels = voice["channels"].as_array().unwrap().iter();
    let taken = channels.filter(|channel| channel["users"] != json!([]));
    taken
        .map(|channel| channel["guild_id"].as_str().unwrap().to_owned())
        .collect()
}

/// Reads until the bot has joined in all these guilds.
async fn join(
    bridge: &mut Bridge,
    joined: &mut BTreeSet<String>,
    enough: impl Fn(&BTreeSet<String>) -> bool,
) {
    while !enough(joined) {
        let message = bridge.next().await;
        match message.decode() {
            FromBridge::Voice {
                guild,
                state: VoiceState::Joined(_),
            } => {
                joined.insert(guild.to_string());
            }
            FromBridge::Voice {
                guild,
                state: VoiceState::Ended(ended),
            } => {
                assert!(ended.retry_ms.is_some(), "guild {guild}: {}", ended.reason);
                joined.remove(&guild.to_string());
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_joined_at_the_pace_that_discord_allows() {
    let rooms: usize = std::env::var("ROOMS").map_or(150, |rooms| rooms.parse().unwrap());
    let discord = Discord::start().await;
    let guilds = discord
        .post("guilds", json!({"count": rooms, "voice_channels": 1}))
        .await;
    let guilds = guilds.as_array().unwrap();
    // The last quarter is withdrawn before its turn comes.
    let (stay, _withdrawn) = guilds.split_at(rooms - rooms / 4);
    let mut bridge = Bridge::greeted().await;
    let mut gateway = discord.gateway(&[]);
    gateway["intents"] = json!(INTENTS | VOICE_STATES);
    let voice = in_rooms(&discord, guilds);
    let started = Instant::now();
    bridge
        .desire(json!({"gateway": gateway, "presence": null, "voice": voice}))
        .await;
    let mut joined = BTreeSet::new();
    join(&mut bridge, &mut joined, |joined| joined.len() >= 20).await;
    bridge
        .desire(json!({"voice": in_rooms(&discord, stay)}))
        .await;
    // Lost in the middle, twice, and resumed; commands may be lost with it.
    let mut resumes = 0;
    for action in ["drop", "reconnect"] {
        discord
            .post("gateway", json!({"action": action, "user": "uro"}))
            .await;
        let more = joined.len() + 20;
        join(&mut bridge, &mut joined, |joined| {
            joined.len() >= more.min(stay.len())
        })
        .await;
        (resumes, _) = discord.logged_after("resume", resumes).await;
    }
    let expected = ids(stay);
    join(&mut bridge, &mut joined, |joined| {
        joined.is_superset(&expected)
    })
    .await;
    println!(
        "{} rooms were joined within {:?}",
        stay.len(),
        started.elapsed()
    );
    support::patiently("the bot to be where it is to be", async {
        while taken(&discord).await != expected {
            // There is no event for the last leave of several.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let gateway = discord.get("gateway").await;
    assert_eq!(gateway["violations"], json!({}), "{gateway:#}");
    assert_eq!(
        (&gateway["identifies"], &gateway["resumes"]),
        (&json!(1), &json!(2))
    );
    // One each, and again what may have been lost: a leave and a join for those that were under way.
    let told = gateway["commands"]["4"].as_u64().unwrap();
    let under_way = 80 * 2 * 2;
    assert!(
        told <= (stay.len() + under_way) as u64,
        "{told} commands for {} rooms",
        stay.len()
    );
    bridge.close().await;
}
