use super::*;
use crate::media::crypto::Mode;
use uro_discord_media::fixtures::frames;

/// A sender in a channel without end-to-end encryption.
struct Bench {
    sender: VideoSender,
    dave: Dave,
    transport: Transport,
    stats: VideoSendStats,
    start: Instant,
}

impl Bench {
    /// 1.6 Mbit/s: a slot takes 5000 bytes.
    fn new() -> Self {
        let start = Instant::now();
        let mut dave = Dave::new(1, 2);
        dave.start(0, start, &mut Vec::new());
        Self {
            sender: VideoSender::new(7, 8, 1_600_000),
            dave,
            transport: Transport::new(Mode::Aes256Gcm, &[7; 32].into()),
            stats: VideoSendStats::default(),
            start,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn frame(&mut self, data: &[u8], ms: u64) -> bool {
        let frame = VideoFrame {
            codec: VideoCodec::Vp8,
            data: data.to_vec().into(),
            rtp_time: ms as u32 * 90,
            keyframe: vp8::is_keyframe(data),
        };
        let now = self.at(ms);
        self.sender
            .frame(&frame, &mut self.dave, now, &mut self.stats)
    }

    /// What leaves up to a time, in milliseconds: when, its header, its payload.
    fn run(&mut self, ms: u64) -> Vec<(u64, Header, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(at) = self.sender.deadline().filter(|at| *at <= self.at(ms)) {
            let mut packet = Vec::new();
            let (transport, stats) = (&mut self.transport, &mut self.stats);
            while self.sender.packet(at, transport, &mut packet, stats) == Ok(true) {
                let header = Header::parse(&packet).unwrap();
                let opened = transport.open(&mut packet, header.clear).unwrap();
                assert_eq!(opened[..4], PLAYOUT_DELAY);
                let payload = header.payload(opened).unwrap().to_vec();
                let at = (at - self.start).as_millis() as u64;
                sent.push((at, header, payload));
            }
        }
        sent
    }
}

#[test]
fn a_large_frame_leaves_in_portions() {
    let mut bench = Bench::new();
    let mut keyframe = frames(VideoCodec::Vp8).remove(0);
    keyframe.resize(50_000, 0x55);
    assert!(!bench.frame(&keyframe, 0));
    let sent = bench.run(1000);
    let head_start = HEAD_START.as_millis() as u64;
    assert_eq!(sent[0].0, head_start);
    let last = sent.last().unwrap();
    assert!((45..=55).contains(&(last.0 - head_start)), "{}", last.0);
    for slot in (head_start..=last.0).step_by(5) {
        let portion = sent.iter().filter(|(at, ..)| *at == slot).count();
        assert!((1..=5).contains(&portion), "{portion}");
    }
    let markers: Vec<bool> = sent.iter().map(|(_, header, _)| header.marker).collect();
    assert_eq!(markers.iter().filter(|marker| **marker).count(), 1);
    assert!(markers.last().unwrap());
    for pair in sent.windows(2) {
        assert_eq!(pair[1].1.sequence, pair[0].1.sequence.wrapping_add(1));
        assert_eq!(pair[1].1.timestamp, pair[0].1.timestamp);
    }
    let mut again = Vec::new();
    vp8::depacketize(sent.iter().map(|(_, _, payload)| &payload[..]), &mut again).unwrap();
    assert_eq!(again, keyframe);
    assert_eq!(bench.sender.deadline(), None);
}

#[test]
fn what_is_missed_is_sent_again_while_it_is_kept() {
    let mut bench = Bench::new();
    let keyframe = frames(VideoCodec::Vp8).remove(0);
    bench.frame(&keyframe, 0);
    let sent = bench.run(200);
    let (_, lost, payload) = &sent[1];
    let ask = |bench: &mut Bench, sequence: u16, ms| {
        let now = bench.at(ms);
        bench.sender.missed(&[sequence], now, &mut bench.stats);
        bench.run(ms + 5)
    };
    for (ms, times) in [(300, 1), (310, 0), (340, 1)] {
        let again = ask(&mut bench, lost.sequence, ms);
        assert_eq!(again.len(), times, "{ms}");
        for (_, header, found) in again {
            assert_eq!((header.ssrc, header.payload_type), (8, 106));
            assert_eq!(
                (header.timestamp, header.marker),
                (lost.timestamp, lost.marker)
            );
            assert_eq!(rtx::original(&found), Some((lost.sequence, &payload[..])));
        }
    }
    // One that was not sent yet, and one from before the first.
    let next = sent.last().unwrap().1.sequence.wrapping_add(1);
    assert!(ask(&mut bench, next, 400).is_empty());
    assert!(ask(&mut bench, sent[0].1.sequence.wrapping_sub(1), 400).is_empty());
    assert_eq!((bench.stats.retransmitted, bench.stats.not_kept), (2, 2));
    // It is let go when a thousand others have been sent since.
    for number in 0..KEPT as u64 {
        bench.frame(&[1, 2, 3], 500 + number);
        bench.run(500 + number);
    }
    assert!(ask(&mut bench, lost.sequence, 10_000).is_empty());
    assert_eq!(bench.stats.not_kept, 3);
}

#[test]
fn after_a_dropped_frame_comes_a_keyframe() {
    let mut bench = Bench::new();
    let real = frames(VideoCodec::Vp8);
    // The first one must be one; that is asked for now and then only.
    assert!(bench.frame(&real[1], 0));
    assert!(!bench.frame(&real[1], 100));
    assert!(bench.frame(&real[1], 400));
    assert!(!bench.frame(&real[0], 500));
    assert!(!bench.frame(&real[1], 533));
    bench.sender.dropped();
    assert!(bench.frame(&real[2], 1000));
    assert_eq!((bench.stats.frames, bench.stats.needs_keyframe), (2, 4));
    // More than a second's worth waits.
    let mut large = real[0].clone();
    large.resize(1_200_000, 0x55);
    assert!(!bench.frame(&large, 2000));
    assert!(bench.frame(&real[1], 2033));
    assert_eq!(bench.stats.congested, 1);
}

#[test]
fn a_stream_that_ended_begins_again_as_the_first_time() {
    let mut bench = Bench::new();
    let real = frames(VideoCodec::Vp8);
    bench.frame(&real[0], 0);
    let sent = bench.run(200);
    bench.frame(&real[1], 300);
    // What waits was never sent: its number is free.
    bench.sender.stop();
    assert_eq!(bench.sender.deadline(), None);
    assert!(bench.frame(&real[1], 400));
    bench.frame(&real[0], 500);
    let again = bench.run(1000);
    assert_eq!(again[0].0, 500 + HEAD_START.as_millis() as u64);
    let next = sent.last().unwrap().1.sequence.wrapping_add(1);
    assert_eq!(again[0].1.sequence, next);
}

#[test]
fn without_a_key_nothing_is_sent() {
    let mut bench = Bench::new();
    bench.dave = Dave::new(1, 2);
    bench.dave.start(1, bench.start, &mut Vec::new());
    let keyframe = frames(VideoCodec::Vp8).remove(0);
    bench.frame(&keyframe, 0);
    assert_eq!((bench.stats.no_key, bench.run(1000).len()), (1, 0));
}

#[test]
fn reports_tell_the_time_of_the_stream() {
    let mut bench = Bench::new();
    assert_eq!(bench.sender.report(bench.at(0)), None);
    let keyframe = frames(VideoCodec::Vp8).remove(0);
    bench.frame(&keyframe, 1000);
    let sent = bench.run(2000);
    let octets: usize = sent.iter().map(|(_, _, payload)| payload.len()).sum();
    let expected = Sent {
        ssrc: 7,
        rtp_time: 3000 * 90,
        packets: sent.len() as u32,
        octets: octets as u32,
    };
    assert_eq!(bench.sender.report(bench.at(3000)), Some(expected));
    assert_eq!(bench.sender.report(bench.at(8000)), None);
}
