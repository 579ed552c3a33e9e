//! Our own stream: RTP numbers, both encryptions, one packet for one frame.
#![allow(
    clippy::cast_possible_truncation,
    reason = "the numbers of RTP and RTCP wrap"
)]

use std::time::Instant;

use crate::dave::{Dave, NoKey};
use crate::media::OPUS;
use crate::media::crypto::{NonceExhausted, Transport};
use crate::pacer::FRAME;
use uro_discord_media::feedback::Sent;
use uro_discord_media::rtp::{self, Header};

/// A frame's samples at 48 kHz.
const SAMPLES: u32 = 960;

/// An Opus packet that Discord forwards. Its own limit is by the datagram, about 1200 bytes.
pub(crate) const MAX_FRAME: usize = 1100;

/// Why a packet was not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    NoKey,
    Exhausted,
}

pub(crate) struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    last: Option<Instant>,
    frame: Vec<u8>,
    packets: u32,
    octets: u32,
    reported: u32,
}

impl Sender {
    pub(crate) fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            sequence: fastrand::u16(..),
            timestamp: fastrand::u32(..),
            last: None,
            frame: Vec::new(),
            packets: 0,
            octets: 0,
            reported: 0,
        }
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Writes the packet to send. After a pause (`paused`) the timestamp has moved on as time has.
    pub(crate) fn packet(
        &mut self,
        frame: &[u8],
        paused: bool,
        dave: &mut Dave,
        transport: &mut Transport,
        now: Instant,
        packet: &mut Vec<u8>,
    ) -> Result<(), Unsent> {
        self.advance(paused, now);
        dave.encrypt(frame, now, &mut self.frame)
            .map_err(|NoKey| Unsent::NoKey)?;
        self.sequence = self.sequence.wrapping_add(1);
        let header = Header {
            marker: false,
            payload_type: OPUS,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            clear: rtp::HEADER,
            extension: 0,
            padding: false,
        };
        packet.clear();
        header.write(packet);
        packet.extend_from_slice(&self.frame);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(self.frame.len() as u32);
        transport
            .seal(packet, rtp::HEADER)
            .map_err(|NonceExhausted| Unsent::Exhausted)
    }

    /// What a Sender Report says, if there is something new to say.
    pub(crate) fn report(&mut self, now: Instant) -> Option<Sent> {
        let last = self.last?;
        if self.reported == self.packets {
            return None;
        }
        self.reported = self.packets;
        let since = now.saturating_duration_since(last).as_micros() as u64 * 48 / 1000;
        Some(Sent {
            ssrc: self.ssrc,
            rtp_time: self.timestamp.wrapping_add(since as u32),
            packets: self.packets,
            octets: self.octets,
        })
    }

    /// A frame that is not sent takes its time too.
    fn advance(&mut self, paused: bool, now: Instant) {
        let frames = match self.last {
            Some(last) if paused => {
                let pause = now.saturating_duration_since(last) + FRAME / 2;
                (pause.as_millis() / FRAME.as_millis()).max(1)
            }
            _ => 1,
        };
        self.last = Some(now);
        self.timestamp = self
            .timestamp
            .wrapping_add((frames as u32).wrapping_mul(SAMPLES));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::media::crypto::Mode;

    #[test]
    fn numbers_move_by_the_frame_and_by_the_clock() {
        let now = Instant::now();
        let mut dave = Dave::new(1, 2);
        let mut transport = Transport::new(Mode::Aes256Gcm, &[7; 32].into());
        let mut sender = Sender::new(9);
        let frame = [1, 2, 3, 4];
        assert_eq!(
            sender.packet(
                &frame,
                true,
                &mut dave,
                &mut transport,
                now,
                &mut Vec::new()
            ),
            Err(Unsent::NoKey)
        );
        dave.start(0, now, &mut Vec::new());
        let mut send = |begin, ms| {
            let now = now + Duration::from_millis(ms);
            let mut packet = Vec::new();
            sender
                .packet(&frame, begin, &mut dave, &mut transport, now, &mut packet)
                .unwrap();
            let header = Header::parse(&packet).unwrap();
            assert_eq!(transport.open(&mut packet, header.clear).unwrap(), frame);
            assert_eq!((header.payload_type, header.marker), (120, false));
            assert_eq!(header.ssrc, 9);
            (header.sequence, header.timestamp)
        };
        let first = send(false, 20);
        let second = send(false, 40);
        let third = send(true, 1041);
        assert_eq!(second.0, first.0.wrapping_add(1));
        assert_eq!(second.1, first.1.wrapping_add(960));
        assert_eq!(third.0, second.0.wrapping_add(1));
        assert_eq!(third.1, second.1.wrapping_add(50 * 960));

        // A report tells the stream's time at its own, and is made when there is something new.
        let expected = Sent {
            ssrc: 9,
            rtp_time: third.1.wrapping_add(48_000),
            packets: 3,
            octets: 12,
        };
        let at = now + Duration::from_millis(2041);
        assert_eq!(sender.report(at), Some(expected));
        assert_eq!(sender.report(at), None);
    }
}
