//! What the data channel `vsk-voice` carries: `09 | sender:u32 | sequence:u24 | size:u16 | payload`, little endian, several in a message.

use bytes::{Buf, BufMut, Bytes};
use thiserror::Error;

/// V-Sekai's command byte of a packet of voice.
const VOICE: u8 = 9;
/// Sequence numbers have so many bits.
pub const SEQUENCE_BITS: u32 = 24;
/// The bytes before the payload.
pub const HEADER: usize = 10;

/// A packet of voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// To a portal: a player whom this peer forwards, or 0 for itself. From a portal: who speaks, or 0 for the mix.
    pub sender: u32,
    /// Its number, of 24 bits.
    pub sequence: u32,
    /// Opus or samples; nothing is silence.
    pub payload: Bytes,
}

/// What is wrong with a message on the channel.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// It begins with something else.
    #[error("a packet of voice begins with 9, and not with {0}")]
    Command(u8),
    /// It ends too early.
    #[error("a packet of voice is cut short")]
    Short,
}

impl Frame {
    /// Appends it to a message. The payload may have at most 65,535 bytes; what is beyond is left out.
    pub fn write(&self, message: &mut impl BufMut) {
        let size = u16::try_from(self.payload.len()).unwrap_or(u16::MAX);
        message.put_u8(VOICE);
        message.put_u32_le(self.sender);
        message.put_uint_le(u64::from(self.sequence & 0xff_ffff), 3);
        message.put_u16_le(size);
        message.put_slice(&self.payload[..usize::from(size)]);
    }

    /// Takes the first packet off a message; `None` at its end.
    ///
    /// # Errors
    /// When the message is none of this format.
    pub fn read(message: &mut Bytes) -> Result<Option<Self>, FrameError> {
        let Some(command) = message.first().copied() else {
            return Ok(None);
        };
        if command != VOICE {
            return Err(FrameError::Command(command));
        }
        if message.len() < HEADER {
            return Err(FrameError::Short);
        }
        message.advance(1);
        let sender = message.get_u32_le();
        let sequence = message.get_uint_le(3) as u32;
        let size = usize::from(message.get_u16_le());
        if message.len() < size {
            return Err(FrameError::Short);
        }
        Ok(Some(Self {
            sender,
            sequence,
            payload: message.split_to(size),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_packets_in_a_message() {
        let frames = [
            Frame {
                sender: 0x7f00_0001,
                sequence: 0xab_cdef,
                payload: Bytes::from_static(b"voice"),
            },
            Frame {
                sender: 0,
                sequence: 1,
                payload: Bytes::new(),
            },
        ];
        let mut message = Vec::new();
        for frame in &frames {
            frame.write(&mut message);
        }
        assert_eq!(
            message[..15],
            [
                9, 1, 0, 0, 0x7f, 0xef, 0xcd, 0xab, 5, 0, b'v', b'o', b'i', b'c', b'e'
            ]
        );
        let mut message = Bytes::from(message);
        for frame in frames {
            assert_eq!(Frame::read(&mut message), Ok(Some(frame)));
        }
        assert_eq!(Frame::read(&mut message), Ok(None));
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_refused() {
        let mut whole = Vec::new();
        let frame = Frame {
            sender: 1,
            sequence: 2,
            payload: Bytes::from_static(b"voice"),
        };
        frame.write(&mut whole);
        for length in 1..whole.len() {
            let mut message = Bytes::copy_from_slice(&whole[..length]);
            assert_eq!(
                Frame::read(&mut message),
                Err(FrameError::Short),
                "{length}"
            );
        }
        let mut message = Bytes::from_static(&[8, 0, 0]);
        assert_eq!(Frame::read(&mut message), Err(FrameError::Command(8)));
    }
}
