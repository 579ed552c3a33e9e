//! What a datagram is by its first bytes (RFC 7983, and RFC 5761 for RTCP).

/// A protocol of WebRTC's one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datagram {
    Stun,
    /// Of DTLS, with the type of its first record.
    Dtls(u8),
    /// Of SRTP, with its SSRC.
    Rtp(u32),
    /// Of SRTCP, with its sender's SSRC.
    Rtcp(u32),
    /// Something else, or too short to tell.
    Other,
}

impl Datagram {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let Some(&first) = bytes.first() else {
            return Self::Other;
        };
        let ssrc = |at: usize| {
            let bytes = bytes.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*bytes))
        };
        match first {
            0..=3 => Self::Stun,
            20..=63 => Self::Dtls(first),
            128..=191 => match bytes.get(1) {
                Some(192..=223) => ssrc(4).map_or(Self::Other, Self::Rtcp),
                _ => ssrc(8).map_or(Self::Other, Self::Rtp),
            },
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_port_is_told_apart() {
        assert_eq!(Datagram::of(&[0, 1]), Datagram::Stun);
        assert_eq!(Datagram::of(&[21, 0xfe, 0xfd]), Datagram::Dtls(21));
        let rtp = [0x80, 111, 0, 1, 0, 0, 0, 9, 0, 0, 1, 2];
        assert_eq!(Datagram::of(&rtp), Datagram::Rtp(0x0102));
        assert_eq!(Datagram::of(&rtp[..11]), Datagram::Other);
        let report = [0x81, 201, 0, 1, 0, 0, 3, 4];
        assert_eq!(Datagram::of(&report), Datagram::Rtcp(0x0304));
        assert_eq!(Datagram::of(&report[..7]), Datagram::Other);
        // The marker makes 239 of payload type 111.
        let marked = [0x80, 239, 0, 1, 0, 0, 0, 9, 0, 0, 1, 2];
        assert_eq!(Datagram::of(&marked), Datagram::Rtp(0x0102));
        assert_eq!(Datagram::of(&[]), Datagram::Other);
        assert_eq!(Datagram::of(&[64]), Datagram::Other);
    }
}
