//! RTP and RTCP packets, as far as a relay looks into them (RFC 3550; `developers/topics/voice-connections`).

/// Opus, as Discord numbers it.
pub const OPUS: u8 = 120;
/// What the relay says about each packet: a one-byte header extension (RFC 8285) with the audio level and Discord's flags
/// of the speaker.
const EXTENSION: [u8; 4] = [0xbe, 0xde, 0, 1];
/// The playout delay: show it at once.
const PLAYOUT_DELAY: [u8; 4] = [5 << 4 | 2, 0, 0, 0];
/// The id of the audio level, and that of the speaker's flags.
const AUDIO_LEVEL: u8 = 1;
const SPEAKER_FLAGS: u8 = 9;
/// The audio level of somebody who speaks: voice, 30 dB under the loudest.
const LEVEL: u8 = 0x80 | 30;
/// Discord's speaker flag for a voice.
const VOICE: u8 = 2;

/// A packet's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// How many bytes are not encrypted: to the preamble of the extension, with it.
    pub clear: usize,
    /// How many bytes the extension's body has, which is encrypted.
    extension: usize,
    padding: bool,
}

impl Header {
    /// `None`: it is not RTP, version 2, or ends too early.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (fixed, rest) = packet.split_first_chunk::<12>()?;
        let [first, second, s0, s1, t0, t1, t2, t3, ssrc @ ..] = *fixed;
        if first >> 6 != 2 {
            return None;
        }
        let contributors = usize::from(first & 0x0f) * 4;
        let rest = rest.get(contributors..)?;
        let mut clear = 12 + contributors;
        let mut extension = 0;
        if first & 0x10 != 0 {
            let [_, _, length @ ..] = *rest.first_chunk::<4>()?;
            clear += 4;
            extension = usize::from(u16::from_be_bytes(length)) * 4;
        }
        Some(Self {
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes(ssrc),
            clear,
            extension,
            padding: first & 0x20 != 0,
        })
    }

    /// The payload within what was encrypted. `None`: extension and padding are longer than that.
    pub fn payload<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        let payload = body.get(self.extension..)?;
        if !self.padding {
            return Some(payload);
        }
        let padding = usize::from(*payload.last()?);
        if padding == 0 {
            return None;
        }
        payload.get(..payload.len().checked_sub(padding)?)
    }

    /// What the relay sends on for a packet: the clear and the encrypted part, with its own extension and so much padding.
    pub fn relayed(&self, payload: &[u8], padding: u8) -> ([u8; 16], Vec<u8>) {
        let mut clear = [0; 16];
        clear[0] = 0x90 | if padding > 0 { 0x20 } else { 0 };
        clear[1] = self.payload_type | if self.marker { 0x80 } else { 0 };
        clear[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        clear[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        clear[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        clear[12..].copy_from_slice(&EXTENSION);
        let mut body = vec![AUDIO_LEVEL << 4, LEVEL, SPEAKER_FLAGS << 4, VOICE];
        body.extend_from_slice(payload);
        body.extend(std::iter::repeat_n(padding, usize::from(padding)));
        (clear, body)
    }
    /// As [`relayed`](Self::relayed), for a packet of video, which receivers know under another payload type.
    pub fn relayed_video(&self, payload: &[u8], payload_type: u8) -> ([u8; 16], Vec<u8>) {
        let header = Self {
            payload_type,
            ..*self
        };
        let (clear, _) = header.relayed(&[], 0);
        (clear, [&PLAYOUT_DELAY[..], payload].concat())
    }
}

/// How many bytes of an RTCP packet are not encrypted: its header and the sender's SSRC.
pub const RTCP_CLEAR: usize = 8;

/// The sender's SSRC of an RTCP packet. `None`: it is something else.
pub fn rtcp_sender(packet: &[u8]) -> Option<u32> {
    let &[first, kind, _, _, a, b, c, d] = packet.first_chunk::<RTCP_CLEAR>()?;
    (first >> 6 == 2 && (200..=206).contains(&kind)).then(|| u32::from_be_bytes([a, b, c, d]))
}

/// A receiver report about one source, of which nothing was lost: the clear and the encrypted part.
pub fn receiver_report(reporter: u32, source: u32, highest: u16) -> ([u8; RTCP_CLEAR], [u8; 24]) {
    let mut clear = [0x81, 201, 0, 7, 0, 0, 0, 0];
    clear[4..].copy_from_slice(&reporter.to_be_bytes());
    let mut block = [0; 24];
    block[..4].copy_from_slice(&source.to_be_bytes());
    block[10..12].copy_from_slice(&highest.to_be_bytes());
    (clear, block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_with_everything_is_read() {
        let packet = [
            0xb1, 0xf8, 1, 2, 0, 0, 3, 0xc0, 0, 0, 0,
            9, // header: padding, extension, one contributor
            1, 1, 1, 1, // contributor
            0xbe, 0xde, 0, 1, // extension's preamble
        ];
        let header = Header::parse(&packet).unwrap();
        assert_eq!(
            (header.payload_type, header.marker, header.sequence),
            (OPUS, true, 0x0102)
        );
        assert_eq!(
            (header.timestamp, header.ssrc, header.clear),
            (960, 9, packet.len())
        );
        assert_eq!(
            header.payload(&[0, 0, 0, 0, 5, 6, 7, 0, 2]),
            Some(&[5, 6, 7][..])
        );
        assert_eq!(header.payload(&[0, 0, 0]), None);
        assert_eq!(header.payload(&[0, 0, 0, 0, 5, 3]), None);
        for length in 0..packet.len() {
            assert_eq!(Header::parse(&packet[..length]), None);
        }
    }

    #[test]
    fn what_is_relayed_is_read_again() {
        let packet = [0x80, 0x78, 1, 2, 0, 0, 3, 0xc0, 0, 0, 0, 9];
        let header = Header::parse(&packet).unwrap();
        for padding in [0, 4] {
            let (clear, body) = header.relayed(b"frame", padding);
            let again = Header::parse(&clear).unwrap();
            assert_eq!(again.payload(&body), Some(&b"frame"[..]));
            assert_eq!(
                (again.sequence, again.timestamp, again.ssrc),
                (0x0102, 960, 9)
            );
        }
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..100_000 {
            let mut bytes = vec![0; random.usize(..64)];
            random.fill(&mut bytes);
            if let Some(first) = bytes.first_mut() {
                *first = 0x80 | (*first & 0x3f);
            }
            rtcp_sender(&bytes);
            if let Some(header) = Header::parse(&bytes)
                && let Some(body) = bytes.get(header.clear..)
            {
                header.payload(body);
            }
        }
    }
}
