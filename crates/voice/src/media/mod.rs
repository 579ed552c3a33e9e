//! What is Discord's own about packets: transport encryption, discovery, and what shares the UDP socket with RTP and RTCP.
#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that panics has failed"
    )
)]

pub(crate) mod crypto;
pub(crate) mod discovery;
pub(crate) mod keepalive;

/// Audio's payload type, which every Discord client uses: Opus at 48 kHz.
pub(crate) const OPUS: u8 = 120;

/// The Opus packet of 20 ms of silence. Five of them end speech, and DAVE leaves them in clear.
pub(crate) const OPUS_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// What a datagram is. RTP and RTCP share the port and are told apart by the second byte (RFC 5761).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rtp,
    Rtcp,
    Discovery,
    Keepalive,
    Unknown,
}

impl Kind {
    pub(crate) fn of(datagram: &[u8]) -> Self {
        match datagram {
            [first, second, ..] if datagram.len() > keepalive::SIZE && first >> 6 == 2 => {
                match second {
                    200..=206 => Self::Rtcp,
                    _ => Self::Rtp,
                }
            }
            [0, 2, ..] if datagram.len() == discovery::SIZE => Self::Discovery,
            _ if datagram.len() == keepalive::SIZE => Self::Keepalive,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let mut packet = [0; 40];
        (packet[0], packet[1]) = (0x90, 0x78);
        assert_eq!(Kind::of(&packet), Kind::Rtp);
        packet[1] = 201;
        assert_eq!(Kind::of(&packet), Kind::Rtcp);
        assert_eq!(Kind::of(&[0; 8]), Kind::Keepalive);
        assert_eq!(Kind::of(&packet[..8]), Kind::Keepalive);
        let mut discovery = [0; 74];
        discovery[1] = 2;
        assert_eq!(Kind::of(&discovery), Kind::Discovery);
        assert_eq!(Kind::of(&discovery[..73]), Kind::Unknown);
        assert_eq!(Kind::of(&[]), Kind::Unknown);
    }
}
