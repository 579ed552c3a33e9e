//! H.264 in RTP (RFC 6184), packetization mode 1: single NAL units, STAP-A for small ones that stand together, FU-A for large
//! ones.
//!
//! Nothing is left out, added or reordered, for DAVE's trailer tells positions within the frame; only start codes of three bytes
//! become such of four, as which DAVE counts them.

use crate::Malformed;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const DELIMITER: u8 = 9;
/// The first type that is no NAL unit of the codec's, but a form of packet.
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// FU header: the first and the last fragment.
const START: u8 = 0x80;
const END: u8 = 0x40;

fn kind(header: u8) -> u8 {
    header & 0x1f
}

/// The NAL units of an Annex B byte stream, without start codes. What stands before the first start code is none.
pub fn nals(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(stream).and_then(|(_, end)| stream.get(end..));
    std::iter::from_fn(move || {
        let stream = rest?;
        let (nal, next) = match start_code(stream) {
            Some((start, end)) => (stream.get(..start)?, stream.get(end..)),
            None => (stream, None),
        };
        rest = next;
        Some(nal)
    })
}

/// Where the first start code begins and ends. A zero in front of it is a part of it, and others are of the NAL unit before:
/// what DAVE encrypted may end in zeroes.
fn start_code(stream: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    while let Some([a, b, c]) = stream.get(at..).and_then(|rest| rest.first_chunk()) {
        match (a, b, c) {
            (0, 0, 1) => {
                let before = at.checked_sub(1).filter(|at| stream.get(*at) == Some(&0));
                return Some((before.unwrap_or(at), at.saturating_add(3)));
            }
            (_, _, 2..) => at = at.saturating_add(3),
            (_, 1.., _) => at = at.saturating_add(2),
            _ => at = at.saturating_add(1),
        }
    }
    None
}

/// Whether a frame can be decoded without others.
#[must_use]
pub fn is_keyframe(frame: &[u8]) -> bool {
    nals(frame).any(|nal| nal.first().is_some_and(|header| kind(*header) == IDR))
}

/// Whether a frame can be packetised, and encrypted by davey, which panics on slices that are too short.
///
/// # Errors
///
/// Why it cannot.
pub fn check(frame: &[u8]) -> Result<(), Malformed> {
    if !frame.starts_with(&START_CODE) && !frame.starts_with(&START_CODE[1..]) {
        return Err(Malformed("H.264 frame: it begins with no start code"));
    }
    let mut slice = false;
    for nal in nals(frame) {
        let Some((header, payload)) = nal.split_first().filter(|(_, p)| !p.is_empty()) else {
            return Err(Malformed("H.264 frame: a NAL unit is empty"));
        };
        match kind(*header) {
            SLICE | IDR if !has_slice_header(payload) => {
                return Err(Malformed("H.264 frame: a slice ends within its header"));
            }
            SLICE | IDR => slice = true,
            0 | STAP_A.. => return Err(Malformed("H.264 frame: a NAL unit has no type")),
            _ => {}
        }
    }
    if !slice {
        return Err(Malformed("H.264 frame: there is no slice in it"));
    }
    Ok(())
}

/// Whether a slice has all of its first three numbers (Exp-Golomb), the last of which names its parameter set: so far it is
/// left in clear, and a byte more. This counts as davey does.
fn has_slice_header(payload: &[u8]) -> bool {
    let mut bit: usize = 0;
    for _ in 0..3 {
        let mut zeroes: usize = 0;
        loop {
            let at = bit / 8;
            let Some(byte) = payload.get(at) else {
                return false;
            };
            let emulation = bit.is_multiple_of(8) && *byte == 3 && bit >= 16;
            if emulation && payload.get(at.saturating_sub(2)..at) == Some(&[0, 0]) {
                bit = bit.saturating_add(8);
            } else if byte & (0x80 >> (bit % 8)) != 0 {
                bit = bit.saturating_add(1).saturating_add(zeroes);
                break;
            } else if zeroes == 31 {
                return false;
            } else {
                (bit, zeroes) = (bit.saturating_add(1), zeroes.saturating_add(1));
            }
        }
    }
    bit / 8 < payload.len()
}

/// Makes a frame's payloads, each of at most `max` bytes.
#[must_use]
pub fn packetize(frame: &[u8], max: usize) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut small: Vec<&[u8]> = Vec::new();
    let mut size = 1;
    for nal in nals(frame) {
        let Some(header) = nal.first() else { continue };
        // With its length in front, which has 16 bits.
        let part = nal.len().saturating_add(2);
        let joins = !matches!(kind(*header), SLICE | IDR) && part < max.min(1 << 16);
        if !joins || part.saturating_add(size) > max {
            join(&mut small, &mut payloads);
            size = 1;
        }
        if joins {
            size = part.saturating_add(size);
            small.push(nal);
        } else if nal.len() <= max {
            payloads.push(nal.to_vec());
        } else {
            fragment(nal, max, &mut payloads);
        }
    }
    join(&mut small, &mut payloads);
    payloads
}

/// Several NAL units as a STAP-A, one as it is.
fn join(nals: &mut Vec<&[u8]>, payloads: &mut Vec<Vec<u8>>) {
    match nals[..] {
        [] => {}
        [nal] => payloads.push(nal.to_vec()),
        _ => {
            // Its reference bits are the highest of all; the forbidden bit is set if it is in one.
            let headers = || nals.iter().filter_map(|nal| nal.first());
            let forbidden = headers().fold(0, |all, header| all | header & 0x80);
            let importance = headers().map(|header| header & 0x60).max().unwrap_or(0);
            let mut payload = vec![forbidden | importance | STAP_A];
            for nal in &*nals {
                let length = u16::try_from(nal.len()).unwrap_or(u16::MAX);
                payload.extend_from_slice(&length.to_be_bytes());
                payload.extend_from_slice(nal);
            }
            payloads.push(payload);
        }
    }
    nals.clear();
}

fn fragment(nal: &[u8], max: usize, payloads: &mut Vec<Vec<u8>>) {
    let Some((header, body)) = nal.split_first() else {
        return;
    };
    // All of about the same size: none is tiny.
    let count = body.len().div_ceil(max.saturating_sub(2).max(1)).max(2);
    let mut chunks = body.chunks(body.len().div_ceil(count).max(1)).peekable();
    let mut first = START;
    while let Some(chunk) = chunks.next() {
        let last = if chunks.peek().is_none() { END } else { 0 };
        let mut payload = Vec::with_capacity(chunk.len().saturating_add(2));
        payload.extend([header & 0xe0 | FU_A, first | last | kind(*header)]);
        payload.extend_from_slice(chunk);
        payloads.push(payload);
        first = 0;
    }
}

/// Whether a payload has a sequence parameter set, and so begins what can be decoded without others. One with an IDR slice alone can be
/// decoded by nobody who was not there before.
#[must_use]
pub fn starts_keyframe(payload: &[u8]) -> bool {
    parameters(payload).is_some()
}

/// The sequence parameter set that a payload begins with, behind a delimiter or none.
#[must_use]
pub fn parameters(payload: &[u8]) -> Option<&[u8]> {
    let (header, mut rest) = payload.split_first()?;
    match kind(*header) {
        SPS => Some(payload),
        STAP_A => {
            while let Some(([high, low], after)) = rest.split_first_chunk() {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if after.first().is_some_and(|header| kind(*header) == SPS) {
                    return (length > 0).then(|| after.get(..length).unwrap_or(after));
                }
                rest = after.get(length..).unwrap_or_default();
            }
            None
        }
        _ => None,
    }
}

/// Whether a payload is certainly a frame's first: whoever does not know the packet before it can tell by parameter sets and
/// delimiters only.
#[must_use]
pub fn starts_frame(payload: &[u8]) -> bool {
    let first = match payload {
        [header, _, _, first, ..] if kind(*header) == STAP_A => *first,
        [first, ..] => *first,
        [] => return false,
    };
    matches!(kind(first), SPS | DELIMITER)
}

/// Puts a frame together from all of its payloads, in order.
///
/// # Errors
///
/// When a payload ends too early, or is not of this frame.
pub fn depacketize<'a>(
    payloads: impl Iterator<Item = &'a [u8]>,
    frame: &mut Vec<u8>,
) -> Result<(), Malformed> {
    const BROKEN: Malformed = Malformed("H.264 packet: a fragment's neighbours are missing");
    let mut fragmented = None;
    for payload in payloads {
        let Some((header, body)) = payload.split_first() else {
            continue;
        };
        match (kind(*header), fragmented) {
            (FU_A, _) => {
                let [fu, body @ ..] = body else {
                    return Err(Malformed("H.264 packet: it ends within its header"));
                };
                let nal = header & 0xe0 | kind(*fu);
                match (fu & START != 0, fragmented) {
                    (true, None) => {
                        frame.extend_from_slice(&START_CODE);
                        frame.push(nal);
                    }
                    (false, Some(before)) if kind(before) == kind(nal) => {}
                    _ => return Err(BROKEN),
                }
                frame.extend_from_slice(body);
                fragmented = (fu & END == 0).then_some(nal);
            }
            (_, Some(_)) => return Err(BROKEN),
            (STAP_A, None) => {
                let mut rest = body;
                while let Some((length, next)) = rest.split_first_chunk() {
                    let length = usize::from(u16::from_be_bytes(*length));
                    let Some((nal, next)) = next.split_at_checked(length).filter(|_| length > 0)
                    else {
                        return Err(Malformed("H.264 packet: a part is longer than it"));
                    };
                    frame.extend_from_slice(&START_CODE);
                    frame.extend_from_slice(nal);
                    rest = next;
                }
                if !rest.is_empty() {
                    return Err(Malformed("H.264 packet: it ends within its header"));
                }
            }
            (1..STAP_A, None) => {
                frame.extend_from_slice(&START_CODE);
                frame.extend_from_slice(payload);
            }
            _ => return Err(Malformed("H.264 packet: its type is not known")),
        }
    }
    match fragmented {
        None => Ok(()),
        Some(_) => Err(BROKEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VideoCodec;
    use crate::fixtures::frames;

    fn again(payloads: &[Vec<u8>]) -> Result<Vec<u8>, Malformed> {
        let mut frame = Vec::new();
        depacketize(payloads.iter().map(Vec::as_slice), &mut frame)?;
        Ok(frame)
    }

    #[test]
    fn keyframes_are_known_by_their_parameter_sets() {
        for frame in crate::fixtures::frames(crate::VideoCodec::H264) {
            let payloads = packetize(&frame, 100);
            let begins = payloads.iter().filter(|it| starts_keyframe(it)).count();
            assert_eq!(begins, usize::from(is_keyframe(&frame)));
        }
        // A delimiter, then parameter sets.
        assert!(starts_keyframe(&[0x78, 0, 2, 0x09, 0x10, 0, 2, 0x67, 1]));
        for none in [
            &[][..],
            &[0x78],
            &[0x78, 0],
            &[0x78, 0, 0, 0x67],
            &[0x78, 0, 9, 0x09],
            &[0x65, 1],
            &[0x7c, 0x85, 1],
        ] {
            assert!(!starts_keyframe(none), "{none:?}");
        }
    }

    #[test]
    fn real_frames_come_back_whole() {
        let frames = frames(VideoCodec::H264);
        let keys: Vec<bool> = frames.iter().map(|frame| is_keyframe(frame)).collect();
        assert_eq!(keys, [true, false, false, true, false, false]);
        for max in [20, 100, 1100] {
            for frame in &frames {
                assert_eq!(check(frame), Ok(()));
                let payloads = packetize(frame, max);
                assert!(payloads.iter().all(|payload| payload.len() <= max));
                assert!(starts_frame(&payloads[0]));
                assert!(!payloads[1..].iter().any(|payload| starts_frame(payload)));
                assert_eq!(again(&payloads), Ok(frame.clone()));
            }
        }
        // Delimiter and parameter sets together, then a packet for each slice.
        let kinds = |frame: &Vec<u8>| -> Vec<u8> {
            let payloads = packetize(frame, 1100);
            payloads.iter().map(|payload| kind(payload[0])).collect()
        };
        assert_eq!(kinds(&frames[0]), [STAP_A, IDR, IDR]);
        assert_eq!(kinds(&frames[1]), [DELIMITER, SLICE, SLICE]);
    }

    #[test]
    fn start_codes_and_zeroes_in_front_of_them() {
        let stream = [9, 0, 0, 1, 0x65, 0, 0, 0, 0, 0, 1, 0x41, 0, 0, 1, 0x41, 0];
        let found: Vec<&[u8]> = nals(&stream).collect();
        assert_eq!(found, [&[0x65, 0, 0][..], &[0x41], &[0x41, 0]]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let good = frames(VideoCodec::H264).remove(1);
        for (bad, why) in [
            (vec![], "start code"),
            (good[4..].to_vec(), "start code"),
            (vec![0, 0, 1, 9, 0x10], "no slice"),
            (vec![0, 0, 1, 0x41], "empty"),
            (vec![0, 0, 1, 0x41, 0, 0, 0, 1, 0x41], "empty"),
            (vec![0, 0, 1, 0x41, 0x00, 0x10], "header"),
            (vec![0, 0, 1, 0x41, 0xe0], "ok"),
            (vec![0, 0, 1, 0x41, 0xc0], "header"),
            (vec![0, 0, 1, 0x7c, 0x85, 1], "type"),
        ] {
            match check(&bad) {
                Ok(()) => assert_eq!(why, "ok"),
                Err(error) => assert!(error.to_string().contains(why), "{error}: {bad:?}"),
            }
        }
    }

    #[test]
    fn a_frame_with_a_hole_is_none() {
        let frame = frames(VideoCodec::H264).remove(0);
        let payloads = packetize(&frame, 100);
        for lost in 1..payloads.len() {
            let mut some = payloads.clone();
            some.remove(lost);
            // A hole within a NAL unit is for the sequence numbers to tell.
            assert_ne!(again(&some), Ok(frame.clone()), "{lost}");
            let edge = payloads[lost][1] & (START | END) != 0;
            assert!(!edge || again(&some).is_err(), "{lost}");
        }
        for bad in [
            &[STAP_A, 0][..],
            &[STAP_A, 0, 9, 1],
            &[STAP_A, 0, 0],
            &[FU_A],
            &[29, 1, 1],
            &[0, 1],
        ] {
            assert!(again(&[bad.to_vec()]).is_err(), "{bad:?}");
        }
    }
}
