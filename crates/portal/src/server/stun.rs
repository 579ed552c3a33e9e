//! As much of STUN (RFC 8489) as tells whose a Binding request is, and whether he signed it.

use ring::hmac;

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0, 1];

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const USE_CANDIDATE: u16 = 0x0025;

/// A Binding request as it came.
pub(super) struct Request<'a> {
    bytes: &'a [u8],
    /// Our part of the user name.
    pub(super) ufrag: &'a str,
    /// The other side means to use this path.
    pub(super) nominates: bool,
    /// Where the signature's attribute begins, and the signature.
    integrity: Option<(usize, &'a [u8])>,
}

impl<'a> Request<'a> {
    /// `None`: it is something else, or broken.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER>()?;
        let [t0, t1, l0, l1, c0, c1, c2, c3, ..] = *header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if [t0, t1] != BINDING_REQUEST
            || [c0, c1, c2, c3] != COOKIE
            || length.checked_add(HEADER) != Some(bytes.len())
        {
            return None;
        }
        let mut request = Self {
            bytes,
            ufrag: "",
            nominates: false,
            integrity: None,
        };
        let mut at = HEADER;
        while at < bytes.len() {
            let (kind, value, next) = attribute(bytes, at)?;
            match kind {
                USERNAME => {
                    let name = std::str::from_utf8(value).ok()?;
                    request.ufrag = name.split_once(':')?.0;
                }
                USE_CANDIDATE => request.nominates = true,
                // What comes after it is not signed.
                MESSAGE_INTEGRITY => {
                    request.integrity = Some((at, value));
                    break;
                }
                _ => {}
            }
            at = next;
        }
        (!request.ufrag.is_empty()).then_some(request)
    }

    /// Whether it is signed with this password.
    pub(super) fn signed_with(&self, password: &hmac::Key) -> bool {
        let Some((at, signature)) = self.integrity else {
            return false;
        };
        // The signature is of the message as if its attribute were the last.
        let length = at
            .checked_add(24 - HEADER)
            .and_then(|length| u16::try_from(length).ok());
        let (Some(length), Some(before)) = (length, self.bytes.get(4..at)) else {
            return false;
        };
        let mut signed = Vec::with_capacity(at);
        signed.extend_from_slice(&BINDING_REQUEST);
        signed.extend_from_slice(&length.to_be_bytes());
        signed.extend_from_slice(before);
        hmac::verify(password, &signed, signature).is_ok()
    }
}

/// An attribute's type, its value, and where the next one begins.
fn attribute(bytes: &[u8], at: usize) -> Option<(u16, &[u8], usize)> {
    let [t0, t1, l0, l1] = *bytes.get(at..)?.first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let begin = at.checked_add(4)?;
    let end = begin.checked_add(length)?;
    let value = bytes.get(begin..end)?;
    Some((u16::from_be_bytes([t0, t1]), value, end.next_multiple_of(4)))
}

/// What passwords are made into once.
pub(super) fn key(password: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769, section 2.1.
    const SAMPLE: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
        002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
        000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";

    fn sample() -> Vec<u8> {
        let digits: Vec<char> = SAMPLE.chars().filter(|it| !it.is_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_sample_of_the_rfc_is_signed_with_its_password() {
        let bytes = sample();
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(request.ufrag, "evtj");
        assert!(!request.nominates);
        assert!(request.signed_with(&key("VOkJxbRl1RmTxUk/WvJxBt")));
        assert!(!request.signed_with(&key("VOkJxbRl1RmTxUk/WvJxBu")));
        let mut other = bytes.clone();
        other[30] ^= 1;
        let request = Request::parse(&other).unwrap();
        assert!(!request.signed_with(&key("VOkJxbRl1RmTxUk/WvJxBt")));
    }

    #[test]
    fn what_ends_early_is_nothing() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(Request::parse(&bytes[..length]).is_none(), "{length}");
        }
        let mut response = bytes.clone();
        response[0] = 1;
        assert!(Request::parse(&response).is_none());
    }
}
