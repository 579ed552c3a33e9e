//! One section of an offer, with no more of it than `rtc` needs: it looks at each payload type by all lines again, and at what a
//! portal has no use for too.

use std::fmt::Write as _;

use super::video::{Offered, formats};
use super::{Direction, OfferError};

/// Lines of a section that are passed on. Browsers' have some 20.
pub(super) const LINES: usize = 64;

/// Payload types of Opus.
const PAYLOAD_TYPES: usize = 4;

/// Characters of an `a=mid`.
const MID: usize = 64;

/// The one header extension that is of use to all (RFC 9143).
pub(crate) const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// Those of video that is sent to us: which layer a packet is of (RFC 8852), and how senders learn what their link carries.
pub(crate) const RID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
pub(crate) const CONGESTION_EXTENSION: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Attributes that are passed on: of a section of any kind and of the session, of audio, and of data channels.
const COMMON: [&str; 12] = [
    "mid",
    "group",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "fingerprint",
    "setup",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "rtcp-mux",
];
const AUDIO: [&str; 5] = ["ssrc", "msid", "extmap", "ptime", "maxptime"];
const VIDEO: [&str; 6] = ["ssrc", "ssrc-group", "msid", "extmap", "rid", "simulcast"];
const CODEC: [&str; 3] = ["rtpmap", "fmtp", "rtcp-fb"];
const DATA: [&str; 3] = ["sctp-port", "max-message-size", "sctpmap"];

/// The hash functions that `rtc` checks a certificate with (RFC 8122), for those that are secure.
const HASHES: [&str; 3] = ["sha-256", "sha-384", "sha-512"];

/// What RFC 8839, section 5.4, allows.
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD: std::ops::RangeInclusive<usize> = 22..=256;

pub(crate) fn is_ufrag(value: &str) -> bool {
    is_ice(value, UFRAG)
}

pub(crate) fn is_password(value: &str) -> bool {
    is_ice(value, PASSWORD)
}

fn is_ice(value: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    let good = |it: char| it.is_ascii_alphanumeric() || matches!(it, '+' | '/');
    length.contains(&value.len()) && value.chars().all(good)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Audio,
    /// Video, of which something can be passed on.
    Video,
    Data,
    /// It is answered as one that is not wanted.
    Other,
}

/// What one needs to be connected to.
#[derive(Debug, Default)]
pub(super) struct Transport {
    pub(super) ufrag: bool,
    pub(super) password: bool,
    pub(super) fingerprint: bool,
    /// The offerer begins DTLS, and does not wait for us to.
    pub(super) active: bool,
}

/// A section, or what is before the first one.
pub(super) struct Section<'a> {
    media: &'a str,
    pub(super) direction: Direction,
    pub(super) mid: Option<&'a str>,
    bundle_only: bool,
    has_fingerprint: bool,
    /// Payload types.
    opus: Vec<&'a str>,
    /// What is said of payload types, of which there are many that are not Opus's.
    codecs: Vec<&'a str>,
    lines: Vec<String>,
}

impl<'a> Section<'a> {
    pub(super) fn new(media: &'a str, direction: Direction) -> Self {
        Self {
            media,
            direction,
            mid: None,
            bundle_only: false,
            has_fingerprint: false,
            opus: Vec::new(),
            codecs: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// What it is, when all of it has been read.
    pub(super) fn kind(&self) -> Kind {
        // As `rtc` does: a tab is no part of a word.
        let mut words = self.media.split_whitespace();
        match (words.next(), words.next()) {
            // Port 0: the offerer does not want it, unless another section has its port (RFC 9143).
            (_, Some("0")) if !self.bundle_only => Kind::Other,
            (Some("audio"), _) => Kind::Audio,
            (Some("video"), _) if !self.formats().is_empty() => Kind::Video,
            (Some("application"), _) => Kind::Data,
            _ => Kind::Other,
        }
    }

    /// Whether it is a picture that is sent in no codec that is known here.
    pub(super) fn sends_unknown_video(&self) -> bool {
        let mut words = self.media.split_whitespace();
        let wanted = words.next() == Some("video") && words.next() != Some("0");
        wanted && self.direction.sends && self.formats().is_empty()
    }

    pub(super) fn has_opus(&self) -> bool {
        !self.opus.is_empty()
    }

    /// What of it can be passed on, if it is video. A sender is offered no retransmissions of their own stream: those of a layer could not be
    /// told from others'.
    pub(super) fn formats(&self) -> Vec<Offered> {
        let types: Vec<&str> = self.media.split_whitespace().skip(3).take(128).collect();
        let mut formats = formats(&types, &self.codecs);
        if self.direction.sends {
            for format in &mut formats {
                format.rtx = None;
            }
        } else {
            for format in &mut formats {
                format.feedback.retain(|(kind, _)| *kind != "transport-cc");
            }
        }
        formats
    }

    /// Takes an attribute.
    pub(super) fn note(
        &mut self,
        attribute: &'a str,
        transport: &mut Transport,
    ) -> Result<(), OfferError> {
        if let Some(direction) = Direction::of(attribute) {
            self.direction = direction;
        }
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            // What stands before the first `m=` line has none.
            "mid" if self.mid.is_some() && !self.media.is_empty() => return Err(OfferError::NoMid),
            "mid" => {
                let good = (1..=MID).contains(&value.len())
                    && value.bytes().all(|it| it.is_ascii_graphic());
                self.mid = good.then_some(value);
            }
            "bundle-only" => self.bundle_only = true,
            "rtpmap" => {
                let (kind, codec) = value.split_once(' ').unwrap_or_default();
                let opus = codec.trim().to_ascii_lowercase().starts_with("opus/48000");
                if opus && self.opus.len() < PAYLOAD_TYPES && !self.opus.contains(&kind) {
                    self.opus.push(kind);
                }
            }
            "ice-ufrag" if !is_ufrag(value) => return Err(OfferError::Ice),
            "ice-ufrag" => transport.ufrag = true,
            "ice-pwd" if !is_password(value) => return Err(OfferError::Ice),
            "ice-pwd" => transport.password = true,
            "fingerprint" => return self.fingerprint(value, transport),
            "setup" => match value {
                "active" => transport.active = true,
                "passive" | "actpass" => {}
                _ => return Err(OfferError::Setup),
            },
            _ => {}
        }
        if CODEC.contains(&name) {
            self.codecs.push(attribute);
        } else if name == "extmap"
            && ![MID_EXTENSION, RID_EXTENSION, CONGESTION_EXTENSION]
                .iter()
                .any(|it| value.ends_with(it))
        {
            // None of the others is of use.
        } else if [&COMMON[..], &AUDIO, &VIDEO, &DATA]
            .iter()
            .any(|of| of.contains(&name))
        {
            self.push(attribute.to_owned())?;
        }
        Ok(())
    }

    /// The first one that can be checked. The others say the same of the same certificate.
    fn fingerprint(&mut self, value: &str, transport: &mut Transport) -> Result<(), OfferError> {
        let (hash, value) = value.split_once(' ').unwrap_or_default();
        let hash = hash.to_ascii_lowercase();
        let good = |it: u8| it.is_ascii_hexdigit() || it == b':';
        if self.has_fingerprint
            || !HASHES.contains(&hash.as_str())
            || value.is_empty()
            || !value.bytes().all(good)
        {
            return Ok(());
        }
        self.has_fingerprint = true;
        transport.fingerprint = true;
        self.push(format!("fingerprint:{hash} {value}"))
    }

    fn push(&mut self, attribute: String) -> Result<(), OfferError> {
        if self.lines.len() >= LINES {
            return Err(OfferError::TooLong);
        }
        self.lines.push(attribute);
        Ok(())
    }

    /// Writes it as it is passed on.
    pub(super) fn write(&self, text: &mut String, kind: Option<Kind>) {
        let mut words = self.media.split_whitespace();
        let mut word = || words.next().unwrap_or_default();
        let (media, port, proto) = (word(), word(), word());
        let offered: Vec<&str> = words.collect();
        let opus: Vec<&str> = self
            .opus
            .iter()
            .filter(|kind| offered.contains(kind))
            .copied()
            .collect();
        let video = if kind == Some(Kind::Video) {
            self.formats()
        } else {
            Vec::new()
        };
        let formats = match kind {
            Some(Kind::Audio) => opus.join(" "),
            Some(Kind::Video) => {
                let types = video.iter().flat_map(|it| [Some(it.payload_type), it.rtx]);
                let types: Vec<String> = types.flatten().map(|it| it.to_string()).collect();
                types.join(" ")
            }
            Some(Kind::Other) if proto.contains("RTP") => "0".to_owned(),
            _ => offered.first().copied().unwrap_or_default().to_owned(),
        };
        // One that lacks a word is refused by `rtc`.
        if let Some(kind) = kind {
            let port = if kind != Kind::Other && port == "0" {
                "9"
            } else {
                port
            };
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "m={media} {port} {proto} {formats}\r\nc=IN IP4 0.0.0.0\r\n"
            );
        }
        for line in &self.lines {
            let name = line.split(':').next().unwrap_or_default();
            let common = COMMON.contains(&name);
            let kept = match kind {
                // Which layer it is, and congestion control, are for video.
                Some(Kind::Audio) if name == "extmap" => line.ends_with(MID_EXTENSION),
                Some(Kind::Audio) => common || AUDIO.contains(&name),
                Some(Kind::Video) if name == "extmap" => {
                    self.direction.sends || line.ends_with(MID_EXTENSION)
                }
                Some(Kind::Video) => common || VIDEO.contains(&name),
                Some(Kind::Data) => common || DATA.contains(&name),
                Some(Kind::Other) | None => COMMON.contains(&name),
            };
            if kept {
                let _ = write!(text, "a={line}\r\n");
            }
        }
        let of_opus = |line: &&&str| {
            let value = line.split_once(':').map_or("", |(_, value)| value);
            opus.contains(&value.split(' ').next().unwrap_or_default())
        };
        for format in &video {
            let kind = format.payload_type;
            let _ = write!(text, "a=rtpmap:{kind} {}/90000\r\n", format.codec.name());
            if !format.parameters.is_empty() {
                let _ = write!(text, "a=fmtp:{kind} {}\r\n", format.parameters);
            }
            for (what, of) in &format.feedback {
                let _ = write!(
                    text,
                    "a=rtcp-fb:{kind} {}\r\n",
                    format!("{what} {of}").trim_end()
                );
            }
            if let Some(rtx) = format.rtx {
                let _ = write!(
                    text,
                    "a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={kind}\r\n"
                );
            }
        }
        if kind == Some(Kind::Audio) {
            // A payload type has a line of each kind; more is repetition.
            for line in self.codecs.iter().filter(of_opus).take(LINES) {
                let _ = write!(text, "a={line}\r\n");
            }
        }
    }
}
