//! Our video, judged by what others wrote (`test/clients/voice_video.py`): Discord's own DAVE library decrypts what we encrypt and we
//! what it encrypts, aiortc takes our packets apart and we its, each asks the other for lost ones, and FFmpeg's decoders see the
//! pictures that its encoders were given.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use support::{
    Discord,
    client::{Client, programs, variable},
    gateway::{ALL_INTENTS, Gateway, heartbeat_interval, identify_freely},
    soon,
    voice::join,
};
use tokio::process::Command;
use uro_discord_voice::{
    Config, Event, Events, JoinInfo, ReceivedVideo, Session, Tls, VideoCodec, VideoConfig,
    VideoFrame, VideoFrames,
};

/// Frames of a film, at 30 a second.
const FRAMES: usize = 60;
/// One of so many packets is lost.
const LOSE: u64 = 17;

struct Ours {
    _main: Gateway,
    session: Session,
    events: Events,
    frames: VideoFrames,
    user: String,
}

impl Ours {
    async fn join(discord: &Discord, codec: VideoCodec) -> Self {
        identify_freely(discord).await;
        // Nobody sends those, and a busy machine takes its time.
        heartbeat_interval(discord, Duration::from_secs(600)).await;
        let mut main = Gateway::identified(discord, "uro", ALL_INTENTS).await.0;
        let ticket = join(discord, &mut main, "world").await;
        let info = JoinInfo {
            endpoint: ticket.endpoint,
            guild_id: discord.info().guild_id.parse().unwrap(),
            channel_id: discord.channel("world").parse().unwrap(),
            user_id: ticket.user.parse().unwrap(),
            session_id: ticket.session.into(),
            token: ticket.token.into(),
        };
        let video = VideoConfig {
            codecs: vec![codec],
            queue: 256,
            ..VideoConfig::default()
        };
        let config = Config {
            video: Some(video),
            ..Config::with_tls(Tls::new(discord.info().ca_file.as_deref()).unwrap())
        };
        let (mut session, connection, events, _) = Session::join(info, config).unwrap();
        tokio::spawn(connection);
        let frames = session.video_frames().unwrap();
        Self {
            _main: main,
            session,
            events,
            frames,
            user: ticket.user,
        }
    }

    async fn event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = soon(self.events.next()).await.expect("an event");
            if wanted(&event) {
                return event;
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn h264() {
    judge(VideoCodec::H264).await;
}

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn vp8() {
    judge(VideoCodec::Vp8).await;
}

async fn judge(codec: VideoCodec) {
    let discord = Discord::start_with(true, 2).await;
    let mut ours = Ours::join(&discord, codec).await;
    let mut python = Command::new(variable("URO_DISCORD_PYTHON"));
    python.arg(programs().join("voice_video.py"));
    let mut theirs = Client::start(&discord, "bot-1", python);
    let their_id = theirs.wait_for("ready").await["user"].clone();
    let channel = discord.channel("world");
    theirs.tell(json!({"do": "join", "channel": channel})).await;
    theirs.wait_for("joined").await;
    theirs.tell(json!({"do": "keys"})).await;
    theirs.wait_for("keys").await;
    ours.event(|event| matches!(event, Event::Encryption(dave) if dave.can_send))
        .await;
    theirs
        .tell(json!({"do": "encode", "codec": codec.name(), "frames": FRAMES}))
        .await;
    let film: Vec<(String, bool)> =
        serde_json::from_value(theirs.wait_for("encoded").await["frames"].clone()).unwrap();
    assert_eq!(film.len(), FRAMES);

    we_send(&mut ours, &mut theirs, codec, &film).await;
    they_send(&mut ours, &mut theirs, codec, &film, &their_id).await;

    let voice = discord.seen("/voice").await;
    assert_eq!(voice["violations"], json!({}), "{voice:#}");
    theirs.succeeds().await;
}

/// They see all that we send, though they lose some packets.
async fn we_send(ours: &mut Ours, theirs: &mut Client, codec: VideoCodec, film: &[(String, bool)]) {
    theirs.tell(json!({"do": "lose", "every": LOSE})).await;
    theirs.wait_for("losing").await;
    let mut clock = tokio::time::interval(Duration::from_millis(33));
    // aiortc takes a frame for whole when the next one has begun: the first one comes once more as the last.
    for (number, (frame, keyframe)) in film.iter().chain(&film[..1]).enumerate() {
        clock.tick().await;
        let frame = VideoFrame {
            codec,
            data: STANDARD.decode(frame).unwrap().into(),
            rtp_time: number as u32 * 3000,
            keyframe: *keyframe,
        };
        ours.session.send_video(frame).unwrap();
    }
    let (stream, reports) = loop {
        theirs.tell(json!({"do": "seen"})).await;
        let seen = theirs.wait_for("seen").await;
        let stream = seen["streams"][0].clone();
        let frames = stream["frames"].as_u64().unwrap_or(0);
        // A sender report comes every five seconds.
        let reports = seen["reports"].as_array().unwrap().clone();
        if frames >= FRAMES as u64 && !reports.is_empty() {
            break (stream, reports);
        }
        let status = ours.session.status().await.unwrap();
        assert_eq!(stream["failed"].as_u64().unwrap_or(0), 0, "{status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(stream["user"], ours.user);
    assert!(stream["again"].as_u64() > Some(3), "{:?}", stream["again"]);
    theirs.tell(json!({"do": "frames"})).await;
    let seen: Vec<(String, u32, String)> =
        serde_json::from_value(theirs.wait_for("frames").await["frames"].clone()).unwrap();
    for (number, (name, at, frame)) in seen.iter().take(FRAMES).enumerate() {
        assert_eq!((&**name, *at), (codec.name(), number as u32 * 3000));
        same(
            codec,
            &STANDARD.decode(frame).unwrap(),
            &film[number].0,
            number,
        );
    }
    let frames: Vec<&String> = seen
        .iter()
        .take(FRAMES)
        .map(|(_, _, frame)| frame)
        .collect();
    shades(theirs, codec, &json!(frames)).await;
    for report in reports {
        assert!(report["off"].as_f64().unwrap() < 1.0, "{report}");
        assert!(
            report["packets"].as_u64().unwrap() > FRAMES as u64,
            "{report}"
        );
    }

    theirs.tell(json!({"do": "keyframe"})).await;
    theirs.wait_for("asked").await;
    ours.event(|event| *event == Event::KeyframeWanted).await;
}

/// We see all that they send, though some packets are lost.
async fn they_send(
    ours: &mut Ours,
    theirs: &mut Client,
    codec: VideoCodec,
    film: &[(String, bool)],
    their_id: &Value,
) {
    let frames: Vec<&String> = film.iter().map(|(frame, _)| frame).collect();
    let user: u64 = their_id.as_str().unwrap().parse().unwrap();
    theirs
        .tell(json!({"do": "film", "codec": codec.name(), "frames": frames, "lose": LOSE}))
        .await;
    ours.event(|event| matches!(event, Event::UserVideo { user_id, .. } if *user_id == user))
        .await;
    ours.session.request_keyframe(user).await.unwrap();
    let mut seen: Vec<ReceivedVideo> = Vec::new();
    while seen.len() < FRAMES {
        seen.push(soon(ours.frames.next()).await.unwrap());
    }
    for (number, received) in seen.iter().enumerate() {
        let of = (
            received.user_id,
            received.codec,
            received.rtp_time,
            received.lost_before,
        );
        assert_eq!(of, (user, codec, number as u32 * 3000, 0));
        assert_eq!(received.keyframe, film[number].1);
        same(codec, &received.frame, &film[number].0, number);
    }
    let filmed = theirs.wait_for("filmed").await;
    assert!(filmed["nacks"].as_u64() > Some(3), "{filmed}");
    assert!(filmed["keyframes_wanted"].as_u64() >= Some(1), "{filmed}");
    let frames: Vec<String> = seen
        .iter()
        .map(|received| STANDARD.encode(&received.frame))
        .collect();
    shades(theirs, codec, &json!(frames)).await;
}

/// A frame is what it was; of H.264 start codes may be of three or of four bytes.
fn same(codec: VideoCodec, frame: &[u8], sent: &str, number: usize) {
    let long = |bytes: Vec<u8>| match codec {
        VideoCodec::Vp8 => bytes,
        VideoCodec::H264 => {
            let mut out: Vec<u8> = Vec::new();
            for (place, byte) in bytes.iter().enumerate() {
                let start = bytes[..place].ends_with(&[0, 0]) && *byte == 1;
                if start && !bytes[..place].ends_with(&[0, 0, 0]) {
                    out.push(0);
                }
                out.push(*byte);
            }
            out
        }
    };
    let sent = long(STANDARD.decode(sent).unwrap());
    assert!(
        long(frame.to_vec()) == sent,
        "frame {number} is another one"
    );
}

/// A decoder sees the pictures that the encoder was given: each is known by how bright half of it is.
async fn shades(theirs: &mut Client, codec: VideoCodec, frames: &Value) {
    theirs
        .tell(json!({"do": "decode", "codec": codec.name(), "frames": frames}))
        .await;
    let decoded = theirs.wait_for("decoded").await;
    let seen = decoded["shades"].as_array().unwrap();
    assert_eq!(seen.len(), FRAMES);
    for (number, shade) in seen.iter().enumerate() {
        let expected = 40.0 + 10.0 * (number * 7 % 18) as f64;
        let off = (shade.as_f64().unwrap() - expected).abs();
        assert!(off < 4.9, "{number}: {shade} and not {expected}");
    }
}
