//! SDP fragments (RFC 8840): candidates, or credentials with which ICE begins anew.

use super::refusal::Refusal;
use crate::peer::{is_password, is_ufrag};

/// Lines of a fragment.
const LINES: usize = 256;

/// Shown to nobody: its credentials sign checks.
#[derive(Default)]
pub(super) struct Fragment {
    /// The user's part and the password, if both are there.
    pub(super) credentials: Option<(String, String)>,
}

impl Fragment {
    pub(super) fn parse(body: &str) -> Result<Self, Refusal> {
        let (mut ufrag, mut password) = (None, None);
        for (number, line) in body.lines().map(str::trim_end).enumerate() {
            if number >= LINES {
                return Err(Refusal::Fragment);
            }
            if let Some(value) = line.strip_prefix("a=ice-ufrag:") {
                ufrag = Some(text(value, is_ufrag)?);
            } else if let Some(value) = line.strip_prefix("a=ice-pwd:") {
                password = Some(text(value, is_password)?);
            } else if !line.is_empty() && line.as_bytes().get(1) != Some(&b'=') {
                return Err(Refusal::Fragment);
            }
        }
        Ok(Self {
            credentials: ufrag.zip(password),
        })
    }
}

fn text(value: &str, good: fn(&str) -> bool) -> Result<String, Refusal> {
    good(value)
        .then(|| value.to_owned())
        .ok_or(Refusal::Fragment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_may_have_credentials() {
        let password = "0123456789012345678901";
        let text = format!(
            "a=ice-ufrag:abcd\r\na=ice-pwd:{password}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
        );
        let read = Fragment::parse(&text).unwrap();
        assert_eq!(read.credentials, Some(("abcd".into(), password.into())));
        let read =
            Fragment::parse("a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\na=end-of-candidates\r\n");
        assert_eq!(read.unwrap().credentials, None);
        for bad in [
            "a=ice-ufrag:abc",
            "a=ice-pwd:short",
            "a=ice-ufrag:ab\u{e9}cd",
            "hello",
            &"a=x\n".repeat(257),
        ] {
            assert!(Fragment::parse(bad).is_err(), "{bad}");
        }
    }
}
