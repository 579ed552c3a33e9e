//! `vsk-video`: whole pictures in chunks, both ways, little endian:
//! `01 | codec: u8 | stream: u16 | number: u32 | time in ms: u32 | chunk: u16 | chunks: u16 | payload`. Chunks overtake each other, and some are lost. A
//! picture of which one is missing when a newer picture is whole is lost too.

use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

const VERSION: u8 = 1;

/// The one codec that is taken.
const JPEG: u8 = 1;

/// Before the payload.
pub(crate) const HEADER: usize = 16;

/// Bytes of a message.
pub(crate) const LARGEST: usize = 16 * 1024;

/// Bytes of a payload.
const PAYLOAD: usize = LARGEST - HEADER;

/// Bytes of a picture.
pub(crate) const PICTURE: usize = 512 * 1024;

/// Chunks of a picture.
pub(crate) const CHUNKS: u16 = 512;

/// Pictures that come at a time.
const UNDER_WAY: usize = 2;

/// One that is no further behind the newest comes late. What is further behind is the first one of a camera that begins anew.
const LATE: u32 = 64;

/// A chunk that means nothing here, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error(
        "a message of vsk-video has a header of {HEADER} bytes, a payload, and {LARGEST} bytes at most"
    )]
    Size,
    #[error("version {0} of vsk-video is not spoken here; send 1")]
    Version(u8),
    #[error("pictures of codec {0} are not taken; send 1, which is JPEG")]
    Codec(u8),
    #[error("a peer has one camera, which is stream 0; stream {0} is not taken")]
    Stream(u16),
    #[error("chunk {0} of {1} is none; a picture has 1 to {CHUNKS}, counted from 0")]
    Chunk(u16, u16),
    #[error("a picture has {PICTURE} bytes at most; make it smaller, or of less quality")]
    TooLarge,
    #[error("the chunks of picture {0} say different things of it")]
    Differs(u32),
}

/// One that has come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// When it was taken, in milliseconds of its camera's clock.
    pub(crate) time: u32,
    pub(crate) bytes: Bytes,
}

/// The pictures of one sender, as they come.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    /// As they began to come.
    under_way: VecDeque<Part>,
    /// The number of the newest one that came whole.
    newest: Option<u32>,
}

/// One that is not whole yet.
#[derive(Debug)]
struct Part {
    number: u32,
    time: u32,
    chunks: Vec<Option<Box<[u8]>>>,
    missing: usize,
    bytes: usize,
}

struct Header {
    number: u32,
    time: u32,
    chunk: u16,
    chunks: u16,
}

impl Pictures {
    /// Takes a message. Gives the picture that is whole by it.
    pub(crate) fn take(&mut self, message: &[u8]) -> Result<Option<Whole>, Malformed> {
        let (header, payload) = read(message)?;
        if self.is_late(header.number) {
            return Ok(None);
        }
        let found = self
            .under_way
            .iter()
            .position(|it| it.number == header.number);
        let at = found.unwrap_or_else(|| self.begin(&header));
        let Some(part) = self.under_way.get_mut(at) else {
            return Ok(None);
        };
        match part.put(&header, payload) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(self.finish(at)),
            Err(error) => {
                self.under_way.remove(at);
                Err(error)
            }
        }
    }

    fn is_late(&mut self, number: u32) -> bool {
        let Some(newest) = self.newest else {
            return false;
        };
        let behind = newest.wrapping_sub(number);
        if behind > LATE && !is_newer(number, newest) {
            *self = Self::default();
            return false;
        }
        behind <= LATE
    }

    /// Makes a place for a picture. Where there is none, the one that began first is given up.
    fn begin(&mut self, header: &Header) -> usize {
        if self.under_way.len() >= UNDER_WAY {
            self.under_way.pop_front();
        }
        let chunks = usize::from(header.chunks);
        self.under_way.push_back(Part {
            number: header.number,
            time: header.time,
            chunks: vec![None; chunks],
            missing: chunks,
            bytes: 0,
        });
        self.under_way.len().saturating_sub(1)
    }

    /// One is whole, and older ones are not needed any more.
    fn finish(&mut self, at: usize) -> Option<Whole> {
        let part = self.under_way.remove(at)?;
        self.under_way.retain(|it| is_newer(it.number, part.number));
        self.newest = Some(part.number);
        let mut bytes = BytesMut::with_capacity(part.bytes);
        for chunk in part.chunks.iter().flatten() {
            bytes.put_slice(chunk);
        }
        Some(Whole {
            time: part.time,
            bytes: bytes.freeze(),
        })
    }

    /// Bytes that are held.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held(&self) -> usize {
        self.under_way.iter().map(|part| part.bytes).sum()
    }
}

impl Part {
    /// Whether it is whole now.
    fn put(&mut self, header: &Header, payload: &[u8]) -> Result<bool, Malformed> {
        if header.time != self.time || usize::from(header.chunks) != self.chunks.len() {
            return Err(Malformed::Differs(header.number));
        }
        let slot = self.chunks.get_mut(usize::from(header.chunk));
        let Some(slot) = slot.filter(|slot| slot.is_none()) else {
            // It came before.
            return Ok(false);
        };
        let bytes = self.bytes.saturating_add(payload.len());
        if bytes > PICTURE {
            return Err(Malformed::TooLarge);
        }
        *slot = Some(payload.into());
        self.bytes = bytes;
        self.missing = self.missing.saturating_sub(1);
        Ok(self.missing == 0)
    }
}

/// Numbers go on at 0 after the last one.
fn is_newer(number: u32, than: u32) -> bool {
    number != than && number.wrapping_sub(than) < 1 << 31
}

fn read(mut message: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    if message.len() <= HEADER || message.len() > LARGEST {
        return Err(Malformed::Size);
    }
    let (version, codec, stream) = (message.get_u8(), message.get_u8(), message.get_u16_le());
    if version != VERSION {
        return Err(Malformed::Version(version));
    }
    if codec != JPEG {
        return Err(Malformed::Codec(codec));
    }
    if stream != 0 {
        return Err(Malformed::Stream(stream));
    }
    let (number, time) = (message.get_u32_le(), message.get_u32_le());
    let (chunk, chunks) = (message.get_u16_le(), message.get_u16_le());
    if chunk >= chunks || chunks > CHUNKS {
        return Err(Malformed::Chunk(chunk, chunks));
    }
    let header = Header {
        number,
        time,
        chunk,
        chunks,
    };
    Ok((header, message))
}

/// The messages of a picture.
pub(crate) fn write(number: u32, time: u32, picture: &[u8]) -> impl Iterator<Item = BytesMut> {
    let chunks = u16::try_from(picture.len().div_ceil(PAYLOAD)).unwrap_or(u16::MAX);
    (0..chunks)
        .zip(picture.chunks(PAYLOAD))
        .map(move |(chunk, payload)| {
            let mut message = BytesMut::with_capacity(HEADER.saturating_add(payload.len()));
            message.put_u8(VERSION);
            message.put_u8(JPEG);
            message.put_u16_le(0);
            message.put_u32_le(number);
            message.put_u32_le(time);
            message.put_u16_le(chunk);
            message.put_u16_le(chunks);
            message.put_slice(payload);
            message
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of so many chunks, all of the same byte.
    fn picture(byte: u8, chunks: usize) -> Vec<u8> {
        vec![byte; PAYLOAD * (chunks - 1) + 1]
    }

    fn messages(number: u32, picture: &[u8]) -> Vec<BytesMut> {
        write(number, number * 10, picture).collect()
    }

    fn whole(number: u32, picture: &[u8]) -> Whole {
        Whole {
            time: number * 10,
            bytes: Bytes::copy_from_slice(picture),
        }
    }

    #[test]
    fn the_bytes_of_a_message() {
        let messages = messages(0x0102_0304, b"jpeg");
        let header = b"\x01\x01\x00\x00\x04\x03\x02\x01\x28\x1e\x14\x0a\x00\x00\x01\x00";
        assert_eq!(messages, [[&header[..], b"jpeg"].concat()]);
        assert_eq!(write(0, 0, b"").count(), 0);
    }

    #[test]
    fn chunks_come_in_any_order_and_more_than_once() {
        let mut pictures = Pictures::default();
        let sent = picture(7, 3);
        let messages = messages(1, &sent);
        assert_eq!(messages.len(), 3);
        assert!(messages.iter().all(|message| message.len() <= LARGEST));
        for at in [2, 0, 2, 0] {
            assert_eq!(pictures.take(&messages[at]), Ok(None));
        }
        assert_eq!(pictures.take(&messages[1]), Ok(Some(whole(1, &sent))));
        // It is not whole twice.
        for message in &messages {
            assert_eq!(pictures.take(message), Ok(None));
        }
        assert_eq!(pictures.held(), 0);
    }

    #[test]
    fn a_newer_picture_ends_those_before_it() {
        let mut pictures = Pictures::default();
        let (first, second) = (picture(1, 2), picture(2, 2));
        let (one, two) = (messages(1, &first), messages(2, &second));
        for message in [&one[0], &two[1]] {
            assert_eq!(pictures.take(message), Ok(None));
        }
        assert_eq!(pictures.take(&two[0]), Ok(Some(whole(2, &second))));
        assert_eq!(pictures.take(&one[1]), Ok(None));
        assert_eq!(pictures.held(), 0);
        // The one before was late, but it is whole before the next one is.
        let (three, four) = (messages(3, &first), messages(4, &second));
        for message in [&four[0], &three[0]] {
            assert_eq!(pictures.take(message), Ok(None));
        }
        assert_eq!(pictures.take(&three[1]), Ok(Some(whole(3, &first))));
        assert_eq!(pictures.take(&four[1]), Ok(Some(whole(4, &second))));
    }

    #[test]
    fn numbers_wrap_and_begin_anew() {
        let mut pictures = Pictures::default();
        let mut comes = |number: u32| {
            let message = write(number, 0, b"jpeg").next().unwrap();
            pictures.take(&message).unwrap().is_some()
        };
        assert!(comes(u32::MAX));
        assert!(comes(0) && comes(1_000));
        assert!(!comes(1_000 - LATE) && !comes(999));
        // The camera has begun anew.
        assert!(comes(1) && comes(2));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut pictures = Pictures::default();
        for number in 0..100 {
            let large = picture(1, 32);
            for message in messages(number, &large).iter().skip(1) {
                assert_eq!(pictures.take(message), Ok(None));
            }
        }
        assert!(pictures.held() <= UNDER_WAY * PICTURE);
        let large = picture(1, 34);
        let mut taken = messages(1_000, &large)
            .into_iter()
            .map(|it| pictures.take(&it));
        assert_eq!(taken.find_map(Result::err), Some(Malformed::TooLarge));
    }

    #[test]
    fn what_is_no_chunk_is_told() {
        let mut good = write(5, 50, b"jpeg").next().unwrap();
        let refused = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            Pictures::default().take(&bad).unwrap_err()
        };
        assert_eq!(refused(0, 2), Malformed::Version(2));
        assert_eq!(refused(1, 3), Malformed::Codec(3));
        assert_eq!(refused(2, 9), Malformed::Stream(9));
        assert_eq!(refused(12, 1), Malformed::Chunk(1, 1));
        assert_eq!(refused(14, 0), Malformed::Chunk(0, 0));
        assert_eq!(refused(15, 3), Malformed::Chunk(0, 0x301));
        let mut pictures = Pictures::default();
        assert_eq!(pictures.take(&good[..HEADER]), Err(Malformed::Size));
        assert_eq!(pictures.take(&[1; LARGEST + 1]), Err(Malformed::Size));
        // One chunk says that there are two, and the next one that there are three.
        good[14] = 2;
        assert_eq!(pictures.take(&good), Ok(None));
        good[14] = 3;
        assert_eq!(pictures.take(&good), Err(Malformed::Differs(5)));
    }
}
