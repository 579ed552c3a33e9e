//! An SDP offer, as far as it is looked at here: whether it is one that a portal can answer, and what it asks for.

mod section;
mod video;

use std::fmt::Write as _;

use section::{Kind, Section, Transport};
pub(crate) use section::{MID_EXTENSION, RID_EXTENSION, is_password, is_ufrag};
pub(crate) use video::Offered;

/// Lines of an offer. Browsers with everything on send some 250.
const LINES: usize = 1024;

/// Sections of an offer.
const SECTIONS: usize = 16;

/// An offer that can be answered. It holds credentials of ICE, and is shown to nobody.
#[derive(Clone)]
pub(crate) struct Offer {
    text: String,
    audio: Option<Direction>,
    video: Option<(Direction, Vec<Offered>)>,
    unknown_video: bool,
    data: bool,
    active: bool,
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
        "the offer has more than {LINES} lines, {SECTIONS} sections, or {} lines of use in a section; offer one m=audio and one m=application",
        section::LINES
    )]
    TooLong,
    #[error("the offer has more than one m={0}; offer one")]
    Several(&'static str),
    #[error(
        "an m= section of the offer has no a=mid of its own; offer with a library that does BUNDLE"
    )]
    NoMid,
    #[error(
        "a=ice-ufrag has 4 to 256 and a=ice-pwd 22 to 256 letters, digits, + and /; send the offer that setLocalDescription() was given"
    )]
    Ice,
    #[error("a=setup of the offer is none of actpass, active and passive; offer actpass")]
    Setup,
    #[error("the offer has no {0}; send the offer that setLocalDescription() was given")]
    Missing(&'static str),
    #[error("m=audio of the offer has no Opus; let your library offer opus/48000/2")]
    NoOpus,
    #[error("the offer cannot be answered: {0}")]
    Refused(#[source] rtc::shared::error::Error),
}

impl Offer {
    /// Reads an offer. Of its lines those are kept that are known to be of use; the others cost time, and `rtc` is not to see them.
    ///
    /// Candidates in it are left out: who has ICE-lite learns where a peer is from its signed checks, and asks nobody else.
    pub(crate) fn parse(body: &str) -> Result<Self, OfferError> {
        let mut lines = body.lines().map(str::trim_end);
        if lines.next() != Some("v=0") {
            return Err(OfferError::NoSdp);
        }
        let mut text = String::from("v=0\r\n");
        let mut transport = Transport::default();
        let mut session = Section::new("", Direction::BOTH);
        let mut sections: Vec<Section<'_>> = Vec::new();
        for (number, line) in lines.filter(|line| !line.is_empty()).enumerate() {
            if number >= LINES {
                return Err(OfferError::TooLong);
            }
            if let Some(media) = line.strip_prefix("m=") {
                if sections.len() >= SECTIONS {
                    return Err(OfferError::TooLong);
                }
                sections.push(Section::new(media, session.direction));
            } else if let Some(attribute) = line.strip_prefix("a=") {
                let section = sections.last_mut().unwrap_or(&mut session);
                section.note(attribute, &mut transport)?;
            } else if sections.is_empty()
                && ["o=", "s=", "t="].iter().any(|of| line.starts_with(of))
            {
                // Writing to a string does not fail.
                let _ = write!(text, "{line}\r\n");
            }
        }
        for (there, what) in [
            (transport.ufrag, "a=ice-ufrag"),
            (transport.password, "a=ice-pwd"),
            (
                transport.fingerprint,
                "a=fingerprint of sha-256, sha-384 or sha-512",
            ),
            (!sections.is_empty(), "m= section"),
        ] {
            if !there {
                return Err(OfferError::Missing(what));
            }
        }
        session.write(&mut text, None);
        let mut offer = Self {
            text,
            audio: None,
            video: None,
            unknown_video: false,
            data: false,
            active: transport.active,
        };
        let mut mids = Vec::with_capacity(sections.len());
        for section in &sections {
            offer.take(section)?;
            let mid = section.mid.ok_or(OfferError::NoMid)?;
            if mids.contains(&mid) {
                return Err(OfferError::NoMid);
            }
            mids.push(mid);
        }
        Ok(offer)
    }

    fn take(&mut self, section: &Section<'_>) -> Result<(), OfferError> {
        let mut kind = section.kind();
        match kind {
            // A second picture is refused, and the peer goes on without it.
            Kind::Video if self.video.is_some() => kind = Kind::Other,
            Kind::Video => self.video = Some((section.direction, section.formats())),
            Kind::Audio if self.audio.is_some() => return Err(OfferError::Several("audio")),
            Kind::Audio if !section.has_opus() => return Err(OfferError::NoOpus),
            Kind::Audio => self.audio = Some(section.direction),
            Kind::Data if self.data => return Err(OfferError::Several("application")),
            Kind::Data => self.data = true,
            Kind::Other => self.unknown_video |= section.sends_unknown_video(),
        }
        section.write(&mut self.text, Some(kind));
        Ok(())
    }

    /// Whether the offerer begins DTLS, so that we must not.
    pub(super) fn active(&self) -> bool {
        self.active
    }

    /// Which way audio flows, if there is any.
    pub(crate) fn audio(&self) -> Option<Direction> {
        self.audio
    }

    /// Which way video flows, if there is any that can be passed on, and how it may be encoded.
    pub(crate) fn video(&self) -> Option<(Direction, &[Offered])> {
        let (direction, formats) = self.video.as_ref()?;
        Some((*direction, formats))
    }

    /// Whether a picture is sent in no codec that is known here.
    pub(crate) fn unknown_video(&self) -> bool {
        self.unknown_video
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
        assert!(!offer.active());
        let active = OFFER.replace("a=sendonly", "a=setup:active");
        assert!(Offer::parse(&active).unwrap().active());
    }

    #[test]
    fn only_what_is_of_use_is_passed_on() {
        let types: Vec<String> = (0..128).map(|it| it.to_string()).collect();
        let mut offer = OFFER.replace("SAVPF 111", &format!("SAVPF {}", types.join(" ")));
        offer = offer.replace("sha-256 AA", "SHA-256 aa\r\na=fingerprint:sha-1 BB");
        let codecs = (0..800).map(|it| format!("a=rtpmap:{} PCMU/8000\r\na=x:{it}\r\n", it % 100));
        let more: String = codecs.take(400).collect();
        offer = offer.replace("a=sendonly\r\n", &format!("a=sendonly\r\n{more}"));
        offer += "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:2\r\na=rtpmap:96 AV1/90000\r\n";
        let text = Offer::parse(&offer).unwrap().text().to_owned();
        assert!(
            text.contains("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"),
            "{text}"
        );
        assert!(text.contains("m=video 9 UDP/TLS/RTP/SAVPF 0\r\n"), "{text}");
        assert!(text.contains("a=fingerprint:sha-256 aa\r\n"), "{text}");
        assert!(text.lines().count() < 30, "{text}");
    }

    const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96 97 45 103\r\na=mid:2\r\na=sendonly\r\n\
        a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n\
        a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
        a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n\
        a=rtcp-fb:96 transport-cc\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:45 AV1/90000\r\n\
        a=rtpmap:103 H264/90000\r\na=fmtp:103 packetization-mode=1;profile-level-id=42e01f\r\n\
        a=ssrc-group:FID 1 2\r\na=ssrc:1 cname:x\r\na=ssrc:2 cname:x\r\n";

    #[test]
    fn video_is_passed_on_as_far_as_it_can_be_answered() {
        let offer = Offer::parse(&format!("{OFFER}{VIDEO}")).unwrap();
        let (direction, formats) = offer.video().unwrap();
        assert!(direction.sends && !direction.receives);
        assert_eq!(formats.len(), 2);
        let text = offer.text();
        assert!(
            text.contains("m=video 9 UDP/TLS/RTP/SAVPF 96 103\r\n"),
            "{text}"
        );
        assert!(text.contains("a=extmap:3 ") && text.contains("a=ssrc-group:FID 1 2"));
        assert!(!text.contains("abs-send-time") && !text.contains("rtx") && !text.contains("AV1"));
        // One who only receives is told of what he lost by a stream of its own, and says by REMB what he can take.
        let viewer = VIDEO.replace("sendonly", "recvonly");
        let offer = Offer::parse(&format!("{OFFER}{viewer}")).unwrap();
        let text = offer.text();
        assert!(
            text.contains("m=video 9 UDP/TLS/RTP/SAVPF 96 97 103\r\n"),
            "{text}"
        );
        assert!(text.contains("a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"));
        assert!(
            text.contains("a=rtcp-fb:96 nack\r\n") && !text.contains("transport-cc"),
            "{text}"
        );
        // A second picture is refused.
        let second = VIDEO.replace("a=mid:2", "a=mid:3");
        let offer = Offer::parse(&format!("{OFFER}{VIDEO}{second}")).unwrap();
        let refused = "m=video 9 UDP/TLS/RTP/SAVPF 0\r\n";
        assert_eq!(offer.text().matches(refused).count(), 1);
    }

    #[test]
    fn a_tab_hides_nothing() {
        let text = |from: &str, to: &str| {
            let offer = Offer::parse(&OFFER.replace(from, to));
            offer.map(|offer| offer.text().to_owned())
        };
        let cut = text("SAVPF 111", "SAVPF\t0\t0\u{b}0 111").unwrap();
        assert!(cut.contains("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"), "{cut}");
        let many = format!("0{}", "\t0".repeat(1_000));
        let cut = text(
            "SAVPF 111\r\n",
            &format!("SAVPF {many} 111\r\na=rtpmap:{many} opus/48000/2\r\n"),
        )
        .unwrap();
        assert!(cut.contains("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"), "{cut}");
        let twice = text("a=mid:1", "a=mid:0\r\na=mid:1");
        assert_eq!(twice.err(), Some(OfferError::NoMid));
    }

    #[test]
    fn a_section_without_a_port_is_wanted_if_it_is_bundled() {
        let closed = OFFER.replace("m=application 9", "m=application 0");
        assert!(!Offer::parse(&closed).unwrap().data());
        let bundled = closed.replace("a=mid:1", "a=mid:1\r\na=bundle-only");
        let bundled = Offer::parse(&bundled).unwrap();
        assert!(bundled.data());
        assert!(bundled.text().contains("m=application 9 "));
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_a_word() {
        let without = |what: &str| {
            let kept: Vec<&str> = OFFER
                .lines()
                .filter(|line| !line.starts_with(what))
                .collect();
            Offer::parse(&kept.join("\n")).err().unwrap()
        };
        assert_eq!(Offer::parse("hello").err().unwrap(), OfferError::NoSdp);
        assert_eq!(without("a=ice-ufrag"), OfferError::Missing("a=ice-ufrag"));
        let missing = OfferError::Missing("a=fingerprint of sha-256, sha-384 or sha-512");
        assert_eq!(without("a=fingerprint"), missing);
        assert_eq!(without("a=mid"), OfferError::NoMid);
        assert_eq!(without("a=rtpmap"), OfferError::NoOpus);
        assert_eq!(without("m="), OfferError::Missing("m= section"));
        let twice = format!("{OFFER}{}", &OFFER[OFFER.find("m=audio").unwrap()..]);
        assert_eq!(
            Offer::parse(&twice).err().unwrap(),
            OfferError::Several("audio")
        );
        let with = |from: &str, to: &str| Offer::parse(&OFFER.replace(from, to)).err().unwrap();
        assert_eq!(with("sha-256 AA", "sha-1 AA"), missing);
        assert_eq!(with("sha-256 AA", "sha-256 A\u{e4}"), missing);
        assert_eq!(with("a=mid:1", "a=mid:0"), OfferError::NoMid);
        assert_eq!(with("a=mid:1", "a=mid:1 2"), OfferError::NoMid);
        assert_eq!(with("ufrag:abcd", "ufrag:abc"), OfferError::Ice);
        assert_eq!(
            with("ufrag:abcd", &format!("ufrag:{}", "a".repeat(257))),
            OfferError::Ice
        );
        assert_eq!(with("a=sendonly", "a=setup:holdconn"), OfferError::Setup);
        let long = format!("{OFFER}{}", "a=x\r\n".repeat(LINES));
        assert_eq!(Offer::parse(&long).err().unwrap(), OfferError::TooLong);
    }
}
