use super::*;
use uro_discord_media::feedback::{Feedback, feedback};
use uro_discord_media::fixtures::frames;
use uro_discord_media::{VideoCodec, vp8};

const USER: u64 = 5;
const OURS: u32 = 1;
const SSRC: u32 = 11;
const RTX: u32 = 12;

struct Bench {
    receiver: VideoReceiver,
    dave: Dave,
    start: Instant,
    out: Vec<ReceivedVideo>,
    sequence: u16,
}

impl Bench {
    /// On a stage, where nothing is encrypted end to end.
    fn new() -> Self {
        let start = Instant::now();
        let mut dave = Dave::new(1, 2);
        dave.start(0, start, &mut Vec::new());
        let mut receiver = VideoReceiver::default();
        assert!(receiver.announced(USER, &[(SSRC, RTX)]));
        Self {
            receiver,
            dave,
            start,
            out: Vec::new(),
            sequence: 65_530,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn packet(&mut self, header: (u32, u8, u16, bool), at: u32, payload: &[u8], ms: u64) {
        let (ssrc, payload_type, sequence, marker) = header;
        let header = Header {
            marker,
            payload_type,
            sequence,
            timestamp: at,
            ssrc,
            clear: 12,
            extension: 0,
            padding: false,
        };
        let (now, steps) = (self.at(ms), &mut Vec::new());
        let (dave, out) = (&mut self.dave, &mut self.out);
        self.receiver
            .packet(&header, payload, dave, now, steps, out);
    }

    /// Sends a frame of the fixture's; but for one packet, which is answered.
    fn frame(&mut self, number: usize, lose: Option<usize>, ms: u64) -> Option<(u16, Vec<u8>)> {
        let payloads = vp8::packetize(&frames(VideoCodec::Vp8)[number], number as u16, 1000);
        let last = payloads.len() - 1;
        let mut lost = None;
        for (place, payload) in payloads.into_iter().enumerate() {
            let sequence = self.sequence;
            self.sequence = sequence.wrapping_add(1);
            if lose == Some(place) {
                lost = Some((sequence, payload));
            } else {
                let header = (SSRC, 105, sequence, place == last);
                self.packet(header, number as u32 * 3000, &payload, ms);
            }
        }
        lost
    }

    fn asked(&mut self, ms: u64) -> Vec<Feedback> {
        let (now, mut packet) = (self.at(ms), Vec::new());
        let (dave, out) = (&mut self.dave, &mut self.out);
        self.receiver.advance(dave, now, &mut Vec::new(), out);
        match self.receiver.feedback(OURS, now, &mut packet) {
            true => feedback(&packet).unwrap(),
            false => Vec::new(),
        }
    }

    /// Asks whenever it is time to, up to then.
    fn run(&mut self, ms: u64) -> Vec<(u64, Feedback)> {
        let mut asked = Vec::new();
        while let Some(at) = self
            .receiver
            .deadline()
            .filter(|deadline| *deadline <= self.at(ms))
        {
            let at = (at - self.start).as_millis() as u64;
            asked.extend(self.asked(at).into_iter().map(|wanted| (at, wanted)));
        }
        asked
    }
}

#[test]
fn a_lost_packet_is_asked_for_and_comes_by_retransmission() {
    let mut bench = Bench::new();
    let (sequence, payload) = bench.frame(0, Some(1), 0).unwrap();
    bench.frame(1, None, 5);
    assert!(bench.out.is_empty());
    let wanted = Feedback::Nack {
        ssrc: SSRC,
        sequences: vec![sequence],
    };
    assert_eq!(bench.run(20), [(10, wanted)]);
    let again = rtx::payload(sequence, &payload);
    bench.packet((RTX, 106, 1, false), 0, &again, 30);
    let lost: Vec<u16> = bench.out.iter().map(|frame| frame.lost_before).collect();
    assert_eq!(lost, [0, 0]);
    assert_eq!(bench.out[0].frame, frames(VideoCodec::Vp8)[0]);
    assert_eq!(bench.run(5000), []);
    assert_eq!(bench.receiver.stats().recovered, 1);
}

#[test]
fn after_a_loss_keyframes_are_asked_for_ever_less_until_one_comes() {
    let mut bench = Bench::new();
    bench.frame(0, None, 0);
    bench.frame(1, Some(0), 100);
    bench.frame(2, None, 100);
    let keyframe = Feedback::Keyframe { ssrc: SSRC };
    let asked: Vec<u64> = bench
        .run(20_000)
        .into_iter()
        .filter(|(_, wanted)| *wanted == keyframe)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(asked, [500, 1000, 2000, 4000, 8000, 16_000]);
    let lost: Vec<u16> = bench.out.iter().map(|frame| frame.lost_before).collect();
    assert_eq!(lost, [0, 1]);
    bench.frame(3, None, 20_000);
    assert!(bench.out[2].keyframe);
    assert_eq!(bench.run(60_000), []);
    // A decoder wants one.
    assert!(bench.receiver.want_keyframe(USER, bench.at(60_000)));
    assert!(!bench.receiver.want_keyframe(9, bench.at(60_000)));
    assert_eq!(bench.asked(60_000), [keyframe]);
}

#[test]
fn frames_wait_for_their_key_and_not_for_long() {
    let mut bench = Bench::new();
    // What is to be decrypted with is not known yet.
    bench.dave = Dave::new(1, 2);
    bench.frame(0, None, 0);
    bench.frame(1, None, 150);
    bench.run(199);
    assert!(bench.out.is_empty());
    bench.run(250);
    bench.dave.start(0, bench.start, &mut Vec::new());
    bench.asked(250);
    let [frame] = &bench.out[..] else {
        panic!("{:?}", bench.out);
    };
    assert_eq!((frame.rtp_time, frame.lost_before), (3000, 1));
    assert_eq!(bench.receiver.stats().held_too_long, 1);
}

#[test]
fn only_streams_that_were_told_of_are_taken() {
    let mut bench = Bench::new();
    bench.packet((99, 105, 1, true), 0, &[0x10, 1], 0);
    bench.packet((99, 106, 1, true), 0, &[0, 1, 0x10, 1], 0);
    assert_eq!(bench.receiver.stats().stray, 2);
    // Probes, and retransmissions with nothing in them.
    bench.packet((SSRC, 96, 1, true), 0, &[], 0);
    bench.packet((RTX, 106, 1, true), 0, &[], 0);
    assert_eq!(bench.receiver.stats().packets, 0);
    assert!(!bench.receiver.announced(USER, &[(SSRC, RTX)]));
    assert!(bench.receiver.announced(USER, &[]));
    bench.frame(0, None, 0);
    assert!(bench.out.is_empty());
    for user in 0..1000 {
        bench.receiver.announced(user, &[(user as u32 * 2, 0)]);
    }
    assert_eq!(bench.receiver.streams.len(), MAX_STREAMS);
}

#[test]
fn a_decoder_that_wants_a_keyframe_does_not_wait_for_those_that_did_not_come() {
    let mut bench = Bench::new();
    bench.frame(0, None, 0);
    bench.frame(1, Some(0), 100);
    bench.frame(2, None, 100);
    let keyframes = |asked: Vec<(u64, Feedback)>| -> Vec<u64> {
        let found = asked.iter();
        let found = found.filter(|(_, it)| *it == Feedback::Keyframe { ssrc: SSRC });
        found.map(|(at, _)| *at).collect()
    };
    assert_eq!(keyframes(bench.run(9_000)).last(), Some(&8_000));
    for ms in [9_000, 9_200, 9_400] {
        assert!(bench.receiver.want_keyframe(USER, bench.at(ms)));
    }
    assert_eq!(keyframes(bench.run(9_600)), [9_500]);
}

#[test]
fn what_has_no_room_in_one_datagram_is_asked_for_in_the_next_one() {
    let mut bench = Bench::new();
    bench.frame(0, None, 0);
    bench.sequence = bench.sequence.wrapping_add(400);
    bench.frame(1, None, 5);
    let mut count = |ms| -> usize {
        let asked = bench.asked(ms).into_iter();
        let asked = asked.map(|it| match it {
            Feedback::Nack { sequences, .. } => sequences.len(),
            _ => 0,
        });
        asked.sum()
    };
    assert_eq!([20, 20, 20].map(&mut count), [MAX_ASKED, 150, 0]);
    assert_eq!(bench.receiver.stats().asked_again, 400);
}

#[test]
fn retransmissions_may_come_by_another_stream_later() {
    let mut bench = Bench::new();
    assert!(!bench.receiver.announced(USER, &[(SSRC, 77)]));
    // It is nobody else's.
    bench.receiver.announced(9, &[(SSRC, 78)]);
    let (sequence, payload) = bench.frame(0, Some(1), 0).unwrap();
    let again = rtx::payload(sequence, &payload);
    bench.packet((RTX, 106, 1, false), 0, &again, 10);
    bench.packet((78, 106, 1, false), 0, &again, 10);
    assert_eq!(bench.receiver.stats().stray, 2);
    bench.packet((77, 106, 1, false), 0, &again, 10);
    assert_eq!(bench.receiver.stats().recovered, 1);
}
