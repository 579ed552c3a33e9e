use super::*;
use crate::fixtures::frames;

const CODECS: [VideoCodec; 2] = [VideoCodec::H264, VideoCodec::Vp8];

/// The packets of the fixture's frames, over and over.
fn packets(codec: VideoCodec, count: usize) -> Vec<(u16, Packet)> {
    let frames = frames(codec);
    let mut sequence = 65_500_u16;
    let mut packets = Vec::new();
    for number in 0..count {
        let frame = &frames[number % frames.len()];
        let payloads = match codec {
            VideoCodec::H264 => h264::packetize(frame, 100),
            VideoCodec::Vp8 => vp8::packetize(frame, (number as u16).wrapping_add(0x7ff0), 100),
        };
        let last = payloads.len() - 1;
        for (place, payload) in payloads.into_iter().enumerate() {
            let packet = Packet {
                codec,
                timestamp: number as u32 * 9000,
                marker: place == last,
                payload: payload.into(),
            };
            packets.push((sequence, packet));
            sequence = sequence.wrapping_add(1);
        }
    }
    packets
}

/// Frames by number.
fn number(frame: &Frame) -> usize {
    frame.rtp_time as usize / 9000
}

#[test]
fn reordered_and_doubled_packets_make_whole_frames() {
    for codec in CODECS {
        let now = Instant::now();
        let mut packets = packets(codec, 12);
        // The first one shows where the stream begins.
        for pair in packets[1..].chunks_exact_mut(3) {
            pair.reverse();
        }
        let mut assembler = Assembler::default();
        let mut seen = Vec::new();
        for (sequence, packet) in packets {
            assert_eq!(assembler.packet(sequence, packet.clone(), now), Taken::New);
            assert_ne!(assembler.packet(sequence, packet, now), Taken::New);
            while let Some(frame) = assembler.poll(now) {
                assert_eq!(frame.data, frames(codec)[number(&frame) % 6]);
                assert_eq!(frame.lost_before, 0);
                seen.push(number(&frame));
            }
        }
        assert_eq!(seen, (0..12).collect::<Vec<_>>());
        assert_eq!((assembler.size(), assembler.deadline()), (0, None));
    }
}

#[test]
fn a_lost_packet_is_asked_for_again_and_again_and_given_up() {
    let start = Instant::now();
    let mut packets = packets(VideoCodec::Vp8, 3);
    let (lost, late) = packets.remove(5);
    let mut assembler = Assembler::default();
    for (sequence, packet) in packets {
        assembler.packet(sequence, packet, start);
    }
    assert_eq!(assembler.poll(start), None);
    let mut asked = Vec::new();
    while let Some(at) = assembler.deadline().filter(|at| *at < start + GIVE_UP) {
        assert_eq!(assembler.missing(at, 9), [lost]);
        asked.push((at - start).as_millis());
        assert_eq!(assembler.poll(at), None);
    }
    assert_eq!(asked, [10, 80, 150, 220, 290, 360]);
    let frame = assembler.poll(start + GIVE_UP).unwrap();
    assert_eq!((number(&frame), frame.lost_before), (1, 1));
    assert_eq!(assembler.packet(lost, late, start + GIVE_UP), Taken::Late);
}

#[test]
fn one_that_comes_again_in_time_completes_its_frame() {
    let start = Instant::now();
    for codec in CODECS {
        let mut packets = packets(codec, 3);
        let (sequence, packet) = packets.remove(5);
        let mut assembler = Assembler::default();
        for (sequence, packet) in packets {
            assembler.packet(sequence, packet, start);
        }
        assert_eq!(assembler.poll(start), None);
        assembler.packet(sequence, packet, start + GIVE_UP / 2);
        for expected in 0..3 {
            let frame = assembler.poll(start + GIVE_UP / 2).unwrap();
            assert_eq!((number(&frame), frame.lost_before), (expected, 0));
        }
    }
}

/// Whatever is lost: each frame is handed out whole, in order, or its loss is told.
#[test]
fn every_frame_is_whole_or_told_to_be_lost() {
    for (codec, seed) in CODECS.into_iter().flat_map(|c| (0..8).map(move |s| (c, s))) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut now = Instant::now();
        let mut assembler = Assembler::default();
        let real = frames(codec);
        let mut next = 0;
        let mut delivered = 0;
        let mut told = 0;
        let mut handed_out = |frame: Frame| {
            let number = number(&frame);
            assert_eq!(frame.data, real[number % 6]);
            assert!(number >= next, "{number} after {next}");
            let lost = number - next;
            // Of H.264 the packets do not tell how many there were.
            match codec {
                VideoCodec::Vp8 if next > 0 => assert_eq!(usize::from(frame.lost_before), lost),
                _ => assert!(usize::from(frame.lost_before) <= lost),
            }
            assert!(lost == 0 || frame.lost_before > 0 || next == 0);
            (next, delivered, told) = (number + 1, delivered + 1, told + lost);
        };
        for (sequence, packet) in packets(codec, 600) {
            now += Duration::from_millis(3);
            if random.u8(..100) >= 3 {
                assembler.packet(sequence, packet, now);
            }
            while let Some(frame) = assembler.poll(now) {
                handed_out(frame);
            }
            assert!(assembler.size() < 400);
        }
        now += GIVE_UP * 2;
        while let Some(frame) = assembler.poll(now) {
            handed_out(frame);
        }
        assert!(told > 50 && delivered > 200, "{told} {delivered}");
    }
}

#[test]
fn random_packets_do_no_harm() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut now = Instant::now();
    let mut assembler = Assembler::default();
    for _ in 0..100_000 {
        now += Duration::from_millis(random.u64(..20));
        let mut payload = vec![0; random.usize(..20)];
        random.fill(&mut payload);
        let packet = Packet {
            codec: CODECS[random.usize(..2)],
            timestamp: random.u32(..9) * 1000,
            marker: random.bool(),
            payload: payload.into(),
        };
        let sequence = if random.u8(..200) == 0 {
            random.u16(..)
        } else {
            assembler.newest.unwrap_or(0) as u16 ^ random.u16(..8)
        };
        assembler.packet(sequence, packet, now);
        while assembler.poll(now).is_some() {}
        let _ = assembler.missing(now, 9);
        assert!(assembler.size() <= WINDOW as usize);
    }
}

/// A packet of a frame that goes on.
fn middle(timestamp: u32) -> Packet {
    Packet {
        codec: VideoCodec::Vp8,
        timestamp,
        marker: false,
        // The beginning of a partition, so that a frame may begin with it.
        payload: vec![0x10; 1_000].into(),
    }
}

#[test]
fn a_frame_without_an_end_is_given_up() {
    let now = Instant::now();
    let mut assembler = Assembler::default();
    for sequence in 0..5_000 {
        assembler.packet(sequence, middle(7), now);
        assert_eq!(assembler.poll(now), None);
        assert!(assembler.size() <= WINDOW as usize);
    }
    // What comes after it is told that one was lost.
    let packets = packets(VideoCodec::Vp8, 1);
    for (place, (_, packet)) in packets.into_iter().enumerate() {
        assembler.packet(5_000 + place as u16, packet, now);
    }
    let frame = assembler.poll(now).unwrap();
    assert_eq!((number(&frame), frame.lost_before), (0, 1));
    assert_eq!(assembler.size(), 0);
}

#[test]
fn packets_that_leap_cost_no_more_than_others() {
    for leap in [2, 1_000, 2_999] {
        let now = Instant::now();
        let mut assembler = Assembler::default();
        for n in 0..5_000_u16 {
            let sequence = n.wrapping_mul(leap);
            assembler.packet(sequence, middle(7), now);
            while assembler.poll(now).is_some() {}
            // As many gaps as packets.
            assert!(assembler.size() <= 2 * (WINDOW / u64::from(leap) + 1) as usize);
        }
    }
}

#[test]
fn no_more_is_asked_for_than_there_is_room_for_and_the_rest_at_once() {
    let start = Instant::now();
    let mut assembler = Assembler::default();
    for sequence in [65_530, 4, 6] {
        assembler.packet(sequence, middle(7), start);
    }
    let at = start + REORDER;
    assert_eq!(assembler.missing(at, 3), [65_531, 65_532, 65_533]);
    assert_eq!(assembler.missing(at, 0), []);
    assert_eq!(assembler.deadline(), Some(at), "the rest waits");
    // One of them comes, and another one of those that nobody asked for.
    assembler.packet(65_532, middle(7), at);
    assembler.packet(1, middle(7), at);
    assert_eq!(assembler.missing(at, 99), [65_534, 65_535, 0, 2, 3, 5]);
    assert_eq!(assembler.deadline(), Some(at + RETRY));
    let all = [65_531, 65_533, 65_534, 65_535, 0, 2, 3, 5];
    assert_eq!(assembler.missing(at + RETRY, 99), all);
    assert_eq!(assembler.overdue(), Some(start + GIVE_UP));
    for sequence in all {
        assembler.packet(sequence, middle(7), at + RETRY);
    }
    assert_eq!(assembler.deadline(), None);
}
