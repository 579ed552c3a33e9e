//! `vsk-voice`: V-Sekai's own bytes from server to client, both ways, little endian:
//! `09 | sender: u32 | sequence: u24 | size: u16 | payload`. Several of them may be in one message.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// What each packet begins with.
const COMMAND: u8 = 9;

/// Before the payload.
pub(crate) const HEADER: usize = 10;

/// A message with Opus, and one with 20 ms of PCM.
pub(crate) const LARGEST_OPUS: usize = 1500;
pub(crate) const LARGEST_PCM: usize = 1930;

/// A packet of one sender. An empty one is silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Voice {
    pub(crate) sender: u32,
    /// 24 bits.
    pub(crate) sequence: u32,
    pub(crate) payload: Bytes,
}

/// A message that is not what it should be; what was before the fault is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a voice packet begins with {0}, not 9")]
    Command(u8),
    #[error("a voice packet ends early")]
    Short,
}

/// Takes the next packet from a message.
pub(crate) fn next(message: &mut Bytes) -> Option<Result<Voice, Malformed>> {
    if message.is_empty() {
        return None;
    }
    let taken = take(message);
    if taken.is_err() {
        message.clear();
    }
    Some(taken)
}

fn take(message: &mut Bytes) -> Result<Voice, Malformed> {
    let command = message.first().copied().unwrap_or_default();
    if command != COMMAND {
        return Err(Malformed::Command(command));
    }
    if message.len() < HEADER {
        return Err(Malformed::Short);
    }
    message.advance(1);
    let sender = message.get_u32_le();
    let sequence = u32::try_from(message.get_uint_le(3)).unwrap_or_default();
    let size = usize::from(message.get_u16_le());
    if message.len() < size {
        return Err(Malformed::Short);
    }
    Ok(Voice {
        sender,
        sequence,
        payload: message.split_to(size),
    })
}

/// A message with one packet. A payload that has no room is none.
pub(crate) fn write(sender: u32, sequence: u32, payload: &[u8]) -> Option<BytesMut> {
    let size = u16::try_from(payload.len()).ok()?;
    let mut message = BytesMut::with_capacity(HEADER.saturating_add(payload.len()));
    message.put_u8(COMMAND);
    message.put_u32_le(sender);
    message.put_uint_le(u64::from(sequence & 0x00ff_ffff), 3);
    message.put_u16_le(size);
    message.put_slice(payload);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(message: &[u8]) -> Vec<Result<Voice, Malformed>> {
        let mut message = Bytes::copy_from_slice(message);
        std::iter::from_fn(|| next(&mut message)).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut message = write(0x7f00_0001, 0x01_0203, b"opus").unwrap();
        assert_eq!(
            &message[..],
            b"\x09\x01\x00\x00\x7f\x03\x02\x01\x04\x00opus"
        );
        message.extend_from_slice(&write(7, 0x1ff_ffff, b"").unwrap());
        let voice = |sender, sequence, payload: &'static [u8]| {
            Ok(Voice {
                sender,
                sequence,
                payload: Bytes::from_static(payload),
            })
        };
        assert_eq!(
            all(&message),
            [
                voice(0x7f00_0001, 0x01_0203, b"opus"),
                voice(7, 0xff_ffff, b"")
            ]
        );
        assert_eq!(write(0, 0, &[0; 65_536]), None);
    }

    #[test]
    fn what_ends_early_is_told_once() {
        let whole = write(1, 2, b"opus").unwrap();
        for length in 1..whole.len() {
            assert_eq!(all(&whole[..length]), [Err(Malformed::Short)], "{length}");
        }
        assert_eq!(all(b""), []);
        assert_eq!(all(b"\x08"), [Err(Malformed::Command(8))]);
        let mut then = whole.to_vec();
        then.extend_from_slice(b"\x09\x01");
        assert_eq!(all(&then).len(), 2);
        assert_eq!(all(&then)[1], Err(Malformed::Short));
    }
}
