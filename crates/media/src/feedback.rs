//! RTCP about video, and what a sender reports: Generic NACK and PLI (RFC 4585), FIR (RFC 5104), SR and SDES (RFC 3550).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Malformed;
use crate::rtcp::{RECEIVER_REPORT, SENDER_REPORT, split};

const DESCRIPTION: u8 = 202;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Formats of feedback.
const NACK: u8 = 1;
const PLI: u8 = 1;
const FIR: u8 = 4;

/// NTP counts from 1900.
const NTP_EPOCH: Duration = Duration::from_secs(2_208_988_800);

/// What a receiver wants of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// Packets again.
    Nack {
        /// The stream.
        ssrc: u32,
        /// Their numbers.
        sequences: Vec<u16>,
    },
    /// A keyframe.
    Keyframe {
        /// The stream.
        ssrc: u32,
    },
}

/// Reads the feedback of a compound packet that has been decrypted.
///
/// # Errors
///
/// When it is shorter than it says, or not RTCP version 2.
pub fn feedback(compound: &[u8]) -> Result<Vec<Feedback>, Malformed> {
    let mut found = Vec::new();
    let mut rest = compound;
    while !rest.is_empty() {
        let (packet, next) = split(rest)?;
        rest = next;
        let [first, kind, _, _, _, _, _, _, m0, m1, m2, m3, body @ ..] = packet else {
            continue;
        };
        let ssrc = u32::from_be_bytes([*m0, *m1, *m2, *m3]);
        match (*kind, first & 0x1f) {
            (TRANSPORT_FEEDBACK, NACK) => {
                let items = unpadded(*first, body).as_chunks::<4>().0.iter();
                let sequences = items.flat_map(|[s0, s1, b0, b1]| {
                    let sequence = u16::from_be_bytes([*s0, *s1]);
                    let following = u16::from_be_bytes([*b0, *b1]);
                    let following = (0..16)
                        .filter(move |bit| following & (1 << bit) != 0)
                        .map(move |bit: u16| sequence.wrapping_add(bit).wrapping_add(1));
                    std::iter::once(sequence).chain(following)
                });
                found.push(Feedback::Nack {
                    ssrc,
                    sequences: sequences.collect(),
                });
            }
            (PAYLOAD_FEEDBACK, PLI) => found.push(Feedback::Keyframe { ssrc }),
            (PAYLOAD_FEEDBACK, FIR) => {
                let items = unpadded(*first, body).as_chunks::<8>().0.iter();
                found.extend(items.map(|[a, b, c, d, ..]| Feedback::Keyframe {
                    ssrc: u32::from_be_bytes([*a, *b, *c, *d]),
                }));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The last packet of a compound may be padded; its last byte says by how much.
fn unpadded(first: u8, body: &[u8]) -> &[u8] {
    let padding = match body.last() {
        Some(padding) if first & 0x20 != 0 => usize::from(*padding),
        _ => 0,
    };
    body.get(..body.len().saturating_sub(padding))
        .unwrap_or_default()
}

/// Begins a compound packet of somebody who has nothing to report.
pub fn empty_report(sender: u32, out: &mut Vec<u8>) {
    out.extend([0x80, RECEIVER_REPORT, 0, 1]);
    out.extend(sender.to_be_bytes());
}

/// Appends a NACK. `sequences` are in order.
pub fn nack(sender: u32, ssrc: u32, sequences: &[u16], out: &mut Vec<u8>) {
    let mut items: Vec<(u16, u16)> = Vec::new();
    for sequence in sequences {
        match items.last_mut() {
            Some((first, following)) if (1..=16).contains(&sequence.wrapping_sub(*first)) => {
                *following |= 1 << sequence.wrapping_sub(*first).wrapping_sub(1);
            }
            _ => items.push((*sequence, 0)),
        }
    }
    // A packet holds as many as a datagram does, which is far less than the length's 16 bits allow.
    let length = u16::try_from(items.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    out.extend([0x80 | NACK, TRANSPORT_FEEDBACK]);
    out.extend(length.to_be_bytes());
    out.extend(sender.to_be_bytes());
    out.extend(ssrc.to_be_bytes());
    for (first, following) in items {
        out.extend(first.to_be_bytes());
        out.extend(following.to_be_bytes());
    }
}

/// Appends a request for a keyframe: Picture Loss Indication.
pub fn picture_loss(sender: u32, ssrc: u32, out: &mut Vec<u8>) {
    out.extend([0x80 | PLI, PAYLOAD_FEEDBACK, 0, 2]);
    out.extend(sender.to_be_bytes());
    out.extend(ssrc.to_be_bytes());
}

/// What we say of one of our streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The stream.
    pub ssrc: u32,
    /// The stream's time now.
    pub rtp_time: u32,
    /// Packets so far; it wraps.
    pub packets: u32,
    /// Bytes of payload so far; it wraps.
    pub octets: u32,
}

/// A Sender Report, and the Source Description that RFC 3550 wants in each compound packet.
pub fn sender_report(sent: Sent, ntp: u64, out: &mut Vec<u8>) {
    out.extend([0x80, SENDER_REPORT, 0, 6]);
    out.extend(sent.ssrc.to_be_bytes());
    out.extend(ntp.to_be_bytes());
    for word in [sent.rtp_time, sent.packets, sent.octets] {
        out.extend(word.to_be_bytes());
    }
    // CNAME (1), four bytes, the end of the list, and zeroes up to a word. All our streams have one clock and so one name.
    out.extend([0x81, DESCRIPTION, 0, 3]);
    out.extend(sent.ssrc.to_be_bytes());
    out.extend([1, 4, b'u', b'r', b'o', b'd', 0, 0]);
}

/// What time it is, told from an instant.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    instant: Instant,
    time: Duration,
}

impl Clock {
    /// `instant` and `time` are the same moment.
    #[must_use]
    pub fn new(instant: Instant, time: SystemTime) -> Self {
        Self {
            instant,
            time: time
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .saturating_add(NTP_EPOCH),
        }
    }

    /// NTP's time: seconds, with 32 bits behind the point.
    #[must_use]
    pub fn ntp(&self, now: Instant) -> u64 {
        let time = self
            .time
            .saturating_add(now.saturating_duration_since(self.instant));
        (time.as_secs() << 32) | ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_written_and_read() {
        let mut compound = Vec::new();
        empty_report(1, &mut compound);
        nack(1, 7, &[65_530, 65_535, 3, 10, 11], &mut compound);
        picture_loss(1, 8, &mut compound);
        // FIR: two streams.
        compound.extend([0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0]);
        compound.extend([0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 10, 1, 0, 0, 0]);
        let expected = [
            Feedback::Nack {
                ssrc: 7,
                sequences: vec![65_530, 65_535, 3, 10, 11],
            },
            Feedback::Keyframe { ssrc: 8 },
            Feedback::Keyframe { ssrc: 9 },
            Feedback::Keyframe { ssrc: 10 },
        ];
        assert_eq!(feedback(&compound).unwrap(), expected);
        // 65,530 to 10 are sixteen apart; 11 is another item.
        assert_eq!(compound[8..28][2..4], [0, 4]);
    }

    #[test]
    fn padding_is_no_feedback() {
        let packet = [
            0xa1, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 0, 0, 0, 0, 4,
        ];
        let nack = Feedback::Nack {
            ssrc: 2,
            sequences: vec![9],
        };
        assert_eq!(feedback(&packet), Ok(vec![nack]));
    }

    #[test]
    fn a_sender_report() {
        let sent = Sent {
            ssrc: 5,
            rtp_time: 960,
            packets: 2,
            octets: 300,
        };
        let now = Instant::now();
        // Half a second after New Year 2025.
        let clock = Clock::new(now, UNIX_EPOCH + Duration::from_secs(1_735_689_600));
        let mut compound = Vec::new();
        sender_report(
            sent,
            clock.ntp(now + Duration::from_millis(500)),
            &mut compound,
        );
        assert_eq!(
            compound,
            [
                0x80, 200, 0, 6, 0, 0, 0, 5, 0xeb, 0x1f, 0x04, 0x00, 0x80, 0, 0, 0, 0, 0, 3, 0xc0,
                0, 0, 0, 2, 0, 0, 1, 44, 0x81, 202, 0, 3, 0, 0, 0, 5, 1, 4, b'u', b'r', b'o', b'd',
                0, 0
            ]
        );
        assert_eq!(crate::rtcp::reports(&compound), Ok(vec![]));
        assert_eq!(feedback(&compound), Ok(vec![]));
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..20_000 {
            let mut packet = vec![0; random.usize(..120)];
            random.fill(&mut packet);
            if let [first, kind, high, ..] = &mut packet[..] {
                (*first, *kind, *high) = (*first & 0x3f | 0x80, 205 + (*kind & 1), 0);
            }
            let _ = feedback(&packet);
        }
    }
}
