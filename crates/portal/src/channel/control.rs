//! `vsk-control`: JSON, both ways.

use serde::{Deserialize, Serialize};

use crate::room::{Codec, Format};

/// A message of a peer.
pub(crate) const LARGEST: usize = 16 * 1024;

/// Characters of a name.
const NAME: usize = 64;

/// The version of these messages.
const PROTO: u32 = 1;

/// What a peer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromPeer {
    Hello(Hello),
    /// The name of a player whom it forwards.
    Name {
        sender: u32,
        name: String,
    },
    /// Whether it shows pictures on `vsk-video`, and whether it sees those of others there.
    Video {
        shows: bool,
        sees: bool,
    },
    /// Whether the portal is there still.
    Ping,
    Bye,
}

/// What a peer wants, before anything else.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Whether it brings voice.
    pub(crate) speaks: bool,
    pub(crate) voice: Format,
    pub(crate) listens: Listen,
}

/// What a peer wants to hear.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Listen {
    #[default]
    Each,
    Mix,
    Nothing,
}

/// A message that means nothing here, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("a message may have {LARGEST} bytes")]
    TooLarge,
    #[error("this is no message of vsk-control: {0}")]
    Json(#[from] serde_json::Error),
    #[error("proto {0} is not spoken here; speak 1")]
    Proto(u32),
    #[error("voice of {0} Hz is not taken; send 48000")]
    Rate(u32),
    #[error("voice in frames of {0} ms is not taken; send 10 or 20")]
    Frame(u8),
    #[error("voice with {0} channels is not taken; send 1, or 2 with Opus")]
    Channels(u8),
    #[error("a name has 1 to {NAME} characters")]
    Name,
    #[error("sender 0 is the peer itself, whose name is in its token; name those whom it forwards")]
    OwnName,
}

impl ControlError {
    /// A word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Json(_) => "bad_message",
            Self::Proto(_) => "bad_proto",
            Self::Rate(_) | Self::Frame(_) | Self::Channels(_) => "bad_voice",
            Self::Name | Self::OwnName => "bad_name",
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Raw {
    Hello {
        proto: u32,
        role: Role,
        #[serde(default)]
        voice: RawVoice,
        #[serde(default)]
        listens: Listen,
    },
    Name {
        sender: u32,
        name: String,
    },
    Video {
        #[serde(default)]
        shows: bool,
        #[serde(default)]
        sees: bool,
    },
    Ping,
    Bye,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    World,
    Listener,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum RawCodec {
    Opus,
    PcmS16le,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(default)]
struct RawVoice {
    codec: RawCodec,
    frame_ms: u8,
    channels: u8,
    rate: u32,
}

impl Default for RawVoice {
    fn default() -> Self {
        Self {
            codec: RawCodec::Opus,
            frame_ms: 20,
            channels: 1,
            rate: 48_000,
        }
    }
}

impl RawVoice {
    fn format(self) -> Result<Format, ControlError> {
        let (codec, most) = match self.codec {
            RawCodec::Opus => (Codec::Opus, 2),
            RawCodec::PcmS16le => (Codec::Pcm, 1),
        };
        if self.rate != 48_000 {
            return Err(ControlError::Rate(self.rate));
        }
        if !matches!(self.frame_ms, 10 | 20) {
            return Err(ControlError::Frame(self.frame_ms));
        }
        if !(1..=most).contains(&self.channels) {
            return Err(ControlError::Channels(self.channels));
        }
        Ok(Format {
            codec,
            frame_ms: self.frame_ms,
            channels: self.channels,
        })
    }

    fn of(format: Format) -> Self {
        Self {
            codec: match format.codec {
                Codec::Opus => RawCodec::Opus,
                Codec::Pcm => RawCodec::PcmS16le,
            },
            frame_ms: format.frame_ms,
            channels: format.channels,
            rate: 48_000,
        }
    }
}

impl FromPeer {
    /// Reads a message.
    pub(crate) fn parse(message: &str) -> Result<Self, ControlError> {
        if message.len() > LARGEST {
            return Err(ControlError::TooLarge);
        }
        match serde_json::from_str(message)? {
            Raw::Hello { proto, .. } if proto != PROTO => Err(ControlError::Proto(proto)),
            Raw::Hello {
                role,
                voice,
                listens,
                ..
            } => Ok(Self::Hello(Hello {
                speaks: matches!(role, Role::World),
                voice: voice.format()?,
                listens,
            })),
            Raw::Name { sender: 0, .. } => Err(ControlError::OwnName),
            Raw::Name { sender, name } => Ok(Self::Name {
                sender,
                name: self::name(&name).ok_or(ControlError::Name)?,
            }),
            Raw::Video { shows, sees } => Ok(Self::Video { shows, sees }),
            Raw::Ping => Ok(Self::Ping),
            Raw::Bye => Ok(Self::Bye),
        }
    }
}

/// A name as people are shown it: of one line, in the direction in which it is written, and not empty.
pub(crate) fn name(given: &str) -> Option<String> {
    let unseen = |it: char| matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}');
    let shown: String = { given.chars() }
        .filter(|it| !it.is_control() && !unseen(*it))
        .collect();
    let shown = shown.trim();
    let length = shown.chars().take(NAME.saturating_add(1)).count();
    (1..=NAME).contains(&length).then(|| shown.to_owned())
}

/// What the portal says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPeer<'a> {
    Welcome {
        proto: u32,
        portal: &'a str,
        peer: u32,
        voice: RawVoice,
    },
    Roster {
        speakers: &'a [Speaker],
    },
    Speaking {
        id: u32,
        speaking: bool,
    },
    #[serde(rename = "on_air")]
    OnAir {
        peer: Option<u32>,
    },
    Pong,
    Error {
        code: &'a str,
        message: &'a str,
    },
    Bye {
        reason: &'a str,
    },
}

/// One of Discord's speakers, as a peer knows him.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Speaker {
    pub(crate) id: u32,
    /// A snowflake, which JavaScript's numbers cannot hold.
    #[serde(serialize_with = "as_text")]
    pub(crate) user: u64,
    pub(crate) name: String,
}

fn as_text<S: serde::Serializer>(user: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(user)
}

impl ToPeer<'_> {
    fn text(&self) -> String {
        // Numbers and strings always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

pub(crate) fn welcome(portal: &str, peer: u32, voice: Format) -> String {
    ToPeer::Welcome {
        proto: PROTO,
        portal,
        peer,
        voice: RawVoice::of(voice),
    }
    .text()
}

pub(crate) fn roster(speakers: &[Speaker]) -> String {
    ToPeer::Roster { speakers }.text()
}

pub(crate) fn speaking(id: u32, speaking: bool) -> String {
    ToPeer::Speaking { id, speaking }.text()
}

/// Whose camera is on air, by his number as `welcome` has it.
pub(crate) fn on_air(peer: Option<u32>) -> String {
    ToPeer::OnAir { peer }.text()
}

pub(crate) fn pong() -> String {
    ToPeer::Pong.text()
}

pub(crate) fn error(code: &str, message: &str) -> String {
    ToPeer::Error { code, message }.text()
}

pub(crate) fn bye(reason: &str) -> String {
    ToPeer::Bye { reason }.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(voice: &str) -> Result<FromPeer, ControlError> {
        FromPeer::parse(&format!(
            r#"{{"type":"hello","proto":1,"role":"world","shard_id":"7","listens":"mix","voice":{voice},"video":{{}}}}"#
        ))
    }

    #[test]
    fn a_hello_says_what_a_peer_wants() {
        let voice = r#"{"codec":"pcm_s16le","frame_ms":10,"channels":1,"rate":48000}"#;
        let FromPeer::Hello(said) = hello(voice).unwrap() else {
            panic!("no hello");
        };
        assert!(said.speaks);
        assert_eq!(said.listens, Listen::Mix);
        let format = Format {
            codec: Codec::Pcm,
            frame_ms: 10,
            channels: 1,
        };
        assert_eq!(said.voice, format);
        assert_eq!(
            welcome("lobby", 3, format),
            r#"{"type":"welcome","proto":1,"portal":"lobby","peer":3,"voice":{"codec":"pcm_s16le","frame_ms":10,"channels":1,"rate":48000}}"#
        );
    }

    #[test]
    fn what_a_peer_says_of_pictures() {
        let said = |text: &str| FromPeer::parse(text).unwrap();
        let (shows, sees) = (true, false);
        assert_eq!(
            said(r#"{"type":"video","shows":true}"#),
            FromPeer::Video { shows, sees }
        );
        let (shows, sees) = (false, true);
        assert_eq!(
            said(r#"{"type":"video","shows":false,"sees":true,"codec":"jpeg"}"#),
            FromPeer::Video { shows, sees }
        );
    }

    #[test]
    fn what_cannot_be_had_has_a_word() {
        let code = |message: Result<FromPeer, ControlError>| message.unwrap_err().code();
        assert_eq!(code(hello(r#"{"rate":44100}"#)), "bad_voice");
        assert_eq!(code(hello(r#"{"frame_ms":40}"#)), "bad_voice");
        assert_eq!(
            code(hello(r#"{"codec":"pcm_s16le","channels":2}"#)),
            "bad_voice"
        );
        assert_eq!(code(hello("3")), "bad_message");
        let other = r#"{"type":"hello","proto":2,"role":"world"}"#;
        assert_eq!(code(FromPeer::parse(other)), "bad_proto");
        let nameless = r#"{"type":"name","sender":1,"name":" \n "}"#;
        assert_eq!(code(FromPeer::parse(nameless)), "bad_name");
        let unseen = r#"{"type":"name","sender":1,"name":"\u202e\u200b"}"#;
        assert_eq!(code(FromPeer::parse(unseen)), "bad_name");
        let own = r#"{"type":"name","sender":0,"name":"Moderator"}"#;
        assert_eq!(code(FromPeer::parse(own)), "bad_name");
        assert_eq!(code(FromPeer::parse(&" ".repeat(LARGEST + 1))), "too_large");
        assert_eq!(code(FromPeer::parse(r#"{"type":"dance"}"#)), "bad_message");
    }

    #[test]
    fn messages_of_the_portal() {
        let speaker = Speaker {
            id: 0x7f00_0000,
            user: 1_234_567_890_123_456_789,
            name: "\"Ann\"".into(),
        };
        assert_eq!(
            roster(&[speaker]),
            r#"{"type":"roster","speakers":[{"id":2130706432,"user":"1234567890123456789","name":"\"Ann\""}]}"#
        );
        assert_eq!(
            speaking(5, true),
            r#"{"type":"speaking","id":5,"speaking":true}"#
        );
        assert_eq!(pong(), r#"{"type":"pong"}"#);
        assert_eq!(on_air(Some(3)), r#"{"type":"on_air","peer":3}"#);
        assert_eq!(on_air(None), r#"{"type":"on_air","peer":null}"#);
        assert_eq!(bye("closed"), r#"{"type":"bye","reason":"closed"}"#);
        assert_eq!(
            error("a", "b"),
            r#"{"type":"error","code":"a","message":"b"}"#
        );
    }
}
