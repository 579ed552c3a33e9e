//! What a JPEG says of itself, read before anything decodes it: strangers send it. What is taken costs a decoder no more than its bytes and pixels do.

use bytes::Bytes;

/// Pixels of a picture: 1920 x 1080.
pub(crate) const PIXELS: u32 = 1_920 * 1_080;

/// A whole picture, of which it is known how large it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jpeg {
    /// When it was taken, in milliseconds of its camera's clock.
    pub(crate) time: u32,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) bytes: Bytes,
}

/// Why a picture is not taken, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("this is no JPEG")]
    NoJpeg,
    #[error("the JPEG ends early, or something is behind its end")]
    End,
    #[error(
        "this kind of JPEG is not taken; send baseline JPEG of 8 bits, grey or in three colours"
    )]
    Kind,
    #[error("the JPEG has more scans than colours; send baseline JPEG")]
    Scans,
    #[error("a picture of {0} x {1} is too large; {PIXELS} pixels are taken, as 1920 x 1080 has")]
    Pixels(u16, u16),
}

// The second byte of markers, ITU-T T.81, table B.1.
const SOF0: u8 = 0xc0;
const SOF1: u8 = 0xc1;
const DHT: u8 = 0xc4;
const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DQT: u8 = 0xdb;
const DRI: u8 = 0xdd;
const APP0: u8 = 0xe0;
const APP15: u8 = 0xef;
const COM: u8 = 0xfe;

/// What is before every marker.
const MARK: u8 = 0xff;

impl Jpeg {
    pub(crate) fn read(time: u32, bytes: Bytes) -> Result<Self, NotTaken> {
        let frame = frame(&bytes)?;
        Ok(Self {
            time,
            width: frame.width,
            height: frame.height,
            bytes,
        })
    }
}

#[derive(Clone, Copy)]
struct Frame {
    width: u16,
    height: u16,
    colours: u8,
}

/// Goes through all markers, up to the end.
fn frame(jpeg: &[u8]) -> Result<Frame, NotTaken> {
    let mut rest = jpeg.strip_prefix(&[MARK, SOI]).ok_or(NotTaken::NoJpeg)?;
    let mut frame = None;
    let mut scans = 0_u8;
    loop {
        let (code, after) = marker(rest).ok_or(NotTaken::End)?;
        rest = match code {
            EOI if after.is_empty() && scans > 0 => return frame.ok_or(NotTaken::NoJpeg),
            EOI => return Err(NotTaken::End),
            SOF0 | SOF1 => {
                let (body, after) = segment(after)?;
                if frame.replace(Frame::read(body)?).is_some() {
                    return Err(NotTaken::Kind);
                }
                after
            }
            SOS => {
                let colours = frame.map_or(0, |frame: Frame| frame.colours);
                // Each of them is gone through by decoders for all pixels, with or without bytes for that.
                scans = scans.saturating_add(1);
                if scans > colours {
                    return Err(NotTaken::Scans);
                }
                coded(segment(after)?.1)
            }
            DHT | DQT | DRI | COM | APP0..=APP15 => segment(after)?.1,
            _ => return Err(NotTaken::Kind),
        };
    }
}

impl Frame {
    fn read(body: &[u8]) -> Result<Self, NotTaken> {
        let [precision, h0, h1, w0, w1, colours, specifications @ ..] = body else {
            return Err(NotTaken::NoJpeg);
        };
        let (height, width) = (
            u16::from_be_bytes([*h0, *h1]),
            u16::from_be_bytes([*w0, *w1]),
        );
        if *precision != 8 || !matches!(colours, 1 | 3) {
            return Err(NotTaken::Kind);
        }
        // A height that comes later would be 0 here.
        if width == 0 || height == 0 || specifications.len() != 3 * usize::from(*colours) {
            return Err(NotTaken::NoJpeg);
        }
        if u32::from(width).saturating_mul(height.into()) > PIXELS {
            return Err(NotTaken::Pixels(width, height));
        }
        Ok(Self {
            width,
            height,
            colours: *colours,
        })
    }
}

/// A marker's code, and what is behind it.
fn marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes.strip_prefix(&[MARK])?;
    loop {
        let (code, after) = rest.split_first()?;
        if *code != MARK {
            return Some((*code, after));
        }
        // Before a marker there may be more of these.
        rest = after;
    }
}

/// What belongs to a marker, and what is behind that.
fn segment(bytes: &[u8]) -> Result<(&[u8], &[u8]), NotTaken> {
    let (length, rest) = bytes.split_first_chunk().ok_or(NotTaken::End)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let length = length.checked_sub(2).ok_or(NotTaken::NoJpeg)?;
    rest.split_at_checked(length).ok_or(NotTaken::End)
}

/// What is behind a scan's coded bytes: the next marker that is none of theirs.
fn coded(bytes: &[u8]) -> &[u8] {
    let marks =
        |pair: &[u8]| matches!(pair, [MARK, code] if *code != 0 && !(RST0..=RST7).contains(code));
    let at = bytes.windows(2).position(marks).unwrap_or(bytes.len());
    bytes.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Colour bars of 160 x 96, made by FFmpeg.
    const BARS: &[u8] = include_bytes!("../../tests/fixtures/bars.jpg");

    /// What goes for a grey JPEG of this size. Its scan codes nothing.
    fn grey(width: u16, height: u16) -> Vec<u8> {
        let mut jpeg = vec![MARK, SOI, MARK, SOF0, 0, 11, 8];
        jpeg.extend(height.to_be_bytes());
        jpeg.extend(width.to_be_bytes());
        jpeg.extend([1, 1, 0x11, 0]);
        jpeg.extend([
            MARK, SOS, 0, 8, 1, 1, 0, 0, 63, 0, 0x12, MARK, 0, MARK, RST0, 0x34,
        ]);
        jpeg.extend([MARK, EOI]);
        jpeg
    }

    fn size(jpeg: &[u8]) -> Result<(u16, u16), NotTaken> {
        let read = Jpeg::read(0, Bytes::copy_from_slice(jpeg))?;
        Ok((read.width, read.height))
    }

    #[test]
    fn a_picture_says_how_large_it_is() {
        assert_eq!(size(BARS), Ok((160, 96)));
        assert_eq!(size(&grey(640, 360)), Ok((640, 360)));
        assert_eq!(size(&grey(1_920, 1_080)), Ok((1_920, 1_080)));
    }

    #[test]
    fn what_would_cost_a_decoder_much_is_not_taken() {
        assert_eq!(
            size(&grey(1_921, 1_080)),
            Err(NotTaken::Pixels(1_921, 1_080))
        );
        let (largest, none) = (u16::MAX, 0);
        assert_eq!(
            size(&grey(largest, largest)),
            Err(NotTaken::Pixels(largest, largest))
        );
        assert_eq!(size(&grey(none, 5)), Err(NotTaken::NoJpeg));
        // Its height would come behind the first scan.
        assert_eq!(size(&grey(5, none)), Err(NotTaken::NoJpeg));
        let good = grey(64, 64);
        let changed = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            size(&bad)
        };
        for other in [
            0xc2, 0xc3, 0xc5, 0xc9, 0xca, 0xcc, 0xdc, 0xde, 0xdf, SOI, 1, RST0,
        ] {
            assert_eq!(changed(3, other), Err(NotTaken::Kind), "{other:x}");
        }
        assert_eq!(changed(6, 12), Err(NotTaken::Kind), "12 bits");
        assert_eq!(changed(11, 4), Err(NotTaken::Kind), "four colours");
        assert_eq!(
            changed(11, 3),
            Err(NotTaken::NoJpeg),
            "three, of which one is said"
        );
        // As many scans as there are colours, and no more.
        let scan = good.len() - 18;
        let again = [&good[..good.len() - 2], &good[scan..]].concat();
        assert_eq!(size(&again), Err(NotTaken::Scans));
        let frame = [&good[..scan], &good[2..]].concat();
        assert_eq!(size(&frame), Err(NotTaken::Kind), "two frames");
    }

    #[test]
    fn a_picture_has_one_end() {
        for jpeg in [BARS, &grey(8, 8)[..]] {
            for length in 0..jpeg.len() {
                assert!(size(&jpeg[..length]).is_err(), "{length}");
            }
            let more = [jpeg, b"<script>"].concat();
            assert_eq!(size(&more), Err(NotTaken::End));
        }
        assert_eq!(size(b"\x89PNG\r\n\x1a\n"), Err(NotTaken::NoJpeg));
        assert_eq!(size(&[MARK, SOI, MARK, EOI]), Err(NotTaken::End));
    }
}
