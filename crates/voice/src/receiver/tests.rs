use super::*;
use crate::media::crypto::Mode;
use uro_discord_media::rtp;

const USER: u64 = 7;
const SSRC: u32 = 9;

fn sealed(transport: &mut Transport, sequence: u16, frame: &[u8]) -> Vec<u8> {
    let header = Header {
        marker: false,
        payload_type: OPUS,
        sequence,
        timestamp: u32::from(sequence) * 960,
        ssrc: SSRC,
        clear: rtp::HEADER,
        extension: 0,
        padding: false,
    };
    let mut packet = Vec::new();
    header.write(&mut packet);
    packet.extend_from_slice(frame);
    transport.seal(&mut packet, rtp::HEADER).unwrap();
    packet
}

/// What is told of frames of a user, 20 ms apart.
struct Heard {
    receiver: Receiver,
    dave: Dave,
    transport: Transport,
    now: Instant,
    out: Vec<Output>,
}

impl Heard {
    fn new(wanted: bool) -> Self {
        let now = Instant::now();
        let mut dave = Dave::new(1, 2);
        dave.start(0, now, &mut Vec::new());
        let mut heard = Self {
            receiver: Receiver::new(wanted),
            dave,
            transport: Transport::new(Mode::Aes256Gcm, &[7; 32].into()),
            now,
            out: Vec::new(),
        };
        heard.receiver.belongs(SSRC, USER, &mut heard.out);
        heard
    }

    fn packet(&mut self, mut packet: Vec<u8>) {
        let (now, steps) = (self.now, &mut Vec::new());
        let (transport, out) = (&self.transport, &mut self.out);
        self.receiver
            .packet(&mut packet, transport, &mut self.dave, now, steps, out);
    }

    fn frames(&mut self, frames: u16, frame: &[u8]) {
        for sequence in 0..frames {
            self.one(sequence, frame);
        }
    }

    fn one(&mut self, sequence: u16, frame: &[u8]) {
        let packet = sealed(&mut self.transport, sequence, frame);
        self.packet(packet);
        self.pass(Duration::from_millis(20));
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.receiver.advance(self.now, &mut self.out);
    }

    fn speaking(&mut self) -> Vec<bool> {
        let told = self.out.drain(..).filter_map(|output| match output {
            Output::Speaking { speaking, .. } => Some(speaking),
            Output::Frame(_) => None,
        });
        told.collect()
    }
}

#[test]
fn who_speaks_is_told_and_nothing_else_is_opened_while_nobody_listens() {
    let mut heard = Heard::new(false);
    heard.frames(1_000, b"opus");
    assert!(!heard.out.iter().any(|out| matches!(out, Output::Frame(_))));
    heard.pass(QUIET);
    assert_eq!(heard.speaking(), [true, false]);
    heard.frames(5, &OPUS_SILENCE);
    assert_eq!(heard.speaking(), [true; 0]);
    let stats = heard.receiver.stats();
    assert_eq!((stats.unread, stats.looked_into), (1_005, 1 + 5));
    assert_eq!((stats.received, stats.delivered, stats.lost), (0, 0, 0));
    assert_eq!(heard.receiver.sizes(), (0, 1));

    let mut listening = Heard::new(true);
    listening.frames(1_000, b"opus");
    let stats = listening.receiver.stats();
    assert_eq!((stats.delivered, stats.unread), (1_000, 0));
}

#[test]
fn who_begins_to_listen_hears_and_misses_nothing_of_what_passed_by() {
    let mut heard = Heard::new(false);
    let delivered = |heard: &mut Heard| {
        let frames = heard.out.drain(..).filter_map(|output| match output {
            Output::Frame(frame) => Some((frame.sequence, frame.lost_before)),
            Output::Speaking { .. } => None,
        });
        frames.collect::<Vec<_>>()
    };
    heard.one(1, b"opus");
    heard.one(2, b"opus");
    heard.receiver.want(true);
    heard.one(500, b"opus");
    heard.one(502, b"opus");
    assert_eq!(delivered(&mut heard), [(500, 0), (502, 1)]);
    heard.receiver.want(false);
    heard.one(503, b"opus");
    heard.receiver.want(true);
    heard.one(9_000, b"opus");
    assert_eq!(delivered(&mut heard), [(9_000, 0)]);
    let stats = heard.receiver.stats();
    assert_eq!((stats.unread, stats.delivered, stats.lost), (3, 3, 1));
}

#[test]
fn what_waits_is_not_kept_for_nobody() {
    let mut heard = Heard::new(true);
    heard.receiver.gone(USER, &mut Vec::new());
    // Nobody knows yet whose it is.
    heard.one(1, b"opus");
    assert_eq!(heard.receiver.sizes().0, 1);
    heard.receiver.want(false);
    assert_eq!(heard.receiver.sizes().0, 0);
    let stats = heard.receiver.stats();
    assert_eq!((stats.received, stats.held_too_long), (1, 1));
    heard.pass(QUIET);
    assert_eq!(heard.receiver.deadline(), None);
}

#[test]
fn nobody_else_can_have_a_user_speak() {
    let mut heard = Heard::new(false);
    let mut forged = sealed(&mut heard.transport, 1, b"opus");
    *forged.last_mut().unwrap() ^= 1;
    heard.packet(forged);
    assert_eq!(heard.speaking(), [true; 0]);
    let stats = heard.receiver.stats();
    assert_eq!((stats.malformed, stats.unread), (1, 0));
}
