//! RTP (RFC 3550), as Discord's `rtpsize` modes encrypt it: what follows the extension's first four bytes is ciphertext.

use crate::Malformed;

/// The size of a header without contributing sources and extension, as we send it.
pub const HEADER: usize = 12;

/// A packet's header, and where its parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The last packet of a video frame.
    pub marker: bool,
    /// Which codec the payload is of.
    pub payload_type: u8,
    /// Counts packets.
    pub sequence: u16,
    /// When the frame was made: 48 kHz for audio, 90 kHz for video.
    pub timestamp: u32,
    /// Whose stream it is.
    pub ssrc: u32,
    /// Bytes that are in clear: the header, contributing sources, and the extension's first four.
    pub clear: usize,
    /// Bytes of extension at the start of what was encrypted.
    pub extension: usize,
    /// The last byte of the payload says how many bytes at its end are padding.
    pub padding: bool,
}

impl Header {
    /// Reads the header of an encrypted packet.
    ///
    /// # Errors
    ///
    /// When it is not RTP version 2, or shorter than it says.
    pub fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let short = Malformed("RTP packet: it ends within its header");
        let Some((fixed, rest)) = packet.split_first_chunk::<HEADER>() else {
            return Err(short);
        };
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != 2 {
            return Err(Malformed("RTP packet: its version is not 2"));
        }
        let sources = usize::from(first & 0x0f) * 4;
        let rest = rest.get(sources..).ok_or(short)?;
        let mut clear = HEADER.saturating_add(sources);
        let mut extension = 0;
        if first & 0x10 != 0 {
            let [_, _, high, low] = *rest
                .first_chunk::<4>()
                .ok_or(Malformed("RTP packet: it ends within its header"))?;
            clear = clear.saturating_add(4);
            extension = usize::from(u16::from_be_bytes([high, low])) * 4;
        }
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            clear,
            extension,
            padding: first & 0x20 != 0,
        })
    }

    /// The payload within what was encrypted: without the extension in front and the padding behind. Either of them left in
    /// place makes DAVE take the frame for a foreign one.
    ///
    /// # Errors
    ///
    /// When the extension or the padding is larger than the packet.
    pub fn payload<'a>(&self, decrypted: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let payload = decrypted
            .get(self.extension..)
            .ok_or(Malformed("RTP packet: its extension is longer than it"))?;
        if !self.padding {
            return Ok(payload);
        }
        let padding = payload.last().map_or(0, |last| usize::from(*last));
        match payload.len().checked_sub(padding) {
            Some(length) if padding > 0 => Ok(payload.get(..length).unwrap_or_default()),
            _ => Err(Malformed("RTP packet: its padding is longer than it")),
        }
    }

    /// Appends a header without sources. If there is to be an extension, it follows.
    pub fn write(&self, packet: &mut Vec<u8>) {
        packet.push(0x80 | u8::from(self.extension > 0) << 4);
        packet.push(self.payload_type | u8::from(self.marker) << 7);
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&self.timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let header = Header {
            marker: true,
            payload_type: 120,
            sequence: 0xfffe,
            timestamp: 0x0102_0304,
            ssrc: 7,
            clear: HEADER,
            extension: 0,
            padding: false,
        };
        let mut packet = Vec::new();
        header.write(&mut packet);
        assert_eq!(packet, [0x80, 0xf8, 0xff, 0xfe, 1, 2, 3, 4, 0, 0, 0, 7]);
        assert_eq!(Header::parse(&packet), Ok(header));
    }

    /// The example of RFC 8285, section 4.2, as an extension of two words, with two sources and three bytes of padding.
    #[test]
    fn sources_extension_and_padding_are_no_payload() {
        let mut packet = vec![0b1011_0010, 0x78, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0, 0, 0, 4, 0, 0, 0, 5]);
        packet.extend([0xbe, 0xde, 0, 2]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!((header.clear, header.extension), (24, 8));
        let decrypted = [
            0x10, 0xaa, 0, 0, 0x21, 1, 2, 0, b'o', b'p', b'u', b's', 0, 0, 3,
        ];
        assert_eq!(header.payload(&decrypted), Ok(&b"opus"[..]));
        assert!(header.payload(&decrypted[..7]).is_err());
        assert!(header.payload(&decrypted[..8]).is_err());
        assert!(header.payload(&[0, 0, 0, 0, 0, 0, 0, 0, 9]).is_err());
        assert!(header.payload(&[0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn what_ends_early_is_refused() {
        let mut packet = vec![0b1001_0001, 0x78, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0, 0, 0, 4, 0xbe, 0xde, 0, 2]);
        assert!(Header::parse(&packet).is_ok());
        for length in 0..packet.len() {
            assert!(Header::parse(&packet[..length]).is_err(), "{length}");
        }
        packet[0] = 0x40;
        assert!(Header::parse(&packet).is_err());
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut packet = vec![0; random.usize(..80)];
            random.fill(&mut packet);
            if let Ok(header) = Header::parse(&packet) {
                let _ = header.payload(&packet[header.clear..]);
            }
        }
    }
}
