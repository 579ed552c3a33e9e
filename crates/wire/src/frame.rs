//! Frames: a big-endian `u32` length and so many bytes, as Erlang's `{packet, 4}` has them.

use crate::etf;

/// The longest frame that either side takes, without its length prefix: 16 MiB.
pub const MAX_LENGTH: usize = 16 * 1024 * 1024;

/// The bytes of the length before a frame.
pub const PREFIX: usize = 4;

/// A frame that is longer than [`MAX_LENGTH`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a frame of {0} bytes is over the limit of {MAX_LENGTH}")]
pub struct TooLong(pub usize);

/// Why a message could not be put into a frame.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The message has no form in the external term format.
    #[error(transparent)]
    Encode(#[from] etf::Error),
    /// The message is too long for one frame.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// The content of the first frame of `bytes`, or `None` while it is not there in full. The frame takes
/// [`PREFIX`] bytes more than its content.
///
/// # Errors
///
/// [`TooLong`] as soon as the length is known, so that nobody waits, or makes room, for what would be refused.
pub fn first(bytes: &[u8]) -> Result<Option<&[u8]>, TooLong> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*prefix) as usize;
    if length > MAX_LENGTH {
        return Err(TooLong(length));
    }
    Ok(rest.get(..length))
}

/// Appends one frame to `out`, its content written by `content`.
///
/// # Errors
///
/// What `content` says, or [`TooLong`]; `out` is then as it was, and so it is if `content` panics.
pub fn append(
    out: &mut Vec<u8>,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), etf::Error>,
) -> Result<(), AppendError> {
    let mut frame = Unfinished {
        start: out.len(),
        out,
        whole: false,
    };
    frame.out.extend_from_slice(&[0; PREFIX]);
    content(frame.out)?;
    let length = frame.out.len() - frame.start - PREFIX;
    match u32::try_from(length) {
        Ok(prefix) if length <= MAX_LENGTH => {
            frame.out[frame.start..frame.start + PREFIX].copy_from_slice(&prefix.to_be_bytes());
            frame.whole = true;
            Ok(())
        }
        _ => Err(TooLong(length).into()),
    }
}

/// A frame at the end of a buffer, which takes it out again unless it became whole: after an error, and after a panic, since
/// others write to the same buffer.
struct Unfinished<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    whole: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.whole {
            self.out.truncate(self.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_frame_is_left_by_nobody() {
        let mut bytes = b"whole".to_vec();
        let appended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            append(&mut bytes, |out| {
                out.push(1);
                panic!("half way");
            })
        }));
        assert!(appended.is_err());
        assert_eq!(bytes, b"whole");
    }

    #[test]
    fn a_frame_is_there_only_in_full() {
        let mut bytes = Vec::new();
        append(&mut bytes, |out| {
            out.extend_from_slice(b"abc");
            Ok(())
        })
        .unwrap();
        assert_eq!(bytes, [0, 0, 0, 3, b'a', b'b', b'c']);
        for cut in 0..bytes.len() {
            assert_eq!(first(&bytes[..cut]), Ok(None));
        }
        bytes.extend_from_slice(b"next");
        assert_eq!(first(&bytes), Ok(Some(&b"abc"[..])));
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_bytes_come() {
        assert_eq!(first(&[0xFF; 4]), Err(TooLong(0xFFFF_FFFF)));
        assert_eq!(first(&[1, 0, 0, 1]), Err(TooLong(MAX_LENGTH + 1)));
        assert_eq!(first(&[1, 0, 0, 0]), Ok(None));
    }

    #[test]
    fn a_message_that_cannot_be_framed_leaves_no_trace() {
        let mut out = vec![7];
        let refused = append(&mut out, |out| {
            out.resize(out.len() + MAX_LENGTH + 1, 0);
            Ok(())
        });
        assert!(matches!(refused, Err(AppendError::TooLong(TooLong(n))) if n == MAX_LENGTH + 1));
        assert_eq!(out, [7]);
        append(&mut out, |_| Err(etf::Error::Truncated)).unwrap_err();
        assert_eq!(out, [7]);
    }
}
