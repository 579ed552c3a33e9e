//! Video between sessions of ours in one simulated call, encrypted end to end, over a network that loses packets.
//! `crates/sim/tests/video_clients.rs` holds it against implementations that are not ours.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use support::{Bot, Discord, soon};
use uro_discord_voice::{
    Config, Event, ReceivedVideo, VideoCodec, VideoConfig, VideoError, VideoFrame, VideoFrames,
    VideoStatus,
};

const FRAME: Duration = Duration::from_millis(33);

/// Frames as an encoder would make them, with any bytes in them.
struct Camera {
    codec: VideoCodec,
    random: fastrand::Rng,
    number: u32,
    sent: Vec<VideoFrame>,
    /// Somebody wants a keyframe.
    wanted: bool,
}

impl Camera {
    fn new(codec: VideoCodec) -> Self {
        Self {
            codec,
            random: fastrand::Rng::with_seed(1),
            number: 0,
            sent: Vec::new(),
            wanted: true,
        }
    }

    /// Bytes that are no start code.
    fn noise(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| self.random.u8(2..)).collect()
    }

    fn frame(&mut self) -> VideoFrame {
        let keyframe = std::mem::take(&mut self.wanted);
        let body = self.noise(if keyframe { 25_000 } else { 2_500 });
        let data = match (self.codec, keyframe) {
            (VideoCodec::H264, true) => [
                &[0, 0, 0, 1, 0x67, 66, 0xc0, 10, 0x8c, 0x8d][..],
                &[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80],
                &[0, 0, 0, 1, 0x65, 0xb8],
                &body,
            ]
            .concat(),
            (VideoCodec::H264, false) => [&[0, 0, 0, 1, 0x41, 0xe2][..], &body].concat(),
            (VideoCodec::Vp8, true) => {
                [&[0x10, 2, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xf0, 0][..], &body].concat()
            }
            (VideoCodec::Vp8, false) => [&[0x11][..], &body].concat(),
        };
        self.number += 1;
        let frame = VideoFrame {
            codec: self.codec,
            data: data.into(),
            // Over the wrap.
            rtp_time: (self.number * 3000).wrapping_sub(9000),
            keyframe,
        };
        self.sent.push(frame.clone());
        frame
    }

    /// Sends for so long; gives frames on demand.
    async fn film(&mut self, bot: &mut Bot, frames: u32) {
        let mut clock = tokio::time::interval(FRAME);
        let end = self.number + frames;
        while self.number < end {
            tokio::select! {
                _ = clock.tick() => bot.session.send_video(self.frame()).unwrap(),
                event = bot.events.next() => {
                    self.wanted |= event == Some(Event::KeyframeWanted);
                }
            }
        }
    }
}

/// What came, held against what was sent.
#[derive(Default)]
struct Screen {
    next: usize,
    whole: usize,
    told: usize,
    keyframes: usize,
    holes: usize,
}

impl Screen {
    fn show(&mut self, received: &ReceivedVideo, sent: &[VideoFrame]) {
        let place = sent
            .iter()
            .position(|frame| frame.rtp_time == received.rtp_time);
        let place = place.expect("a frame that was sent");
        assert!(place >= self.next, "{place} after {}", self.next);
        assert_eq!(received.frame, sent[place].data);
        assert_eq!(received.keyframe, sent[place].keyframe);
        let lost = place - self.next;
        // Before the first one there may have been some that were not sent yet: no key, nobody there.
        if self.whole > 0 {
            assert_eq!(
                received.lost_before > 0,
                lost > 0,
                "{place} {lost} {}",
                received.lost_before
            );
            assert!(usize::from(received.lost_before) <= lost);
        }
        (self.next, self.whole) = (place + 1, self.whole + 1);
        (self.told, self.keyframes) = (
            self.told + lost,
            self.keyframes + usize::from(received.keyframe),
        );
        self.holes += usize::from(lost > 0);
    }
}

async fn video_bot(discord: &Discord, user: &str, codecs: &[VideoCodec]) -> (Bot, VideoFrames) {
    let video = VideoConfig {
        codecs: codecs.to_vec(),
        ..VideoConfig::default()
    };
    let config = Config {
        video: Some(video),
        ..discord.config.clone()
    };
    let mut bot = discord.bot_with(user, "world", config).await;
    let frames = bot.session.video_frames().unwrap();
    assert!(bot.session.video_frames().is_none());
    (bot, frames)
}

async fn status(bot: &Bot) -> VideoStatus {
    soon(bot.session.status()).await.unwrap().video.unwrap()
}

#[tokio::test]
async fn frames_arrive_whole_or_are_told_to_be_lost() {
    for codec in [VideoCodec::H264, VideoCodec::Vp8] {
        let discord = Discord::start(false).await;
        let (mut uro, _) = video_bot(&discord, "uro", &[codec]).await;
        let (mut peer, mut frames) = video_bot(&discord, "peer", &[codec]).await;
        let (arrived, mut arriving) = tokio::sync::mpsc::channel(1000);
        let watching = tokio::spawn(async move {
            while let Some(frame) = frames.next().await {
                arrived.send(frame).await.unwrap();
            }
        });
        uro.can_send().await;
        peer.can_send().await;
        let lossy =
            json!({"seed": 3, "up": {"loss": 0.05}, "down": {"loss": 0.05, "jitter_ms": 5}});
        discord.post("voice/network", lossy).await;
        let mut camera = Camera::new(codec);
        camera.film(&mut uro, 150).await;
        let before = status(&uro).await;
        // So little arrives that asking again is of no use.
        discord
            .post(
                "voice/network",
                json!({"seed": 4, "up": {"loss": 0.6}, "down": {"loss": 0.6}}),
            )
            .await;
        camera.film(&mut uro, 40).await;
        discord
            .post("voice/network", json!({"up": {"loss": 0.05}}))
            .await;
        camera.film(&mut uro, 120).await;
        discord.post("voice/network", json!({})).await;
        camera.film(&mut uro, 30).await;

        let mut screen = Screen::default();
        while screen.next < camera.sent.len() {
            let received = soon(arriving.recv()).await.unwrap();
            assert_eq!((received.user_id, received.codec), (uro.user_id, codec));
            screen.show(&received, &camera.sent);
        }
        let (sent, received) = (status(&uro).await, status(&peer).await);
        let figures = format!("{sent:?} {received:?}");
        println!(
            "{codec:?}: {} whole, {} lost in {} holes: {figures}",
            screen.whole, screen.told, screen.holes
        );
        assert!(screen.whole >= 250 && screen.told >= 5, "{figures}");
        assert!(before.sent.retransmitted > 20, "{figures}");
        assert!(
            received.received.recovered > 20 && received.received.keyframes_asked > 0,
            "{figures}"
        );
        // After what could not be made up for, a keyframe was asked for, and came.
        assert!(screen.keyframes >= 2, "{figures}");
        // There are few sender reports, and all until now may have been lost. The network is good by now.
        let reported = async {
            loop {
                let seen = discord.in_voice("uro").await.unwrap();
                if seen["video"]["counts"]["sender_reports"].as_u64() >= Some(1) {
                    return seen;
                }
                camera.film(&mut uro, 5).await;
            }
        };
        let seen = soon(reported).await;
        assert_eq!(seen["video"]["counts"]["without_dave"], 0, "{seen:#}");
        discord.no_violations().await;
        watching.abort();
    }
}

#[tokio::test]
async fn who_is_too_slow_is_told_what_he_missed() {
    let discord = Discord::start(false).await;
    let (mut uro, _) = video_bot(&discord, "uro", &[VideoCodec::Vp8]).await;
    let (mut peer, mut frames) = video_bot(&discord, "peer", &[VideoCodec::Vp8]).await;
    uro.can_send().await;
    peer.can_send().await;
    let mut camera = Camera::new(VideoCodec::Vp8);
    camera.film(&mut uro, 40).await;
    while status(&peer).await.received.overflowed < 4 {
        camera.film(&mut uro, 1).await;
    }
    let mut screen = Screen::default();
    // As many as wait, and one that comes when there is room again.
    for _ in 0..32 {
        screen.show(&soon(frames.next()).await.unwrap(), &camera.sent);
    }
    assert_eq!(screen.told, 0);
    uro.event(|event| *event == Event::KeyframeWanted).await;
    camera.wanted = true;
    camera.film(&mut uro, 1).await;
    let next = soon(frames.next()).await.unwrap();
    screen.show(&next, &camera.sent);
    assert!(
        screen.told >= 4 && usize::from(next.lost_before) == screen.told,
        "{next:?}"
    );
    discord.no_violations().await;
}

#[tokio::test]
async fn who_watches_decides_what_is_sent() {
    let discord = Discord::start(false).await;
    let (mut uro, _) = video_bot(&discord, "uro", &[VideoCodec::H264, VideoCodec::Vp8]).await;
    let (mut peer, mut frames) =
        video_bot(&discord, "peer", &[VideoCodec::H264, VideoCodec::Vp8]).await;
    uro.can_send().await;
    peer.can_send().await;
    let mut camera = Camera::new(VideoCodec::H264);
    camera.film(&mut uro, 3).await;
    let video = peer
        .event(|event| matches!(event, Event::UserVideo { .. }))
        .await;
    assert!(
        matches!(video, Event::UserVideo { user_id, ssrcs } if user_id == uro.user_id && ssrcs.len() == 1)
    );
    let first = soon(frames.next()).await.unwrap();
    assert!(first.keyframe && first.frame == camera.sent[0].data);

    // A decoder that begins anew.
    peer.session.request_keyframe(uro.user_id).await.unwrap();
    uro.event(|event| *event == Event::KeyframeWanted).await;

    // Nobody watches, and then somebody does.
    peer.session.want_video(Some(uro.user_id), 0).await.unwrap();
    uro.event(|event| *event == Event::VideoWanted(0)).await;
    camera.film(&mut uro, 3).await;
    while status(&uro).await.sent.unwatched < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    peer.session.want_video(None, 100).await.unwrap();
    uro.event(|event| *event == Event::VideoWanted(100)).await;
    uro.event(|event| *event == Event::KeyframeWanted).await;
    camera.wanted = true;
    let place = camera.sent.len();
    camera.film(&mut uro, 3).await;
    while soon(frames.next()).await.unwrap().rtp_time != camera.sent[place].rtp_time {}

    // Another codec.
    discord
        .post(
            "voice",
            json!({"action": "video_codec", "user": "uro", "codec": "VP8"}),
        )
        .await;
    uro.event(|event| *event == Event::VideoCodec(Some(VideoCodec::Vp8)))
        .await;
    camera.film(&mut uro, 1).await;
    let mut other = Camera::new(VideoCodec::Vp8);
    other.number = camera.number;
    other.film(&mut uro, 3).await;
    assert_eq!(status(&uro).await.sent.other_codec, 1);
    while soon(frames.next()).await.unwrap().codec != VideoCodec::Vp8 {}

    // A resume: what was said of video holds.
    discord
        .post("voice", json!({"action": "drop", "user": "uro"}))
        .await;
    uro.event(|event| *event == Event::Resumed).await;
    other.wanted = true;
    let place = other.sent.len();
    other.film(&mut uro, 3).await;
    while soon(frames.next()).await.unwrap().rtp_time != other.sent[place].rtp_time {}

    // Somebody who comes later is told, and gets a keyframe.
    let (mut third, mut late) = video_bot(&discord, "bot-1", &[VideoCodec::Vp8]).await;
    third
        .event(|event| matches!(event, Event::UserVideo { user_id, .. } if *user_id == uro.user_id))
        .await;
    third.can_send().await;
    let mut filming = Camera {
        wanted: false,
        ..other
    };
    let whole = async {
        loop {
            filming.film(&mut uro, 5).await;
        }
    };
    tokio::select! {
        () = whole => {}
        frame = soon(async { while !late.next().await.unwrap().keyframe {} }) => frame,
    }

    // Another voice server: another stream, in the codec that we like best.
    let moved = json!({"action": "server_change", "user": "uro"});
    discord.post("voice", moved).await;
    uro.follow().await;
    uro.event(|event| matches!(event, Event::Joined { .. }))
        .await;
    uro.can_send().await;
    let old = first.ssrc;
    let whole = async {
        loop {
            camera.film(&mut uro, 5).await;
        }
    };
    let shown = async {
        loop {
            let frame = frames.next().await.unwrap();
            if frame.ssrc != old && frame.keyframe {
                return;
            }
        }
    };
    tokio::select! {
        () = whole => {}
        () = soon(shown) => {}
    }

    uro.session.stop_video().await.unwrap();
    let stopped =
        |event: &Event| matches!(event, Event::UserVideo { ssrcs, .. } if ssrcs.is_empty());
    peer.event(stopped).await;
    let seen = discord.in_voice("uro").await.unwrap();
    assert_eq!(seen["video"]["sending"], false);
    discord.no_violations().await;
}

/// What ends while the voice gateway is away, it is told when it is back.
#[tokio::test]
async fn a_stream_that_ends_during_a_resume_has_ended() {
    let discord = Discord::start(false).await;
    let (mut uro, _) = video_bot(&discord, "uro", &[VideoCodec::Vp8]).await;
    let (mut peer, mut frames) = video_bot(&discord, "peer", &[VideoCodec::Vp8]).await;
    uro.can_send().await;
    peer.can_send().await;
    Camera::new(VideoCodec::Vp8).film(&mut uro, 3).await;
    assert!(soon(frames.next()).await.unwrap().keyframe);
    discord
        .post("faults", json!([{"voice_opcode": 7, "delay_ms": 1000}]))
        .await;
    discord
        .post("voice", json!({"action": "drop", "user": "uro"}))
        .await;
    uro.event(|event| *event == Event::Resuming).await;
    uro.session.stop_video().await.unwrap();
    let stopped =
        |event: &Event| matches!(event, Event::UserVideo { ssrcs, .. } if ssrcs.is_empty());
    peer.event(stopped).await;
    uro.event(|event| *event == Event::Resumed).await;
    let seen = discord.in_voice("uro").await.unwrap();
    assert_eq!(seen["video"]["sending"], false);
    discord.no_violations().await;
}

#[tokio::test]
async fn it_is_off_unless_switched_on() {
    let discord = Discord::start(false).await;
    let mut uro = discord.bot("uro", "world").await;
    let frame = Camera::new(VideoCodec::Vp8).frame();
    assert_eq!(uro.session.send_video(frame), Err(VideoError::Off));
    assert_eq!(uro.session.request_keyframe(1).await, Err(VideoError::Off));
    assert!(uro.session.video_frames().is_none());
    assert_eq!(discord.in_voice("uro").await.unwrap()["video"], json!(null));

    let (peer, _) = video_bot(&discord, "peer", &[VideoCodec::H264]).await;
    let send = |codec, data: &'static [u8], keyframe| {
        let data = Bytes::from_static(data);
        peer.session.send_video(VideoFrame {
            codec,
            data,
            rtp_time: 0,
            keyframe,
        })
    };
    assert!(matches!(
        send(VideoCodec::H264, b"", true),
        Err(VideoError::Malformed(_))
    ));
    assert!(matches!(
        send(VideoCodec::Vp8, &[0; 9], true),
        Err(VideoError::Malformed(_))
    ));
    assert!(matches!(
        send(VideoCodec::Vp8, &[0; 10], false),
        Err(VideoError::Keyframe(true))
    ));
    // What comes before there is a key is not sent.
    assert_eq!(send(VideoCodec::H264, &[0, 0, 1, 0x65, 0xe0], true), Ok(()));
    while status(&peer).await.sent.no_key < 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    discord.no_violations().await;
}
