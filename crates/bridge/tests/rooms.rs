//! More voice channels on one shard than Discord takes commands for in a minute: at which pace they are joined, and what a lost connection
//! or a killed bridge costs.
//!
//! Discord's minute is a second here, so that a thousand rooms take one too. `ROOMS_REAL=1 cargo test -p uro-discord-bridge --test rooms --
//! --ignored --nocapture` has the thousand at Discord's own pace, with the program in place of the library: about half an hour.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use support::sim::{Discord, INTENTS};
use support::{Bridge, Program, Thread};
use uro_discord_wire::{FromBridge, GatewayState, VoiceState};

/// GUILD_VOICE_STATES.
const VOICE_STATES: u64 = 1 << 7;

/// In which time Discord takes 120 commands, and the bridge sends as many as it may. They are further apart than those of the bridge,
/// since a busy machine may hold up what the one sends for longer than the network does.
const DISCORDS_WINDOW: Duration = Duration::from_millis(1_000);
const WINDOW: Duration = Duration::from_millis(2_000);

/// A bridge that can be killed.
trait Killable: Sized {
    /// Without a goodbye.
    async fn kill(bridge: Bridge<Self>);
}

impl Killable for Program {
    async fn kill(bridge: Bridge<Self>) {
        bridge.kill().await;
    }
}

impl Killable for Thread {
    async fn kill(bridge: Bridge<Self>) {
        bridge.kill().await;
    }
}

/// A session as Elixir would keep it.
#[derive(Default)]
struct Session(Option<Value>);

impl Session {
    fn hear(&mut self, message: &FromBridge<'_>) {
        match message {
            FromBridge::Gateway {
                state: GatewayState::Active(active),
                ..
            } => {
                self.0 = Some(
                    json!({"shard": 0, "id": active.session_id, "sequence": active.sequence, "resume_url": active.resume_url}),
                );
            }
            FromBridge::Sequence { sequence, .. } => {
                if let Some(session) = &mut self.0 {
                    session["sequence"] = json!(sequence);
                }
            }
            _ => {}
        }
    }
}

/// What Elixir knows and wants.
struct Elixir<'a> {
    discord: &'a Discord,
    guilds: &'a [Value],
    session: Session,
    /// The guilds in which the bot is in the channel.
    joined: BTreeSet<String>,
}

impl<'a> Elixir<'a> {
    /// Says all of what is wanted.
    async fn desire<P>(&self, bridge: &mut Bridge<P>) {
        let mut gateway = self.discord.gateway(&[]);
        gateway["intents"] = json!(INTENTS | VOICE_STATES);
        gateway["sessions"] = self.session.0.iter().cloned().collect();
        bridge.credit(1_000_000).await;
        bridge
            .desire(json!({"gateway": gateway, "presence": null, "voice": self.voice()}))
            .await;
    }

    /// Wants no more than these.
    async fn want<P>(&mut self, bridge: &mut Bridge<P>, guilds: &'a [Value]) {
        self.guilds = guilds;
        let wanted = ids(guilds);
        self.joined.retain(|guild| wanted.contains(guild));
        bridge.desire(json!({"voice": self.voice()})).await;
    }

    /// The bot in the first channel of each guild.
    fn voice(&self) -> Value {
        let channels = self.guilds.iter().map(|guild| {
            json!({"guild": guild["id"], "channel": guild["voice_channels"][0], "attempt": 1, "play": null})
        });
        let user = &self.discord.info().application_id;
        json!({"user": user, "channels": channels.collect::<Vec<_>>()})
    }

    /// Reads until the bot has joined so many more, or all.
    async fn join<P>(&mut self, bridge: &mut Bridge<P>, more: usize) {
        let enough = self
            .joined
            .len()
            .saturating_add(more)
            .min(self.guilds.len());
        while self.joined.len() < enough {
            let message = bridge.next().await;
            let message = message.decode();
            self.session.hear(&message);
            match message {
                FromBridge::Voice {
                    guild,
                    state: VoiceState::Joined(_),
                } => {
                    let guild = guild.to_string();
                    if self.guilds.iter().any(|wanted| wanted["id"] == guild) {
                        self.joined.insert(guild);
                    }
                }
                FromBridge::Voice {
                    guild,
                    state: VoiceState::Ended(ended),
                } => {
                    assert!(ended.retry_ms.is_some(), "guild {guild}: {}", ended.reason);
                    self.joined.remove(&guild.to_string());
                }
                _ => {}
            }
        }
    }
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

fn ids(guilds: &[Value]) -> BTreeSet<String> {
    let ids = guilds.iter().map(|guild| guild["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// So many rooms are wanted, the last quarter until shortly before their turn. The connection is lost twice, the bridge is killed once.
async fn all_are_joined<P: Killable>(
    rooms: usize,
    discord: &Discord,
    window: Duration,
    bridge: impl AsyncFn() -> Bridge<P>,
) {
    let start = async || {
        let mut bridge = bridge().await;
        // Between two windows there may be nothing to say.
        bridge.frames.patience += window;
        bridge
    };
    let guilds = discord
        .post("guilds", json!({"count": rooms, "voice_channels": 1}))
        .await;
    let guilds = guilds.as_array().unwrap();
    let mut elixir = Elixir {
        discord,
        guilds,
        session: Session::default(),
        joined: BTreeSet::new(),
    };
    let started = Instant::now();
    let mut running = start().await;
    elixir.desire(&mut running).await;
    elixir.join(&mut running, rooms / 10).await;
    elixir
        .want(&mut running, &guilds[..rooms - rooms / 4])
        .await;

    discord.cut("drop").await;
    let (resumed, _) = discord.logged_after("resume", 0).await;
    elixir.join(&mut running, rooms / 10).await;

    P::kill(running).await;
    elixir.joined.clear();
    running = start().await;
    elixir.desire(&mut running).await;
    let (resumed, _) = discord.logged_after("resume", resumed).await;
    elixir.join(&mut running, rooms / 10).await;

    // What the lost connection may have swallowed is told anew, the leaves too.
    let wanted = &guilds[rooms / 20..rooms - rooms / 4];
    elixir.want(&mut running, wanted).await;
    discord.cut("reconnect").await;
    discord.logged_after("resume", resumed).await;
    elixir.join(&mut running, rooms).await;
    let took = started.elapsed();

    let patience = running.frames.patience;
    let settled = tokio::time::timeout(patience, async {
        while taken(discord).await != ids(wanted) {
            // There is no event for the last leave of several.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    settled.await.expect("the bot is not where it is to be");
    let gateway = discord.get("gateway").await;
    assert_eq!(gateway["violations"], json!({}), "{gateway:#}");
    assert_eq!(
        (&gateway["identifies"], &gateway["resumes"]),
        (&json!(1), &json!(3))
    );
    let told = gateway["commands"]["4"].as_u64().unwrap();
    println!(
        "{} of {rooms} rooms were joined in {took:?}, with {told} commands, 80 in {window:?}",
        wanted.len()
    );
    // A leave and a join for each room, since another process had the session; and both again for what may have been lost with one of the
    // three connections.
    let most = 2 * rooms + 3 * 2 * 80;
    assert!(told <= most as u64, "{told} commands for {rooms} rooms");
    P::kill(running).await;
}

async fn all_are_joined_in_scale(rooms: usize) {
    let discord = Discord::start().await;
    let window = u64::try_from(DISCORDS_WINDOW.as_millis()).unwrap();
    discord
        .post("settings", json!({"command_window_ms": window}))
        .await;
    let bridge = async || Bridge::in_window(WINDOW).await;
    all_are_joined(rooms, &discord, WINDOW, bridge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_joined_at_the_pace_that_discord_allows() {
    all_are_joined_in_scale(200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes a minute; bin/test runs it"]
async fn a_thousand_are_joined_at_the_pace_that_discord_allows() {
    if std::env::var_os("ROOMS_REAL").is_none() {
        return all_are_joined_in_scale(1_000).await;
    }
    let discord = Discord::start().await;
    let window = Duration::from_secs(62);
    all_are_joined(1_000, &discord, window, Bridge::greeted).await;
}
