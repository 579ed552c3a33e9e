//! What the fuzz targets call: whatever the bytes, nothing panics, and what is accepted is within its limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "it is for fuzzing"
)]

pub use crate::endpoint::fuzzing::fragment;
pub use crate::server::fuzzing::{session, stun};
pub use crate::tv::fuzzing::tv;
pub use crate::video::fuzzing::stage;

use std::net::Ipv4Addr;
use std::time::Instant;

use bytes::Bytes;
use rtc::shared::marshal::Unmarshal as _;
use secrecy::SecretString;

use crate::channel::{control, video, voice};
use crate::peer::{Identity, Offer, Peer as _, Rtc, RtcPeer as _, fuzz_dtls};
use crate::room::{
    Codec, Format, Listens, Member, Options, Packet, PeerId, Room, Sequence, Source,
};
use crate::token::{Keys, sign};
use crate::video::{Jpeg, PIXELS};

pub fn control(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match control::FromPeer::parse(text) {
        Ok(control::FromPeer::Name { name, .. }) => {
            assert!(!name.is_empty() && name.chars().count() <= 64);
            assert!(!name.contains('\n'));
        }
        Ok(_) => {}
        Err(error) => assert!(!control::error(error.code(), &error.to_string()).is_empty()),
    }
}

/// Datagrams of a handshake.
pub fn dtls(data: &[u8]) {
    fuzz_dtls(data);
}

/// What is read is written the same.
pub fn voice(data: &[u8]) {
    let mut message = Bytes::copy_from_slice(data);
    let mut again = Vec::new();
    while let Some(packet) = voice::next(&mut message) {
        let Ok(packet) = packet else { break };
        again.extend(voice::write(packet.sender, packet.sequence, &packet.payload).unwrap());
    }
    assert!(data.starts_with(&again));
}

/// Messages of `vsk-video`, each behind its length in two bytes: what is held is bounded, what comes whole is as it was sent, and what is taken
/// for a picture has no more pixels than may be decoded.
pub fn picture(data: &[u8]) {
    let mut rest = data;
    let mut pictures = video::Pictures::default();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (message, after) = after.split_at(length);
        rest = after;
        if let Ok(Some(whole)) = pictures.take(message) {
            assert!((1..=video::PICTURE).contains(&whole.bytes.len()));
            jpeg(whole.bytes);
        }
        assert!(pictures.held() <= 2 * video::PICTURE);
    }
    let mut again = video::Pictures::default();
    let came = video::write(7, 9, data).find_map(|message| again.take(&message).unwrap());
    assert!(came.map_or(data.is_empty(), |whole| whole.bytes == data));
    jpeg(Bytes::copy_from_slice(data));
}

fn jpeg(bytes: Bytes) {
    if let Ok(jpeg) = Jpeg::read(0, bytes) {
        let pixels = u32::from(jpeg.width) * u32::from(jpeg.height);
        assert!((1..=PIXELS).contains(&pixels));
        assert!(jpeg.bytes.starts_with(b"\xff\xd8") && jpeg.bytes.ends_with(b"\xff\xd9"));
    }
}

/// As it came, and as what a good signature is of.
pub fn token(data: &[u8]) {
    let key = SecretString::from("0123456789abcdef0123456789abcdef");
    let keys = Keys::new(std::slice::from_ref(&key));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = keys.verify(text, 1_500);
    }
    if let Ok(claims) = keys.verify(&sign(&key, data), 1_500) {
        assert!(claims.exp > 1_470 && claims.exp - claims.iat <= 24 * 60 * 60);
        assert!(!claims.sub.is_empty() && !claims.portal.is_empty());
    }
}

/// An offer, and its answer.
pub fn offer(data: &[u8]) {
    thread_local! {
        static IDENTITY: Identity = Identity::new().unwrap();
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(offer) = Offer::parse(text) else {
        return;
    };
    let now = Instant::now();
    let here = (Ipv4Addr::LOCALHOST, 7882).into();
    let accepted =
        IDENTITY.with(|identity| Rtc::accept(now, identity, offer, vec![here], (true, true)));
    let Ok((mut peer, answer)) = accepted else {
        return;
    };
    assert!(answer.starts_with("v=0\r\n"));
    while peer.event().is_some() {}
    while peer.transmit().is_some() {}
    let _ = peer.restart(now, "abcd", "0123456789012345678901");
    peer.close();
    while peer.transmit().is_some() {}
}

/// What comes out of SRTP: as RTP, and its payload in a room where somebody listens.
pub fn rtp(data: &[u8]) {
    let now = Instant::now();
    let format = Format {
        codec: Codec::Opus,
        frame_ms: 20,
        channels: 2,
    };
    let member = |listens, speaks| Member {
        name: "x".into(),
        listens,
        speaks,
    };
    let mut room = Room::new(Options::default(), now);
    let (one, other) = (PeerId(1), PeerId(2));
    room.join(now, one, member(Listens::Nothing, Some(format)))
        .unwrap();
    room.join(now, other, member(Listens::Mix(format), None))
        .unwrap();
    // Packets one after the other, each behind its length.
    let mut rest = Bytes::copy_from_slice(data);
    while rest.len() > 2 {
        let length = usize::from(rest.split_to(1)[0]).min(rest.len());
        let mut bytes = rest.split_to(length);
        let Ok(packet) = rtc::rtp::Packet::unmarshal(&mut bytes) else {
            continue;
        };
        let packet = Packet {
            sequence: Sequence::Rtp(packet.header.sequence_number),
            time: Some(packet.header.timestamp),
            payload: packet.payload,
        };
        let source = Source {
            peer: one,
            sender: 0,
        };
        room.from_world(now, source, packet);
        while room.poll().is_some() {}
    }
    if let Some(later) = room.deadline() {
        room.timeout(later);
    }
    while room.poll().is_some() {}
}
