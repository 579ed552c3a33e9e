//! What the fuzz targets call: whatever the bytes, nothing panics. And the voice server's side of DAVE, for `bench/voice`.
#![allow(clippy::unwrap_used, missing_docs, reason = "it is for fuzzing")]

use std::cell::RefCell;
use std::time::Instant;

use crate::dave::hall::deliver;
use crate::dave::{Dave, Step};
use crate::gateway::message::{Binary, Text};
use crate::media::rtp::Header;
use crate::media::{Kind, discovery, feedback, rtcp};
use crate::video::{VideoCodec, assembler, h264, rtx, vp8};

pub use crate::dave::hall::{Answer, Hall, Message};

pub fn rtp(data: &[u8]) {
    let _ = Kind::of(data);
    if let Ok(header) = Header::parse(data) {
        let payload = header.payload(&data[header.clear..]);
        assert!(payload.is_err() || header.clear + header.extension <= data.len());
    }
}

pub fn rtcp(data: &[u8]) {
    if let Ok(reports) = rtcp::reports(data) {
        assert!(reports.len() * 24 <= data.len());
    }
}

pub fn nack(data: &[u8]) {
    if let Ok(found) = feedback::feedback(data) {
        assert!(found.len() * 8 <= data.len());
    }
}

/// Payloads of one frame; the first byte of each says how long it is.
fn payloads(mut data: &[u8]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        payloads.push(payload);
        data = rest;
    }
    payloads
}

/// Payloads to a frame; and a frame to payloads and back, with nothing changed.
pub fn h264(data: &[u8]) {
    let _ = h264::depacketize(payloads(data).into_iter(), &mut Vec::new());
    if h264::check(data).is_ok() {
        let payloads = h264::packetize(data, 40);
        assert!(payloads.iter().all(|payload| payload.len() <= 40));
        let mut frame = Vec::new();
        h264::depacketize(payloads.iter().map(Vec::as_slice), &mut frame).unwrap();
        assert!(h264::nals(data).eq(h264::nals(&frame)));
        assert_eq!(h264::is_keyframe(data), h264::is_keyframe(&frame));
    }
}

/// Payloads to a frame; and a frame to payloads and back.
pub fn vp8(data: &[u8]) {
    let _ = vp8::depacketize(payloads(data).into_iter(), &mut Vec::new());
    if vp8::check(data).is_ok() {
        let payloads = vp8::packetize(data, 9, 40);
        assert!(payloads.iter().all(|payload| payload.len() <= 40));
        let mut frame = Vec::new();
        vp8::depacketize(payloads.iter().map(Vec::as_slice), &mut frame).unwrap();
        assert_eq!(data, frame);
    }
}

/// Packets of a stream, some of them by RTX: two bytes of number, one of flags, one of length, and the payload.
pub fn video_packets(mut data: &[u8]) {
    let mut now = Instant::now();
    let mut assembler = assembler::Assembler::default();
    while let Some(([high, low, flags, length], rest)) = data.split_first_chunk() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        data = rest;
        now += std::time::Duration::from_millis(u64::from(flags >> 4) * 10);
        let codec = if flags & 1 == 0 {
            VideoCodec::H264
        } else {
            VideoCodec::Vp8
        };
        let sequence = u16::from_be_bytes([*high, *low]);
        let (sequence, payload) = match flags & 8 {
            0 => (sequence, payload),
            _ => rtx::original(payload).unwrap_or((sequence, payload)),
        };
        let packet = assembler::Packet {
            codec,
            timestamp: u32::from(flags >> 2 & 3),
            marker: flags & 2 != 0,
            payload: payload.to_vec().into(),
        };
        assembler.packet(sequence, packet, now);
        assembler.missing(now, &mut Vec::new());
        while let Some(frame) = assembler.poll(now) {
            assert!(!frame.data.is_empty());
        }
        let _ = assembler.deadline();
    }
}

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
    let mut hall = Hall::new(3);
    let mut members = [MEMBER, OTHER].map(|user| (user, Dave::new(user, 3)));
    for (user, _) in &members {
        hall.join(*user);
    }
    while !hall.out.is_empty() {
        let out: Vec<(u64, Message)> = std::mem::take(&mut hall.out);
        for (user, message) in out {
            let (_, dave) = members.iter_mut().find(|(id, _)| *id == user).unwrap();
            let mut steps = Vec::new();
            deliver(dave, message, now, &mut steps);
            for step in steps {
                match step {
                    Step::Text(text) => hall.receive(user, Answer::text(&text).unwrap()),
                    Step::Binary(binary) => hall.receive(user, Answer::binary(&binary)),
                    _ => {}
                }
            }
        }
    }
    let [(_, member), _] = members;
    assert!(member.can_send());
    member
}
