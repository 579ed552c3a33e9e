//! Pictures between clients that we did not write: Chromium and aiortc (libvpx, OpenH264, FFmpeg), which judge by colours what they see.
//!
//! `test/clients/install` makes the folders that the environment names, see crates/sim/tests/voice_clients.rs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use axum::Router;
use common::relay::Relay;
use common::{BAD, World, behind, open_with, token};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};
use uro_discord_portal::token::Role;
use uro_discord_portal::{Limits, NoClip, PeerId, PortalEvent, VideoCodec};

/// One step of a client takes at most so long, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bars: red, green, blue, white; and others.
const ONE: [&str; 4] = ["#ff0000", "#00ff00", "#0000ff", "#ffffff"];
const OTHER: [&str; 4] = ["#ffff00", "#00ffff", "#ff00ff", "#000000"];

/// A picture that stands still for longer is frozen.
const FREEZE_MS: f64 = 1_000.0;

/// So far a tone may be from its picture, in seconds: jitter buffers, and pictures of 15 a second, on a busy machine.
const IN_STEP: f64 = 0.2;

/// A client, which says what it sees in lines of JSON.
struct Client {
    _process: Child,
    told: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
    said: Vec<Value>,
}

impl Client {
    fn start(program: &str, file: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/clients");
        let mut command = Command::new(program);
        if file.ends_with(".mjs") {
            command.env("NODE_MODULES", variable("URO_DISCORD_NODE_MODULES"));
        }
        let mut process = command
            .arg(folder.join(file))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the interpreter starts");
        Self {
            told: process.stdin.take().unwrap(),
            says: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
            said: Vec::new(),
        }
    }

    async fn chromium() -> Self {
        let mut client = Self::start("node", "video.mjs");
        client.wait_for("ready").await;
        client
    }

    fn aiortc() -> Self {
        Self::start(&variable("URO_DISCORD_PYTHON"), "portal_video.py")
    }

    fn ffmpeg() -> Self {
        Self::start(&variable("URO_DISCORD_PYTHON"), "portal_ffmpeg.py")
    }

    /// Has it do something, and waits until it says that it did.
    async fn ask(&mut self, line: Value, event: &str) -> Value {
        let line = format!("{line}\n");
        self.told.write_all(line.as_bytes()).await.unwrap();
        self.wait_for(event).await
    }

    async fn wait_for(&mut self, event: &str) -> Value {
        loop {
            if let Some(at) = self.said.iter().position(|said| said["event"] == event) {
                return self.said.remove(at);
            }
            let said = &self.said;
            let line = timeout(PATIENCE, self.says.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no {event}; it had said {said:?}"));
            let line = line.unwrap().expect("the client ended");
            let said: Value = serde_json::from_str(&line).expect("a line of JSON");
            assert_ne!(said["event"], "failed", "{said}");
            self.said.push(said);
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; see test/clients/install"))
}

/// A portal, and where it is.
struct Theatre {
    world: World,
    url: String,
    _relay: Option<Relay>,
}

impl Theatre {
    async fn open() -> Self {
        let world = open_with("127.0.0.1:0", Limits::default(), &["*"]);
        let routes = world.routes.clone();
        Self::serve(world, routes, None).await
    }

    /// Media comes and goes by a bad network.
    async fn far_away() -> Self {
        let world = open_with("127.0.0.1:0", Limits::default(), &["*"]);
        let (routes, relay) = behind(&world, BAD).await;
        Self::serve(world, routes, Some(relay)).await
    }

    async fn serve(world: World, routes: Router, relay: Option<Relay>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/portal/lobby", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            world,
            url,
            _relay: relay,
        }
    }

    fn whip(&self, subject: &str) -> Value {
        json!({"do": "show", "url": format!("{}/whip", self.url), "token": token(Role::Publish, subject)})
    }

    fn whep(&self) -> Value {
        json!({"do": "watch", "url": format!("{}/whep", self.url), "token": token(Role::Watch, "viewer")})
    }

    async fn on_air(&mut self) -> Option<PeerId> {
        self.world
            .event(|event| match event {
                PortalEvent::OnAir { peer } => Some(peer),
                _ => None,
            })
            .await
    }
}

fn with(mut line: Value, more: &Value) -> Value {
    let more = more.as_object().unwrap().clone();
    line.as_object_mut().unwrap().extend(more);
    line
}

fn see(colours: [&str; 4]) -> Value {
    json!({"do": "see", "colours": colours})
}

/// One browser shows, in VP8 and then, by another camera, in H264; it sees each, and the other one only when it is on air.
#[tokio::test]
#[ignore = "wants Chromium: bin/test"]
async fn chromium_sees_the_bars_that_it_shows() {
    let mut theatre = Theatre::open().await;
    let mut chromium = Client::chromium().await;
    let first = with(
        theatre.whip("one"),
        &json!({"codec": "VP8", "colours": ONE}),
    );
    chromium.ask(first, "shown").await;
    let one = theatre.on_air().await.unwrap();
    chromium.ask(theatre.whep(), "watched").await;
    let seen = chromium.ask(see(ONE), "seen").await;
    assert_eq!(seen["codec"], "video/VP8");
    let second = with(
        theatre.whip("other"),
        &json!({"codec": "H264", "colours": OTHER}),
    );
    chromium.ask(second, "shown").await;
    chromium.ask(see(ONE), "seen").await;
    theatre.world.portal.camera(Some("other".into()));
    let other = theatre.on_air().await.unwrap();
    assert_ne!(one, other);
    let seen = chromium.ask(see(OTHER), "seen").await;
    assert_eq!(seen["codec"], "video/H264");
    theatre.world.portal.camera(None);
    chromium.ask(see(ONE), "seen").await;
    let status = theatre.world.portal.status().await.unwrap();
    let codecs: Vec<_> = status.cameras.iter().map(|it| it.codec).collect();
    assert_eq!(codecs, [Some(VideoCodec::Vp8), Some(VideoCodec::H264)]);
    assert_eq!(status.viewers[0].camera, Some(one));
    // They go, one after the other, and nothing is left of it.
    chromium.ask(json!({"do": "hide"}), "hidden").await;
    while theatre.on_air().await.is_some() {}
}

/// A browser that sends several layers is understood, and the largest one is seen.
#[tokio::test]
#[ignore = "wants Chromium: bin/test"]
async fn chromium_sends_layers() {
    let theatre = Theatre::open().await;
    let mut chromium = Client::chromium().await;
    let more = json!({"codec": "VP8", "colours": ONE, "layers": 2});
    chromium
        .ask(with(theatre.whip("one"), &more), "shown")
        .await;
    chromium.ask(theatre.whep(), "watched").await;
    let seen = timeout(PATIENCE, async {
        loop {
            let seen = chromium.ask(see(ONE), "seen").await;
            let status = theatre.world.portal.status().await.unwrap();
            if status.cameras[0].layers == 2 && seen["width"] == 640 {
                return seen;
            }
        }
    });
    assert!(seen.await.expect("both layers, and the largest seen")["decoded"].as_u64() > Some(0));
}

/// aiortc shows in both codecs, and both of them see it: what it says of H264 and what a browser says are not the same.
#[tokio::test]
#[ignore = "wants Chromium and aiortc: bin/test"]
async fn aiortc_and_chromium_see_each_other() {
    let theatre = Theatre::open().await;
    let (red, green) = ([255, 0, 0], [0, 255, 0]);
    let mut aiortc = Client::aiortc();
    let first = with(
        theatre.whip("one"),
        &json!({"codec": "H264", "colour": red}),
    );
    aiortc.ask(first, "shown").await;
    aiortc.ask(theatre.whep(), "watched").await;
    aiortc
        .ask(json!({"do": "see", "colour": red}), "seen")
        .await;
    let second = with(
        theatre.whip("other"),
        &json!({"codec": "VP8", "colour": green}),
    );
    aiortc.ask(second, "shown").await;
    theatre.world.portal.camera(Some("other".into()));
    aiortc
        .ask(json!({"do": "see", "colour": green}), "seen")
        .await;
    let mut chromium = Client::chromium().await;
    let third = with(
        theatre.whip("third"),
        &json!({"codec": "VP8", "colours": ["#0000ff"]}),
    );
    chromium.ask(third, "shown").await;
    theatre.world.portal.camera(Some("third".into()));
    aiortc
        .ask(json!({"do": "see", "colour": [0, 0, 255]}), "seen")
        .await;
}

/// Who watches sees the placeholder while there is no camera: before one comes, when it goes, and when nothing comes of it any more. No clip has it.
#[tokio::test]
#[ignore = "wants aiortc: bin/test"]
async fn aiortc_sees_the_placeholder_while_nobody_shows_a_picture() {
    let dark = json!({"do": "see", "colour": [21, 21, 21]});
    for codec in ["VP8", "H264"] {
        let mut theatre = Theatre::open().await;
        let longest = Duration::from_secs(30);
        theatre.world.portal.clips(Some(longest));
        let mut viewer = Client::aiortc();
        let watch = with(theatre.whep(), &json!({"codec": codec}));
        viewer.ask(watch, "watched").await;
        let seen = viewer.ask(dark.clone(), "seen").await;
        assert_eq!(seen["width"], 640);
        // Who says it in words is sent nothing; and it comes again to who sees it, while he is not.
        let mut told = Client::aiortc();
        let mut watch = with(theatre.whep(), &json!({"codec": codec}));
        watch["url"] = json!(format!("{}/whep?placeholder=false", theatre.url));
        told.ask(watch, "watched").await;
        for _ in 0..2 {
            viewer.ask(dark.clone(), "seen").await;
        }
        let received = told.ask(json!({"do": "received"}), "received").await;
        assert_eq!(received["packets"], 0);
        drop(told);
        let clip = theatre.world.portals.clip("lobby", longest).await;
        assert_eq!(clip, Err(NoClip::Nothing));
        let status = theatre.world.portal.status().await.unwrap();
        assert!(status.viewers.iter().all(|it| it.camera.is_none()));
        for (subject, colour) in [("one", [255, 0, 0]), ("other", [0, 255, 0])] {
            let mut shower = Client::aiortc();
            let show = json!({"codec": codec, "colour": colour});
            shower
                .ask(with(theatre.whip(subject), &show), "shown")
                .await;
            let camera = theatre.on_air().await;
            assert!(camera.is_some());
            let seen = viewer.ask(json!({"do": "see", "colour": colour}), "seen");
            assert_eq!(seen.await["width"], 320);
            let status = theatre.world.portal.status().await.unwrap();
            assert!(status.viewers.iter().any(|it| it.camera == camera));
            match subject {
                "one" => {
                    shower.ask(json!({"do": "hide"}), "hidden").await;
                    assert_eq!(theatre.on_air().await, None);
                }
                // It is killed, and says nothing.
                _ => drop(shower),
            }
            let seen = viewer.ask(dark.clone(), "seen").await;
            assert_eq!(seen["width"], 640, "after {subject}");
        }
    }
}

/// A clip of what aiortc shows and says, which FFmpeg decodes: the colour and the tone come and go together.
#[tokio::test]
#[ignore = "wants aiortc and FFmpeg: bin/test"]
async fn a_clip_has_what_was_shown_and_said_in_step() {
    let folder = tempfile::tempdir().unwrap();
    for (codec, name) in [("VP8", "vp8"), ("H264", "h264")] {
        let mut theatre = Theatre::open().await;
        let portals = theatre.world.portals.clone();
        let longest = Duration::from_secs(30);
        let clip = || portals.clip("lobby", longest);
        assert_eq!(clip().await, Err(NoClip::Off));
        theatre.world.portal.clips(Some(longest));
        assert_eq!(clip().await, Err(NoClip::Nothing));
        let mut aiortc = Client::aiortc();
        let show = json!({"codec": codec, "colour": [0, 255, 0], "beat": true});
        aiortc.ask(with(theatre.whip("one"), &show), "shown").await;
        assert!(theatre.on_air().await.is_some());
        // So much has to pass.
        let made = timeout(PATIENCE, async {
            loop {
                match clip().await {
                    Ok(clip) if clip.length > Duration::from_secs(8) => return clip,
                    Ok(_) | Err(NoClip::Nothing) => sleep(Duration::from_millis(200)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let clip = made.await.expect("a clip of eight seconds");
        assert!(!clip.cut);
        // Nobody sees the recorder.
        let status = theatre.world.portal.status().await.unwrap();
        assert!(status.viewers.is_empty(), "{:?}", status.viewers);
        let path = folder.path().join(format!("{name}.mp4"));
        std::fs::write(&path, &clip.mp4).unwrap();
        let decode = json!({"do": "decode", "path": path, "colour": [0, 255, 0]});
        let found = aiortc.ask(decode, "decoded").await;
        eprintln!("{codec}: {} bytes, {found}", clip.mp4.len());
        assert_eq!(found["codec"], name);
        assert_eq!(
            (&found["width"], &found["height"]),
            (&json!(320), &json!(240))
        );
        assert!((found["duration"].as_f64().unwrap() - clip.length.as_secs_f64()).abs() < 0.1);
        // 15 a second, and 50 of voice.
        let seconds = clip.length.as_secs_f64();
        assert!(found["pictures"].as_f64().unwrap() > seconds * 12.0);
        assert!((found["voice"].as_f64().unwrap() / 50.0 - seconds).abs() < 0.2);
        assert!((found["hertz"].as_f64().unwrap() - 440.0).abs() <= 50.0);
        let times = |of: &str| -> Vec<f64> {
            let times = found[of].as_array().unwrap().iter();
            times.map(|at| at.as_f64().unwrap()).collect()
        };
        let (lit, heard) = (times("lit"), times("heard"));
        assert!(lit.len() >= 3, "{lit:?}");
        for at in &lit[1..] {
            let apart = |heard: &f64| (heard - at).abs() < IN_STEP;
            assert!(heard.iter().any(apart), "{lit:?} {heard:?}");
        }
        theatre.world.portal.clips(None);
        let off = timeout(PATIENCE, async {
            while portals.clip("lobby", longest).await != Err(NoClip::Off) {
                sleep(Duration::from_millis(20)).await;
            }
        });
        off.await.expect("nothing is kept any more");
    }
}

/// FFmpeg's own WHIP muxer.
#[tokio::test]
#[ignore = "wants Chromium and FFmpeg: bin/test"]
async fn chromium_sees_what_ffmpeg_shows() {
    let mut theatre = Theatre::open().await;
    let mut ffmpeg = Client::ffmpeg();
    let bars: [[u8; 3]; 4] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
    let show = with(theatre.whip("ffmpeg"), &json!({"colours": bars}));
    ffmpeg.ask(show, "shown").await;
    assert!(theatre.on_air().await.is_some());
    let mut chromium = Client::chromium().await;
    chromium.ask(theatre.whep(), "watched").await;
    let seen = chromium.ask(see(ONE), "seen").await;
    assert_eq!(seen["codec"], "video/H264");
    let status = theatre.world.portal.status().await.unwrap();
    assert_eq!(status.cameras[0].codec, Some(VideoCodec::H264));
}

/// Packets are lost on the way in and on the way out: they are sent again, and the picture goes on.
#[tokio::test]
#[ignore = "wants Chromium: bin/test"]
async fn a_network_that_loses_some_does_not_freeze_the_picture() {
    let theatre = Theatre::far_away().await;
    let mut chromium = Client::chromium().await;
    let more = json!({"codec": "VP8", "colours": ONE});
    chromium
        .ask(with(theatre.whip("one"), &more), "shown")
        .await;
    chromium.ask(theatre.whep(), "watched").await;
    chromium.ask(see(ONE), "seen").await;
    // A machine that is busy with other things stops all pictures for a moment: then it is looked again.
    let mut all = Vec::new();
    for _ in 0..3 {
        let line = json!({"do": "smooth", "ms": 5_000});
        let smooth = chromium.ask(line, "smooth").await;
        let (longest, missed) = (&smooth["longest"], &smooth["missed"]);
        if longest.as_f64().unwrap() < FREEZE_MS && missed.as_u64().unwrap() > 0 {
            let status = theatre.world.portal.status().await.unwrap();
            assert!(status.viewers[0].again > 0, "what was lost was sent again");
            return;
        }
        all.push(smooth);
    }
    panic!("it stood still, or nothing was lost: {all:?}");
}
