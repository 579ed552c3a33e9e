//! What a page and a portal say to each other by a WebSocket: JSON with an `op`, and frames behind twelve bytes.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use uro_discord_media::VideoCodec;

/// Bytes of a page's message: the first one has a token.
pub(crate) const LARGEST: usize = 8 * 1024;

/// Bytes in front of a frame.
pub(crate) const HEADER: usize = 12;

/// What a frame's first byte says.
pub(crate) const VIDEO: u8 = 1;
pub(crate) const VOICE: u8 = 2;
pub(crate) const WHOLE: u8 = 3;

/// What a page calls whole pictures, among codecs.
pub(crate) const JPEG: &str = "JPEG";

/// Its second byte: it can be decoded without others; something before it is missing.
pub(crate) const KEY: u8 = 1;
pub(crate) const GAP: u8 = 2;

/// The first message of a page. Shown to nobody: there is a token in it.
#[derive(Deserialize)]
pub(crate) struct Hello {
    op: Begin,
    pub(crate) token: String,
    /// What it can decode, the best first.
    #[serde(default)]
    video: Vec<String>,
    /// It wants to hear.
    #[serde(default)]
    pub(crate) audio: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Begin {
    Hello,
}

impl Hello {
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The codecs that it takes. Names that are not known are of other pages than ours.
    pub(crate) fn codecs(&self) -> Vec<VideoCodec> {
        let Begin::Hello = self.op;
        let wanted = |codec: &VideoCodec| self.video.iter().any(|it| it == codec.name());
        VideoCodec::ALL.into_iter().filter(wanted).collect()
    }

    /// Whether it shows whole pictures.
    pub(crate) fn looks(&self) -> bool {
        self.video.iter().any(|it| it == JPEG)
    }
}

/// What a page says after that.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum FromPage {
    /// It shows what comes, again.
    Start,
    /// It is hidden.
    Pause,
    /// It needs a keyframe.
    Key,
    /// So many frames have come since it connected.
    Ack { count: u64 },
    /// Whether the portal is there still.
    Ping { t: f64 },
}

impl FromPage {
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// A message for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToPage {
    Text(String),
    Frame(Bytes),
}

impl ToPage {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Frame(bytes) => bytes.len(),
        }
    }
}

/// What the portal says.
#[derive(Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Said<'a> {
    /// The page is in.
    Hello { name: &'a str, audio: bool },
    /// How the pictures are encoded that come next, as WebCodecs calls it.
    Video { codec: &'a str },
    /// Of what kind the picture is that is on air, as a hello names what a page takes; none: nobody shows one.
    Air { picture: Option<&'a str> },
    /// The answer to a ping, and what time it is for frames.
    Pong { t: f64, pts: i64 },
    /// Somebody began to speak, or ended.
    Speaking { id: &'a str, speaking: bool },
    /// Everybody who is there.
    People(&'a super::people::People),
    /// Why the page is not let in, or not understood.
    Error { error: &'a str, message: &'a str },
    /// Why it ends.
    Bye { reason: &'a str },
}

impl Said<'_> {
    pub(crate) fn text(&self) -> String {
        // Strings and numbers always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A frame as it goes to a page.
pub(super) fn frame(kind: u8, flags: u8, sequence: u16, pts: i64, payload: &[u8]) -> ToPage {
    let mut bytes = BytesMut::with_capacity(HEADER.saturating_add(payload.len()));
    bytes.put_u8(kind);
    bytes.put_u8(flags);
    bytes.put_u16(sequence);
    bytes.put_i64(pts);
    bytes.put_slice(payload);
    ToPage::Frame(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pages_say() {
        let parse = |text| FromPage::parse(text).ok();
        assert_eq!(parse(r#"{"op":"start"}"#), Some(FromPage::Start));
        assert_eq!(parse(r#"{"op":"pause","why":1}"#), Some(FromPage::Pause));
        assert_eq!(parse(r#"{"op":"key"}"#), Some(FromPage::Key));
        let ack = FromPage::Ack { count: 7 };
        assert_eq!(parse(r#"{"op":"ack","count":7}"#), Some(ack));
        let ping = FromPage::Ping { t: 1.5 };
        assert_eq!(parse(r#"{"op":"ping","t":1.5}"#), Some(ping));
        for bad in [
            "",
            "{}",
            r#"{"op":"hello","token":"x"}"#,
            r#"{"op":"ack","count":-1}"#,
            r#"{"op":"ping","t":1e999}"#,
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_first_message_has_a_token_and_what_the_page_takes() {
        let hello = r#"{"op":"hello","token":"a.b.c","video":["H264","AV1"],"audio":true}"#;
        let hello = Hello::parse(hello).unwrap();
        assert_eq!((&*hello.token, hello.audio), ("a.b.c", true));
        assert_eq!(hello.codecs(), [VideoCodec::H264]);
        assert!(!hello.looks());
        let looks = r#"{"op":"hello","token":"t","video":["JPEG"]}"#;
        let looks = Hello::parse(looks).unwrap();
        assert!(looks.looks() && looks.codecs().is_empty());
        let least = Hello::parse(r#"{"op":"hello","token":"t"}"#).unwrap();
        assert!(!least.audio && least.codecs().is_empty());
        for bad in [r#"{"op":"start","token":"t"}"#, r#"{"op":"hello"}"#, "7"] {
            assert!(Hello::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_frame_is_behind_twelve_bytes() {
        let made = frame(VIDEO, KEY | GAP, 0x1234, -2, b"xyz");
        let bytes = [1, 3, 0x12, 0x34, 255, 255, 255, 255, 255, 255, 255, 254];
        assert_eq!(made, ToPage::Frame([&bytes[..], b"xyz"].concat().into()));
        assert_eq!(made.len(), HEADER + 3);
    }

    #[test]
    fn what_the_portal_says() {
        let error = Said::Error {
            error: "no_portal",
            message: "it is \"not\" there",
        };
        let text = r#"{"op":"error","error":"no_portal","message":"it is \"not\" there"}"#;
        assert_eq!(error.text(), text);
        let air = |picture| Said::Air { picture }.text();
        assert_eq!(air(Some("VP8")), r#"{"op":"air","picture":"VP8"}"#);
        assert_eq!(air(None), r#"{"op":"air","picture":null}"#);
        let pong = Said::Pong { t: 1.5, pts: -3 }.text();
        assert_eq!(pong, r#"{"op":"pong","t":1.5,"pts":-3}"#);
    }
}
