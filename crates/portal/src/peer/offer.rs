//! An SDP offer, as far as it is looked at here: whether it is one that a portal can answer, and what it asks for.

use std::fmt::Write as _;

/// Lines of an offer. Browsers with everything on send some 250.
const LINES: usize = 1024;

/// Sections of an offer.
const SECTIONS: usize = 16;

/// An offer that can be answered. It holds credentials of ICE, and is shown to nobody.
#[derive(Clone)]
pub(crate) struct Offer {
    text: String,
    audio: Option<Direction>,
    data: bool,
}

/// Which way audio flows, as the offerer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Direction {
    pub(crate) sends: bool,
    pub(crate) receives: bool,
}

impl Direction {
    const BOTH: Self = Self {
        sends: true,
        receives: true,
    };

    fn of(attribute: &str) -> Option<Self> {
        let (sends, receives) = match attribute {
            "sendrecv" => (true, true),
            "sendonly" => (true, false),
            "recvonly" => (false, true),
            "inactive" => (false, false),
            _ => return None,
        };
        Some(Self { sends, receives })
    }
}

/// What is wrong with an offer, and what to do.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum OfferError {
    #[error("the body is no SDP: it begins with v=0; send the offer of createOffer()")]
    NoSdp,
    #[error(
        "the offer has more than {LINES} lines or {SECTIONS} sections; offer one m=audio and one m=application"
    )]
    TooLong,
    #[error("the offer has more than one m={0}; offer one")]
    Several(&'static str),
    #[error("an m= section of the offer has no a=mid; offer with a library that does BUNDLE")]
    NoMid,
    #[error("the offer has no {0}; send the offer that setLocalDescription() was given")]
    Missing(&'static str),
    #[error("m=audio of the offer has no Opus; let your library offer opus/48000/2")]
    NoOpus,
    #[error("the offer cannot be answered: {0}")]
    Refused(#[source] rtc::shared::error::Error),
}

impl Offer {
    /// Reads an offer.
    ///
    /// Candidates in it are left out: who has ICE-lite learns where a peer is from its signed checks, and asks nobody else.
    pub(crate) fn parse(body: &str) -> Result<Self, OfferError> {
        let mut lines = body.lines().map(str::trim_end);
        if lines.next() != Some("v=0") {
            return Err(OfferError::NoSdp);
        }
        let mut offer = Self {
            text: String::with_capacity(body.len().saturating_add(2)),
            audio: None,
            data: false,
        };
        offer.push("v=0");
        let mut ice = (false, false);
        let mut fingerprint = false;
        let mut session_direction = Direction::BOTH;
        let mut sections: Vec<Section> = Vec::new();
        for (number, line) in lines.filter(|line| !line.is_empty()).enumerate() {
            if number >= LINES {
                return Err(OfferError::TooLong);
            }
            if let Some(media) = line.strip_prefix("m=") {
                if sections.len() >= SECTIONS {
                    return Err(OfferError::TooLong);
                }
                sections.push(Section::new(media, session_direction));
            }
            let attribute = line.strip_prefix("a=").unwrap_or_default();
            if attribute.starts_with("candidate:") || attribute == "end-of-candidates" {
                continue;
            }
            ice.0 |= attribute.starts_with("ice-ufrag:");
            ice.1 |= attribute.starts_with("ice-pwd:");
            fingerprint |= attribute.starts_with("fingerprint:");
            match (sections.last_mut(), Direction::of(attribute)) {
                (None, Some(direction)) => session_direction = direction,
                (Some(section), Some(direction)) => section.direction = direction,
                (Some(section), None) => section.note(attribute),
                (None, None) => {}
            }
            offer.push(line);
        }
        for (there, what) in [
            (ice.0, "a=ice-ufrag"),
            (ice.1, "a=ice-pwd"),
            (fingerprint, "a=fingerprint"),
            (!sections.is_empty(), "m= section"),
        ] {
            if !there {
                return Err(OfferError::Missing(what));
            }
        }
        for section in &sections {
            offer.take(section)?;
        }
        Ok(offer)
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str("\r\n");
    }

    fn take(&mut self, section: &Section) -> Result<(), OfferError> {
        if !section.mid {
            return Err(OfferError::NoMid);
        }
        match section.kind {
            _ if section.closed && !section.bundled => Ok(()),
            Kind::Audio if self.audio.is_some() => Err(OfferError::Several("audio")),
            Kind::Audio if !section.opus => Err(OfferError::NoOpus),
            Kind::Audio => {
                self.audio = Some(section.direction);
                Ok(())
            }
            Kind::Data if self.data => Err(OfferError::Several("application")),
            Kind::Data => {
                self.data = true;
                Ok(())
            }
            // It is answered as one that is not wanted.
            Kind::Other => Ok(()),
        }
    }

    /// Which way audio flows, if there is any.
    pub(crate) fn audio(&self) -> Option<Direction> {
        self.audio
    }

    /// Whether there are data channels.
    pub(crate) fn data(&self) -> bool {
        self.data
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The same offer with other credentials.
    pub(super) fn restarted(&self, ufrag: &str, password: &str) -> Self {
        let mut text = String::with_capacity(self.text.len());
        for line in self.text.lines() {
            // Writing to a string does not fail.
            let _ = if line.starts_with("a=ice-ufrag:") {
                write!(text, "a=ice-ufrag:{ufrag}\r\n")
            } else if line.starts_with("a=ice-pwd:") {
                write!(text, "a=ice-pwd:{password}\r\n")
            } else {
                write!(text, "{line}\r\n")
            };
        }
        Self {
            text,
            ..self.clone()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Audio,
    Data,
    Other,
}

struct Section {
    kind: Kind,
    direction: Direction,
    /// Port 0: it is not wanted, unless it is `bundled`.
    closed: bool,
    /// It travels with another section only (RFC 8843), and has port 0 for that: so browsers offer by the policy max-bundle.
    bundled: bool,
    mid: bool,
    opus: bool,
}

impl Section {
    fn new(media: &str, direction: Direction) -> Self {
        let mut words = media.split(' ');
        let (kind, port) = (words.next(), words.next());
        let kind = match kind {
            Some("audio") => Kind::Audio,
            Some("application") => Kind::Data,
            _ => Kind::Other,
        };
        Self {
            kind,
            direction,
            closed: port == Some("0"),
            bundled: false,
            mid: false,
            opus: false,
        }
    }

    fn note(&mut self, attribute: &str) {
        if let Some(map) = attribute.strip_prefix("rtpmap:") {
            let codec = map.split(' ').nth(1).unwrap_or_default();
            self.opus |= codec.to_ascii_lowercase().starts_with("opus/48000");
        }
        self.mid |= attribute.starts_with("mid:") && attribute.len() > 4;
        self.bundled |= attribute == "bundle-only";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        a=fingerprint:sha-256 AA\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=rtpmap:111 opus/48000/2\r\n\
        a=candidate:1 1 udp 1 evil.local 9 typ host\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
        a=mid:1\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";

    #[test]
    fn an_offer_says_what_it_asks_for() {
        let offer = Offer::parse(OFFER).unwrap();
        assert_eq!(
            offer.audio().map(|it| (it.sends, it.receives)),
            Some((true, false))
        );
        assert!(offer.data());
        assert!(!offer.text().contains("candidate"));
        let again = offer.restarted("wxyz", "p").text().to_owned();
        assert_eq!(again.matches("a=ice-ufrag:wxyz\r\n").count(), 2);
        assert!(!again.contains("abcd"));
    }

    #[test]
    fn a_section_without_a_port_is_wanted_if_it_is_bundled() {
        let closed = OFFER.replace("m=application 9", "m=application 0");
        assert!(!Offer::parse(&closed).unwrap().data());
        let bundled = closed.replace("a=mid:1", "a=mid:1\r\na=bundle-only");
        assert!(Offer::parse(&bundled).unwrap().data());
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_a_word() {
        let refused = |text: &str| Offer::parse(text).err().unwrap();
        let without = |what: &str| {
            let kept: Vec<&str> = OFFER
                .lines()
                .filter(|line| !line.starts_with(what))
                .collect();
            refused(&kept.join("\n"))
        };
        assert_eq!(refused("hello"), OfferError::NoSdp);
        assert_eq!(without("a=ice-ufrag"), OfferError::Missing("a=ice-ufrag"));
        assert_eq!(
            without("a=fingerprint"),
            OfferError::Missing("a=fingerprint")
        );
        assert_eq!(without("a=mid"), OfferError::NoMid);
        assert_eq!(without("a=rtpmap"), OfferError::NoOpus);
        assert_eq!(without("m="), OfferError::Missing("m= section"));
        let twice = format!("{OFFER}{}", &OFFER[OFFER.find("m=audio").unwrap()..]);
        assert_eq!(refused(&twice), OfferError::Several("audio"));
        let long = format!("{OFFER}{}", "a=x\r\n".repeat(LINES));
        assert_eq!(refused(&long), OfferError::TooLong);
    }
}
