//! VP8 in RTP (RFC 7741), with a picture id of 15 bits.

use crate::Malformed;

/// The descriptor that we send: extended, start of a partition, a picture id of 15 bits.
const DESCRIPTOR: usize = 4;

/// Bytes of a keyframe before its first partition.
const KEYFRAME_HEADER: usize = 10;

/// Picture ids are modulo this.
pub const PICTURE_IDS: u16 = 1 << 15;

/// Whether a frame can be decoded without others.
#[must_use]
pub fn is_keyframe(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 1 == 0)
}

/// Width and height, which a keyframe says.
#[must_use]
pub fn size(frame: &[u8]) -> Option<(u16, u16)> {
    let header = frame.first_chunk::<KEYFRAME_HEADER>()?;
    let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *header else {
        return None;
    };
    // The two upper bits of each say how it is to be scaled.
    let pixels = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
    let size = (pixels(w0, w1), pixels(h0, h1));
    (is_keyframe(frame) && size.0 > 0 && size.1 > 0).then_some(size)
}

/// Whether its header is whole. davey, which encrypts frames for Discord, panics where it is not.
///
/// # Errors
///
/// When it is not.
pub fn check(frame: &[u8]) -> Result<(), Malformed> {
    if frame.is_empty() || is_keyframe(frame) && frame.len() < KEYFRAME_HEADER {
        return Err(Malformed("VP8 frame: it ends within its header"));
    }
    Ok(())
}

/// Makes a frame's payloads, each of at most `max` bytes.
#[must_use]
pub fn packetize(frame: &[u8], picture_id: u16, max: usize) -> Vec<Vec<u8>> {
    let [high, low] = ((picture_id % PICTURE_IDS) | PICTURE_IDS).to_be_bytes();
    // All of about the same size: none is tiny.
    let count = frame.len().div_ceil(max.saturating_sub(DESCRIPTOR).max(1));
    let size = frame.len().div_ceil(count.max(1)).max(1);
    let chunks = frame.chunks(size).enumerate().map(|(number, chunk)| {
        let start = if number == 0 { 0x10 } else { 0 };
        [&[0x80 | start, 0x80, high, low], chunk].concat()
    });
    chunks.collect()
}

/// A payload's descriptor.
struct Descriptor<'a> {
    /// It is the first of its frame.
    start: bool,
    picture_id: Option<u16>,
    /// The index of its base layer's picture (TL0PICIDX).
    base: Option<u8>,
    data: &'a [u8],
}

fn parse(payload: &[u8]) -> Option<Descriptor<'_>> {
    let (first, mut data) = payload.split_first()?;
    let (mut picture_id, mut base) = (None, None);
    if first & 0x80 != 0 {
        let (extended, rest) = data.split_first()?;
        data = rest;
        if extended & 0x80 != 0 {
            let (id, rest) = data.split_first()?;
            data = rest;
            picture_id = Some(u16::from(*id));
            if id & 0x80 != 0 {
                let (low, rest) = data.split_first()?;
                data = rest;
                picture_id = Some(u16::from_be_bytes([id & 0x7f, *low]));
            }
        }
        if extended & 0x40 != 0 {
            let (index, rest) = data.split_first()?;
            data = rest;
            base = Some(*index);
        }
        // Of layers we need to know no more.
        if extended & 0x30 != 0 {
            data = data.get(1..)?;
        }
    }
    Some(Descriptor {
        start: first & 0x17 == 0x10,
        picture_id,
        base,
        data,
    })
}

/// Which picture a payload is of, as its descriptor says: its picture id, and the index of its base layer's picture.
#[must_use]
pub fn numbers(payload: &[u8]) -> Option<(Option<u16>, Option<u8>)> {
    parse(payload).map(|descriptor| (descriptor.picture_id, descriptor.base))
}

/// Says of a payload that it is of another picture, where its descriptor has room for that. A picture id of seven bits stays one.
pub fn renumber(payload: &mut [u8], picture_id: u16, base: u8) {
    let [first, extended, rest @ ..] = payload else {
        return;
    };
    if *first & 0x80 == 0 {
        return;
    }
    let [high, low] = (picture_id % PICTURE_IDS).to_be_bytes();
    let mut rest = rest.iter_mut();
    if *extended & 0x80 != 0 {
        let Some(id) = rest.next() else { return };
        if *id & 0x80 == 0 {
            *id = low & 0x7f;
        } else {
            *id = 0x80 | high;
            let Some(id) = rest.next() else { return };
            *id = low;
        }
    }
    if *extended & 0x40 != 0
        && let Some(index) = rest.next()
    {
        *index = base;
    }
}

/// Whether a payload is the first of a frame that can be decoded without others.
#[must_use]
pub fn starts_keyframe(payload: &[u8]) -> bool {
    beginning(payload).is_some_and(is_keyframe)
}

/// What a payload has of its frame, if that is the frame's beginning.
#[must_use]
pub fn beginning(payload: &[u8]) -> Option<&[u8]> {
    let descriptor = parse(payload).filter(|descriptor| descriptor.start)?;
    Some(descriptor.data)
}

/// Whether a payload is the first of its frame.
#[must_use]
pub fn starts_frame(payload: &[u8]) -> bool {
    beginning(payload).is_some()
}

/// Puts a frame together from all of its payloads, in order. Gives its picture id, if it has one.
///
/// # Errors
///
/// When a payload ends too early, or is not of this frame.
pub fn depacketize<'a>(
    payloads: impl Iterator<Item = &'a [u8]>,
    frame: &mut Vec<u8>,
) -> Result<Option<u16>, Malformed> {
    let mut picture_id = None;
    let mut first = true;
    for payload in payloads.filter(|payload| !payload.is_empty()) {
        let descriptor =
            parse(payload).ok_or(Malformed("VP8 packet: it ends within its descriptor"))?;
        if descriptor.start != first {
            return Err(Malformed("VP8 packet: its neighbours are missing"));
        }
        if first {
            picture_id = descriptor.picture_id;
        } else if descriptor.picture_id != picture_id {
            return Err(Malformed("VP8 packet: it is of another picture"));
        }
        first = false;
        frame.extend_from_slice(descriptor.data);
    }
    Ok(picture_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VideoCodec;
    use crate::fixtures::frames;

    fn again(payloads: &[Vec<u8>]) -> Result<(Vec<u8>, Option<u16>), Malformed> {
        let mut frame = Vec::new();
        let id = depacketize(payloads.iter().map(Vec::as_slice), &mut frame)?;
        Ok((frame, id))
    }

    #[test]
    fn real_frames_come_back_whole() {
        let frames = frames(VideoCodec::Vp8);
        let keys: Vec<bool> = frames.iter().map(|frame| is_keyframe(frame)).collect();
        assert_eq!(keys, [true, false, false, true, false, false]);
        for max in [20, 100, 1100] {
            for (frame, id) in frames.iter().zip([5, 0x7fff, 0, 127, 128, 0x1234]) {
                assert_eq!(check(frame), Ok(()));
                let payloads = packetize(frame, id, max);
                assert!(payloads.iter().all(|payload| payload.len() <= max));
                assert!(starts_frame(&payloads[0]));
                assert!(!payloads[1..].iter().any(|payload| starts_frame(payload)));
                assert_eq!(again(&payloads), Ok((frame.clone(), Some(id))));
                for lost in 0..payloads.len() - 1 {
                    let mut some = payloads.clone();
                    some.remove(lost);
                    // In the middle it is for the sequence numbers to tell.
                    assert!(lost > 0 || again(&some).is_err());
                }
            }
        }
    }

    /// The forms of descriptor of RFC 7741, section 4.2.
    #[test]
    fn descriptors() {
        let data =
            |payload: &[u8]| parse(payload).map(|d| (d.start, d.picture_id, d.data.to_vec()));
        assert_eq!(data(&[0x10, 9]), Some((true, None, vec![9])));
        assert_eq!(data(&[0x00, 9]), Some((false, None, vec![9])));
        // Another partition of the same frame.
        assert_eq!(data(&[0x11, 9]), Some((false, None, vec![9])));
        assert_eq!(
            data(&[0x90, 0x80, 0x11, 9]),
            Some((true, Some(0x11), vec![9]))
        );
        assert_eq!(
            data(&[0x90, 0x80, 0x91, 0x22, 9]),
            Some((true, Some(0x1122), vec![9]))
        );
        assert_eq!(
            data(&[0x90, 0xf0, 0x91, 0x22, 1, 2, 9]),
            Some((true, Some(0x1122), vec![9]))
        );
        assert_eq!(data(&[0x90, 0x20, 2, 9]), Some((true, None, vec![9])));
        for short in [
            &[][..],
            &[0x90],
            &[0x90, 0x80],
            &[0x90, 0x80, 0x80],
            &[0x90, 0x60, 1],
        ] {
            assert_eq!(data(short), None, "{short:?}");
        }
    }

    #[test]
    fn keyframes_are_known_by_their_first_payload() {
        for frame in frames(VideoCodec::Vp8) {
            let payloads = packetize(&frame, 7, 100);
            assert_eq!(starts_keyframe(&payloads[0]), is_keyframe(&frame));
            assert!(!payloads[1..].iter().any(|it| starts_keyframe(it)));
        }
        for none in [&[][..], &[0x10], &[0x90, 0x80]] {
            assert!(!starts_keyframe(none), "{none:?}");
        }
    }

    #[test]
    fn a_payload_can_be_of_another_picture() {
        let again = |payload: &[u8], id, base| {
            let mut payload = payload.to_vec();
            renumber(&mut payload, id, base);
            payload
        };
        let long = [0x90, 0xf0, 0x91, 0x22, 1, 2, 9];
        assert_eq!(numbers(&long), Some((Some(0x1122), Some(1))));
        let other = again(&long, 0x7fff, 5);
        assert_eq!(other, [0x90, 0xf0, 0xff, 0xff, 5, 2, 9]);
        assert_eq!(numbers(&other), Some((Some(0x7fff), Some(5))));
        assert_eq!(again(&[0x90, 0x80, 3, 9], 0x0185, 1), [0x90, 0x80, 5, 9]);
        assert_eq!(again(&[0x90, 0x40, 3, 9], 1, 7), [0x90, 0x40, 7, 9]);
        for same in [&[0x10, 9][..], &[0x90, 0x20, 2, 9], &[], &[0x90]] {
            assert_eq!(again(same, 1, 1), same);
        }
        assert_eq!(again(&[0x90, 0x80, 0x80], 1, 1), [0x90, 0x80, 0x80]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        assert!(check(&[]).is_err());
        assert!(check(&[0; 9]).is_err());
        assert!(check(&[0; 10]).is_ok());
        assert!(check(&[1]).is_ok());
    }
}
