//! Retransmission (RFC 4588): a packet again, under an SSRC and a payload type of its own. Its payload begins with the number that
//! it had.

/// What was sent first: its sequence number and its payload. `None` is one that has none, as those that probe for bandwidth.
#[must_use]
pub fn original(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (number, payload) = payload.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), payload)).filter(|_| !payload.is_empty())
}

/// The payload of a retransmission.
#[must_use]
pub fn payload(sequence: u16, payload: &[u8]) -> Vec<u8> {
    [&sequence.to_be_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_what_was_sent() {
        assert_eq!(original(&payload(0x1234, b"x")), Some((0x1234, &b"x"[..])));
        for none in [&[][..], &[1], &[1, 2]] {
            assert_eq!(original(none), None);
        }
    }
}
