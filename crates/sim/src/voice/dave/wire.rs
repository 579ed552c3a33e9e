//! As much of MLS's presentation language as openmls keeps to itself (RFC 9420 section 2.1.2).

/// Reads fields off the front of bytes.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    /// A vector's bytes. Its length takes one, two or four bytes, as few as it can.
    pub fn vector(&mut self) -> Option<&'a [u8]> {
        let first = self.0.first()?;
        let length = match first >> 6 {
            0 => u32::from(self.u8()?),
            1 => u32::from(self.u16()? & 0x3fff),
            2 => u32::from_be_bytes(*self.take(4)?.first_chunk()?) & 0x3fff_ffff,
            _ => return None,
        };
        let shortest = match first >> 6 {
            0 => true,
            1 => length >= 1 << 6,
            _ => length >= 1 << 14,
        };
        shortest.then(|| self.take(length as usize)).flatten()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes a vector.
pub fn vector(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u32;
    let mut written = match length {
        0..0x40 => vec![length as u8],
        0x40..0x4000 => (0x4000 | length as u16).to_be_bytes().to_vec(),
        _ => (0x8000_0000 | length).to_be_bytes().to_vec(),
    };
    written.extend_from_slice(bytes);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_all_lengths() {
        for length in [0, 1, 63, 64, 16_383, 16_384, 100_000] {
            let bytes = vec![7; length];
            let written = vector(&bytes);
            let mut reader = Reader(&written);
            assert_eq!(reader.vector(), Some(&bytes[..]));
            assert!(reader.is_empty());
            for cut in [0, 1, written.len() - 1] {
                assert_eq!(Reader(&written[..cut.min(length)]).vector(), None);
            }
        }
        // Lengths that are longer than they need be, and the fourth kind.
        for bytes in [
            &[0x40, 1, 7][..],
            &[0x80, 0, 0, 1, 7],
            &[0xc0, 0, 0, 0, 0, 0, 0, 1, 7],
        ] {
            assert_eq!(Reader(bytes).vector(), None);
        }
    }
}
