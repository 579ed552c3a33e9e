//! The lines of an answer that `rtc` leaves to us: candidates, and the fragment with which ICE begins anew.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// What stands behind a key, in the first line that has it.
pub(super) fn value<'a>(sdp: &'a str, key: &str) -> Option<&'a str> {
    sdp.lines()
        .find_map(|line| line.strip_prefix(key))
        .map(str::trim)
}

/// A candidate's value. The first ones are preferred.
pub(super) fn candidate(index: usize, address: SocketAddr) -> String {
    let preference = 65_535_u32.saturating_sub(u32::try_from(index).unwrap_or(65_535));
    // RFC 8445, section 5.1.2.1, for a host candidate of component 1.
    let priority = (126 << 24) | (preference << 8) | 255;
    format!(
        "candidate:{} 1 udp {priority} {} {} typ host",
        index.saturating_add(1),
        address.ip(),
        address.port()
    )
}

fn push_candidates(lines: &mut String, candidates: &[SocketAddr]) {
    for (index, address) in candidates.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(lines, "a={}\r\n", candidate(index, *address));
    }
    lines.push_str("a=end-of-candidates\r\n");
}

/// The answer with our candidates in its first section that is not refused: `rtc` puts them into the first one, where they are
/// lost if that was video.
pub(super) fn with_candidates(answer: &str, candidates: &[SocketAddr]) -> String {
    let mut text = String::with_capacity(answer.len().saturating_add(256));
    let (mut wanted, mut done) = (false, false);
    for line in answer.lines() {
        if line.starts_with("a=candidate:") || line.starts_with("a=end-of-candidates") {
            continue;
        }
        if let Some(media) = line.strip_prefix("m=") {
            if wanted && !done {
                push_candidates(&mut text, candidates);
                done = true;
            }
            wanted = media.split(' ').nth(1) != Some("0");
        }
        text.push_str(line);
        text.push_str("\r\n");
    }
    if wanted && !done {
        push_candidates(&mut text, candidates);
    }
    text
}

/// What ICE begins anew with (RFC 8840): our credentials, and our candidates in the section that has them in the answer, by its mid.
pub(super) fn fragment(
    answer: &str,
    (ufrag, password): (&str, &str),
    candidates: &[SocketAddr],
) -> String {
    let mut lines = String::from("a=ice-lite\r\n");
    let sections = answer.split("\r\nm=").skip(1);
    let wanted = |section: &&str| section.split(' ').nth(1) != Some("0");
    if let Some(section) = { sections }.find(wanted) {
        let media = section.lines().next().unwrap_or_default();
        let mid = value(section, "a=mid:").unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(lines, "m={media}\r\na=mid:{mid}\r\n");
    }
    let _ = write!(lines, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
    push_candidates(&mut lines, candidates);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Video is refused, and stands first.
    const ANSWER: &str = "v=0\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=candidate:9 1 udp 1 10.9.9.9 1 typ host\r\n\
        a=end-of-candidates\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
        a=mid:2\r\n";

    const CANDIDATES: &str = "a=candidate:1 1 udp 2130706431 10.0.0.1 7 typ host\r\n\
        a=candidate:2 1 udp 2130706175 ::1 7 typ host\r\na=end-of-candidates\r\n";

    fn addresses() -> [SocketAddr; 2] {
        ["10.0.0.1:7", "[::1]:7"].map(|it| it.parse().unwrap())
    }

    #[test]
    fn candidates_are_in_the_first_section_that_is_not_refused() {
        let answer = with_candidates(ANSWER, &addresses());
        let audio = format!("a=mid:1\r\n{CANDIDATES}m=application");
        assert!(answer.contains(&audio), "{answer}");
        assert_eq!(answer.matches("a=candidate:").count(), 2);
    }

    #[test]
    fn a_fragment_names_the_section_of_the_candidates() {
        let fragment = fragment(ANSWER, ("abcd", "secret"), &addresses());
        assert_eq!(
            fragment,
            format!(
                "a=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=ice-ufrag:abcd\r\na=ice-pwd:secret\r\n{CANDIDATES}"
            )
        );
    }
}
