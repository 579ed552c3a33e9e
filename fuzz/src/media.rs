//! Packets and frames.

use crate::Target;
use std::time::{Duration, Instant};
use uro_discord_media::assembler::{Assembler, Packet, Taken, WINDOW};
use uro_discord_media::rtp::Header;
use uro_discord_media::window::{Arrival, Window};
use uro_discord_media::{VideoCodec, feedback, h264, rtcp, rtx, sps, vp8};

pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("media-rtp", rtp),
    ("media-rtcp", rtcp),
    ("media-feedback", feedback),
    ("media-window", window),
    ("media-h264", h264),
    ("media-vp8", vp8),
    ("media-assembler", assembler),
    ("media-payload", payload),
];

/// A payload that is passed on as it came, or as one of another picture.
fn payload(data: &[u8]) {
    let Some(([high, low, base], payload)) = data.split_first_chunk() else {
        return;
    };
    let id = u16::from_be_bytes([*high, *low]);
    let before = vp8::numbers(payload);
    let mut other = payload.to_vec();
    vp8::renumber(&mut other, id, *base);
    let after = vp8::numbers(&other);
    assert_eq!(
        before.map(|(id, _)| id.is_some()),
        after.map(|(id, _)| id.is_some())
    );
    if let Some((Some(now), _)) = after {
        assert!(now == id % vp8::PICTURE_IDS || now == id & 0x7f);
    }
    for codec in VideoCodec::ALL {
        let begins = codec.starts_keyframe(payload);
        assert!(!begins || !payload.is_empty());
        if codec == VideoCodec::Vp8 {
            assert_eq!(begins, codec.starts_keyframe(&other));
        }
    }
}

fn rtp(data: &[u8]) {
    if let Ok(header) = Header::parse(data) {
        let payload = header.payload(&data[header.clear..]);
        assert!(payload.is_err() || header.clear + header.extension <= data.len());
    }
}

fn rtcp(data: &[u8]) {
    if let Ok(reports) = rtcp::reports(data) {
        assert!(reports.len() * 24 <= data.len());
    }
}

fn feedback(data: &[u8]) {
    if let Ok(found) = feedback::feedback(data) {
        assert!(found.len() * 8 <= data.len());
    }
}

/// Each two bytes are a packet's number.
fn window(data: &[u8]) {
    let mut window = Window::default();
    let mut last = None;
    let mut begun = false;
    for sequence in data.as_chunks().0 {
        let sequence = u16::from_be_bytes(*sequence);
        let arrival = window.arrive(sequence);
        match arrival {
            Arrival::New { missing } => assert!(missing < 3_000),
            _ => assert!(begun, "{arrival:?}"),
        }
        begun = true;
        if last == Some(sequence) {
            assert_eq!(arrival, Arrival::Duplicate);
        }
        last = Some(sequence).filter(|_| matches!(arrival, Arrival::New { .. }));
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
fn h264(data: &[u8]) {
    if let Some(picture) = sps::read(data) {
        assert!(picture.width > 0 && picture.height > 0);
    }
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
fn vp8(data: &[u8]) {
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
fn assembler(mut data: &[u8]) {
    let mut now = Instant::now();
    let mut assembler = Assembler::default();
    while let Some(([high, low, flags, length], rest)) = data.split_first_chunk() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        data = rest;
        now += Duration::from_millis(u64::from(flags >> 4) * 10);
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
        let packet = Packet {
            codec,
            timestamp: u32::from(flags >> 2 & 3),
            marker: flags & 2 != 0,
            payload: payload.to_vec().into(),
        };
        let again = packet.clone();
        if assembler.packet(sequence, packet, now) == Taken::New {
            assert_ne!(assembler.packet(sequence, again, now), Taken::New);
        }
        while let Some(frame) = assembler.poll(now) {
            assert!(!frame.data.is_empty());
        }
        assert!(assembler.size() as u64 <= WINDOW);
        let few = assembler.missing(now, 3);
        let rest = assembler.missing(now, usize::MAX);
        assert!(few.len() <= 3 && few.iter().all(|number| !rest.contains(number)));
        // Or whoever waits for it would not wait.
        assert!(assembler.deadline().is_none_or(|deadline| deadline > now));
    }
}
