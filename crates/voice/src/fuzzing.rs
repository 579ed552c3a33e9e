//! What the fuzz targets call: whatever the bytes, nothing panics. And the voice server's side of DAVE, for `bench/voice`.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    reason = "it is for fuzzing"
)]

use std::cell::RefCell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uro_discord_media::VideoCodec;

use crate::config::{Config, JoinInfo, Scheme, Tls};
use crate::dave::server::deliver;
use crate::dave::{Dave, Step};
use crate::error::Cause;
use crate::gateway::message::{Binary, Text};
use crate::media::crypto::{Mode, Transport};
use crate::media::discovery;
use crate::session::core::{Action, Core, Sending};
use crate::video::{VideoConfig, VideoFrame};

pub use crate::dave::server::{Answer, DaveServer, Message};

pub fn discovery(data: &[u8]) {
    let ssrc = data.get(4..8).and_then(|bytes| bytes.try_into().ok());
    let _ = discovery::parse(data, u32::from_be_bytes(ssrc.unwrap_or_default()));
}

pub fn text(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Text::parse(text);
    }
}

/// A binary message, to somebody in a group.
pub fn binary(data: &[u8]) {
    let _ = Binary::parse(data);
    with_member(|member, now| member.receive(data, now, &mut Vec::new()));
}

/// A frame, from somebody in the group and from somebody who is not.
pub fn dave_decrypt(data: &[u8]) {
    with_member(|member, now| {
        let mut out = vec![0; data.len()];
        for user in [OTHER, 9] {
            for decrypt in [Dave::decrypt, Dave::decrypt_video] {
                if let Ok(length) = decrypt(member, user, data, &mut out, now, &mut Vec::new()) {
                    assert!(length <= data.len());
                }
            }
        }
    });
}

const MEMBER: u64 = 1;
const OTHER: u64 = 2;

fn with_member(what: impl FnOnce(&mut Dave, Instant)) {
    thread_local! {
        static MEMBER: RefCell<Option<Dave>> = const { RefCell::new(None) };
    }
    MEMBER.with_borrow_mut(|member| {
        // One who has lost his key has left the group, and another is made.
        let member = match member {
            Some(member) if member.can_send() => member,
            other => other.insert(self::member()),
        };
        what(member, Instant::now());
    });
}

/// One of two in a group.
fn member() -> Dave {
    let now = Instant::now();
    let mut server = DaveServer::new(3);
    let mut members = [MEMBER, OTHER].map(|user| (user, Dave::new(user, 3)));
    for (user, _) in &members {
        server.join(*user);
    }
    while !server.out.is_empty() {
        let out: Vec<(u64, Message)> = std::mem::take(&mut server.out);
        for (user, message) in out {
            let (_, dave) = members.iter_mut().find(|(id, _)| *id == user).unwrap();
            let mut steps = Vec::new();
            deliver(dave, message, now, &mut steps);
            for step in steps {
                match step {
                    Step::Text(text) => server.receive(user, Answer::text(&text).unwrap()),
                    Step::Binary(binary) => server.receive(user, Answer::binary(&binary)),
                    _ => {}
                }
            }
        }
    }
    let [(_, member), _] = members;
    assert!(member.can_send());
    member
}

/// A session's machine, through whatever happens in whatever order. Each time it is left at rest, as the driver leaves it: what is
/// due has been done, so that nothing more is due now. A deadline that stays would keep a core busy for ever.
pub fn core(data: &[u8]) {
    let mut input = Input(data);
    let mut now = Instant::now();
    let mut core = Core::new(info(), config(), now).unwrap();
    let mut transport = Transport::new(Mode::Aes256Gcm, &KEY.into());
    while let Some([what, a, b]) = input.take() {
        match what % 16 {
            0 => core.opened(now),
            1 => core.failed(Cause::new("no"), now),
            2 => core.closed(Some(4000 + u16::from(a % 32)).filter(|_| b != 0), now),
            3 => drop(core.update_server(info(), now)),
            4 => core.server_gone(now),
            5 => now += Duration::from_millis(u64::from(a) * u64::from(b)),
            6 => now = core.deadline().unwrap_or(now).max(now),
            7 => core.text_message(&said(a, b), now),
            8 => core.datagram(&mut discovered(b), now),
            9 => core.text_message(&String::from_utf8_lossy(input.bytes(a)), now),
            10 => core.binary_message(&[&[0, b][..], input.bytes(a)].concat(), now),
            11 => core.datagram(&mut input.bytes(a).to_vec(), now),
            // One that the voice server encrypted; its first bytes are the header.
            12 => {
                let mut packet = input.bytes(a).to_vec();
                let clear = usize::from(b).min(packet.len());
                if transport.seal(&mut packet, clear).is_ok() {
                    core.datagram(&mut packet, now);
                }
            }
            13 => core.request_keyframe(u64::from(a % 4), now),
            14 => core.want_video(Some(u64::from(a % 4)).filter(|user| *user > 0), b),
            _ => match a % 8 {
                0 => core.leave(),
                1 => core.stop_video(),
                2 => core.want_audio(b % 2 == 0),
                _ => {
                    if let Some(frame) = frame(b, input.bytes(a)) {
                        core.video_frame(&frame, now);
                    }
                }
            },
        }
        // As often as not there is something to say.
        let mut speech = (b % 2 == 0).then(|| Bytes::from_static(&[0xfc; 20]));
        settle(&mut core, now, || speech.take());
        let _ = core.status();
    }
}

/// What the driver does when it is woken.
fn settle(core: &mut Core, now: Instant, mut next: impl FnMut() -> Option<Bytes>) {
    let mut packet = Vec::new();
    core.advance(now);
    while core.packet(now, &mut next, &mut packet) != Sending::Nothing {}
    while core.video_packet(now, &mut packet) == Sending::Packet {}
    while let Some(action) = core.action() {
        if let Action::End(_) = action {
            assert_eq!(core.deadline(), None);
        }
    }
    let deadline = core.deadline();
    assert!(
        deadline.is_none_or(|deadline| deadline > now),
        "what is due at {deadline:?} was not done at {now:?}"
    );
}

const KEY: [u8; 32] = [9; 32];

fn info() -> JoinInfo {
    JoinInfo {
        endpoint: "127.0.0.1:1".into(),
        guild_id: 5,
        channel_id: 3,
        user_id: MEMBER,
        session_id: "s".into(),
        token: "t".into(),
    }
}

fn config() -> Config {
    thread_local! {
        static CONFIG: Config = Config {
            scheme: Scheme::Ws,
            video: Some(VideoConfig::default()),
            ..Config::with_tls(Tls::new(None).unwrap())
        };
    }
    CONFIG.with(Clone::clone)
}

/// A frame that `Session::send_video` lets through.
fn frame(kind: u8, data: &[u8]) -> Option<VideoFrame> {
    let codec = VideoCodec::ALL[usize::from(kind % 2)];
    codec.check(data).ok()?;
    Some(VideoFrame {
        codec,
        data: Bytes::copy_from_slice(data),
        rtp_time: u32::from(kind) * 3000,
        keyframe: codec.is_keyframe(data),
    })
}

/// The messages that take a session through its stages, with some of what may vary in them.
fn said(kind: u8, a: u8) -> String {
    let user = a % 4;
    match kind % 16 {
        0 => format!(r#"{{"op":8,"d":{{"heartbeat_interval":{a}00}}}}"#),
        1 => r#"{"op":2,"d":{"ssrc":7,"ip":"127.0.0.1","port":5,"modes":["aead_aes256_gcm_rtpsize"],"streams":[{"ssrc":8,"rtx_ssrc":9}]}}"#.into(),
        2 => format!(
            r#"{{"op":4,"d":{{"mode":"aead_aes256_gcm_rtpsize","secret_key":{KEY:?},"dave_protocol_version":{},"video_codec":"{}"}}}}"#,
            a % 3,
            VideoCodec::ALL[usize::from(a >> 7)].name()
        ),
        3 => r#"{"op":9,"d":null}"#.into(),
        4 => format!(r#"{{"op":5,"d":{{"ssrc":{},"user_id":"{user}","speaking":1}}}}"#, a >> 2),
        5 => r#"{"op":3,"d":null}"#.into(),
        6 => format!(r#"{{"op":6,"d":{{"t":{a}}}}}"#),
        7 => format!(r#"{{"op":11,"d":{{"user_ids":["{user}"]}}}}"#),
        8 => format!(r#"{{"op":13,"d":{{"user_id":"{user}"}}}}"#),
        9 => format!(r#"{{"op":21,"d":{{"transition_id":{},"protocol_version":{}}}}}"#, a >> 2, a % 2),
        10 => format!(r#"{{"op":22,"d":{{"transition_id":{}}}}}"#, a >> 2),
        11 => format!(r#"{{"op":24,"d":{{"epoch":{},"protocol_version":{}}}}}"#, a >> 2, a % 2),
        12 => format!(r#"{{"op":12,"d":{{"user_id":"{user}","video_ssrc":{0},"rtx_ssrc":{0}1}}}}"#, a >> 2),
        13 => r#"{"op":14,"d":{"video_codec":"VP8"}}"#.into(),
        14 => format!(r#"{{"op":15,"d":{{"any":{a}}}}}"#),
        // One that nobody knows.
        _ => format!(r#"{{"op":99,"seq":{a}}}"#),
    }
}

/// The answer of IP discovery.
fn discovered(port: u8) -> Vec<u8> {
    let mut answer = vec![0, 2, 0, 70, 0, 0, 0, 7];
    answer.extend(b"127.0.0.1");
    answer.resize(discovery::SIZE - 2, 0);
    answer.extend([0, port]);
    answer
}

/// What the fuzzer gives, taken from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self, count: u8) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(self.0.len().min(usize::from(count)));
        self.0 = rest;
        taken
    }
}
