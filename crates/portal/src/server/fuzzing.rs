//! See [`crate::fuzzing`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::admission::Admission;
use super::paths::PeerPaths;
use super::session::{Action, Connection, PeerInfo, Session, VoicePacket, Wants};
use super::stun::{Request, key};
use super::{Kind, Limits};
use crate::peer::{Channel, Closed, Event, Message, Peer, PeerError, RtcPeer, Rtp, Transmit};
use crate::room::PeerId;
use crate::token::{Claims, Role};
use crate::video::{Feedback, PIXELS, VideoFormat, VideoPacket};

const FORMAT: VideoFormat = VideoFormat {
    codec: uro_discord_media::VideoCodec::Vp8,
    profile: 0,
};

/// A check of ICE.
pub fn stun(data: &[u8]) {
    if let Some(request) = Request::parse(data) {
        assert!(!request.ufrag.is_empty());
        let _ = request.signed_with(&key("0123456789012345678901"));
    }
}

/// A connection that tells what it is told to.
#[derive(Default)]
pub(super) struct Scripted {
    events: VecDeque<Event>,
    /// As a fault in `rtc` would.
    pub(super) panics: bool,
}

impl Peer for Scripted {
    fn send_rtp(&mut self, _: Instant, _: Rtp) {}
    fn formats(&self) -> Vec<VideoFormat> {
        vec![FORMAT]
    }
    fn send_video(&mut self, _: Instant, _: VideoPacket, _: bool) {}
    fn deadline(&mut self) -> Option<Instant> {
        None
    }
    fn timeout(&mut self, _: Instant) {}
    fn event(&mut self) -> Option<Event> {
        assert!(!self.panics, "a peer's");
        self.events.pop_front()
    }
}

impl RtcPeer for Scripted {
    fn credentials(&self) -> (&str, &str) {
        ("ours", "password")
    }
    fn restart(&mut self, _: Instant, _: &str, _: &str) -> Result<String, PeerError> {
        Ok(String::new())
    }
    fn datagram(&mut self, _: Instant, _: SocketAddr, _: SocketAddr, bytes: &[u8]) {
        self.events.extend(event(bytes));
    }
    fn ask_keyframe(&mut self, _: Instant, _: u32) {}
    fn send(&mut self, _: Instant, _: Channel, _: Message) -> Result<(), PeerError> {
        Ok(())
    }
    fn unsent(&mut self, _: Channel) -> usize {
        0
    }
    fn transmit(&mut self) -> Option<Transmit> {
        None
    }
    fn close(&mut self) {}
}

/// The first byte says what happens.
fn event(bytes: &[u8]) -> Option<Event> {
    let (kind, rest) = bytes.split_first()?;
    let channel = Channel(u64::from(kind >> 4) & 3);
    Some(match kind & 7 {
        0 => Event::Connected,
        1 if kind & 8 != 0 => Event::Video(VideoPacket {
            ssrc: 1,
            format: FORMAT,
            sequence: 0,
            time: 0,
            marker: false,
            payload: Bytes::copy_from_slice(rest),
        }),
        1 => Event::Rtp(Rtp {
            sequence: 0,
            time: 0,
            marker: false,
            payload: Bytes::copy_from_slice(rest),
        }),
        2 => Event::Opened {
            channel: Channel(0),
            label: "vsk-control".into(),
        },
        3 if kind & 8 != 0 => Event::Opened {
            channel: Channel(2),
            label: "vsk-video".into(),
        },
        3 => Event::Opened {
            channel: Channel(1),
            label: "vsk-voice".into(),
        },
        4 => Event::Message {
            channel,
            message: Message::Text(String::from_utf8_lossy(rest).into()),
        },
        5 => Event::Message {
            channel,
            message: Message::Bytes(BytesMut::from(rest)),
        },
        6 if kind & 8 != 0 => Event::Feedback(Feedback::Keyframe),
        6 => Event::ChannelClosed(channel),
        _ => Event::Closed(Closed::ByPeer),
    })
}

/// A peer of this room.
pub(super) fn scripted(
    now: Instant,
    id_and_room: (PeerId, u64),
    peer: Scripted,
    wants: Wants,
) -> Option<Session> {
    let limits = Limits::default();
    let claims = Claims {
        iss: String::new(),
        portal: "lobby".into(),
        role: Role::Peer,
        sub: "1".into(),
        name: "1".into(),
        iat: 0,
        exp: 0,
        jti: "1".into(),
    };
    let permit = Admission::default().permit(&limits, &claims, Kind::Peer, None, now);
    let info = PeerInfo {
        session: "1".into(),
        until: None,
        claims,
        kind: Kind::Peer,
        _permit: Some(permit.ok()?),
    };
    let paths = PeerPaths::new("password");
    let peer = Connection::Rtc(Box::new(peer));
    Some(Session::new(
        now,
        &limits,
        id_and_room,
        peer,
        paths,
        info,
        wants,
    ))
}

/// A peer joins once, and says nothing before.
pub fn session(data: &[u8]) {
    joins(data);
}

/// Whether it joins.
fn joins(data: &[u8]) -> bool {
    let Some((flags, mut rest)) = data.split_first() else {
        return false;
    };
    let mut now = Instant::now();
    let wants = Wants {
        sends: flags & 1 != 0,
        hears: flags & 2 != 0,
        data: flags & 4 != 0,
        shows: flags & 8 != 0,
        sees: flags & 16 != 0,
        placeholder: flags & 32 != 0,
    };
    let Some(mut session) = scripted(now, (PeerId(1), 0), Scripted::default(), wants) else {
        return false;
    };
    let mut joined = false;
    // Each input is behind its length; a length of 255 lets a second pass.
    while let Some((length, after)) = rest.split_first() {
        rest = after;
        if *length == 255 {
            now = now.checked_add(Duration::from_secs(1)).unwrap_or(now);
            session.timeout(now);
            session.deliver(
                now,
                VoicePacket {
                    speaker: 0,
                    sequence: 0,
                    time: 0,
                    samples: 960,
                    payload: Bytes::from_static(b"opus"),
                },
            );
        } else {
            let (input, after) = rest.split_at(usize::from(*length).min(rest.len()));
            rest = after;
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
            if session.admits(now, input)
                && let Some(peer) = session.peer.rtc()
            {
                peer.datagram(now, nowhere, nowhere, input);
            }
        }
        while let Some(action) = session.action(now) {
            match action {
                Action::Join(_) => {
                    assert!(!joined, "it joined twice");
                    joined = true;
                    session.welcome(now, "lobby", &[], &[]);
                }
                Action::Video(_) | Action::Feedback(_) | Action::Pictures { .. } => {
                    assert!(joined);
                }
                Action::Jpeg(jpeg) => {
                    assert!(joined && u32::from(jpeg.width) * u32::from(jpeg.height) <= PIXELS);
                    session.show(now, &jpeg);
                }
                Action::Voice(source, _) => assert!(joined && source.peer == PeerId(1)),
                Action::Name(source, name) => {
                    assert!(source.peer == PeerId(1) && !name.is_empty());
                }
            }
        }
        assert!(session.deadline() >= session.heard);
    }
    session.farewell(now, super::Left::Said);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(inputs: &[(u8, &str)]) -> Vec<u8> {
        let mut data = vec![4];
        for (kind, text) in inputs {
            data.push(u8::try_from(text.len() + 1).unwrap());
            data.push(*kind);
            data.extend(text.as_bytes());
        }
        data
    }

    const HELLO: &str = r#"{"type":"hello","proto":1,"role":"world"}"#;

    #[test]
    fn a_hello_that_is_read_before_its_channel_is_known_counts() {
        let (connected, opened, said) = ((0, ""), (2, ""), (4, HELLO));
        assert!(joins(&script(&[connected, opened, said])));
        assert!(joins(&script(&[connected, said, opened])));
        assert!(joins(&script(&[said, opened, connected])));
        // On a channel of another name it is none.
        assert!(!joins(&script(&[connected, (0x14, HELLO), opened])));
        session(&[]);
        stun(&[]);
    }
}
