//! What H.264's sequence parameter set says of a picture (ITU-T H.264, 7.3.2.1.1), as far as a file that holds the picture has to say it.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "numbers are below 2^17, which is asked where they are read"
)]

/// Larger numbers are in no parameter set that is worth anything.
const MOST: u32 = 1 << 16;

/// Reference frames of a cycle of picture orders.
const CYCLE: u32 = 255;

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a line, without what is cropped.
    pub width: u16,
    /// Lines, without what is cropped.
    pub height: u16,
    /// `chroma_format_idc`: 1 is 4:2:0.
    pub chroma: u8,
    /// Bits of brightness and of colour, less eight.
    pub depths: (u8, u8),
}

/// Reads a NAL unit that is a sequence parameter set. `None`: it is none that can be read.
#[must_use]
pub fn read(nal: &[u8]) -> Option<Picture> {
    let bytes = without_emulation(nal.get(1..)?);
    let (head, rest) = bytes.split_first_chunk::<3>()?;
    let mut bits = Bits { bytes: rest, at: 0 };
    bits.number()?;
    let (mut chroma, mut depths) = (1, (0, 0));
    if matches!(
        head[0],
        44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244
    ) {
        chroma = u8::try_from(bits.number()?).ok().filter(|it| *it <= 3)?;
        if chroma == 3 {
            bits.bit()?;
        }
        let mut depth = || u8::try_from(bits.number()?).ok().filter(|it| *it <= 6);
        depths = (depth()?, depth()?);
        bits.bit()?;
        if bits.bit()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.bit()? {
                    bits.scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.number()?;
    match bits.number()? {
        0 => _ = bits.number()?,
        1 => {
            bits.bit()?;
            bits.number()?;
            bits.number()?;
            for _ in 0..bits.number().filter(|count| *count <= CYCLE)? {
                bits.number()?;
            }
        }
        2 => {}
        _ => return None,
    }
    bits.number()?;
    bits.bit()?;
    let (columns, rows) = (bits.number()? + 1, bits.number()? + 1);
    let fields = if bits.bit()? {
        1
    } else {
        bits.bit()?;
        2
    };
    bits.bit()?;
    let mut cropped = [0; 4];
    if bits.bit()? {
        for side in &mut cropped {
            *side = bits.number()?;
        }
    }
    let [left, right, top, bottom] = cropped;
    let across = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let down = fields * if chroma == 1 { 2 } else { 1 };
    let less = |whole: u32, cut: u32| whole.checked_sub(cut).filter(|left| *left > 0);
    let width = less(
        columns.checked_mul(16)?,
        (left + right).checked_mul(across)?,
    )?;
    let height = less(
        rows.checked_mul(16 * fields)?,
        (top + bottom).checked_mul(down)?,
    )?;
    Some(Picture {
        width: width.try_into().ok()?,
        height: height.try_into().ok()?,
        chroma,
        depths,
    })
}

/// After two zeroes a three is there only so that they are no start code.
fn without_emulation(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len());
    let mut zeroes = 0;
    for byte in payload {
        if zeroes >= 2 && *byte == 3 {
            zeroes = 0;
            continue;
        }
        zeroes = if *byte == 0 { zeroes + 1 } else { 0 };
        bytes.push(*byte);
    }
    bytes
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte & (0x80 >> (self.at % 8)) != 0;
        self.at += 1;
        Some(bit)
    }

    /// An Exp-Golomb number; of a signed one it is where that is in its order.
    fn number(&mut self) -> Option<u32> {
        let mut zeroes = 0;
        while !self.bit()? {
            zeroes += 1;
            if zeroes > 16 {
                return None;
            }
        }
        let mut number: u32 = 1;
        for _ in 0..zeroes {
            number = number << 1 | u32::from(self.bit()?);
        }
        Some(number - 1).filter(|number| *number <= MOST)
    }

    fn scaling_list(&mut self, size: u32) -> Option<()> {
        let (mut last, mut next) = (8, 8);
        for _ in 0..size {
            if next != 0 {
                let number = i32::try_from(self.number()?).ok()?;
                let delta = if number % 2 == 1 {
                    number / 2 + 1
                } else {
                    -(number / 2)
                };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::frames;
    use crate::{VideoCodec, h264};

    fn of(frame: &[u8]) -> Option<Picture> {
        let nal = h264::nals(frame).find(|nal| nal[0] & 0x1f == 7);
        read(nal.unwrap())
    }

    #[test]
    fn the_fixture_says_how_large_it_is() {
        let picture = of(&frames(VideoCodec::H264)[0]).unwrap();
        assert_eq!(picture.chroma, 1);
        assert_eq!(picture.depths, (0, 0));
        assert_eq!((picture.width, picture.height), (160, 96));
    }

    /// Of x264: 1920 x 1080 of profile High, cropped from 1088 lines.
    #[test]
    fn cropped_lines_are_not_counted() {
        let high = [
            0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00,
            0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
        ];
        let picture = read(&high).unwrap();
        assert_eq!((picture.width, picture.height), (1_920, 1_080));
    }

    #[test]
    fn what_ends_early_is_none() {
        let high = [0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27];
        for length in 0..high.len() {
            assert_eq!(read(&high[..length]), None, "{length}");
        }
        assert_eq!(read(&[0; 64]), None);
    }
}
