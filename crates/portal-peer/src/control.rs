//! What the data channel `vsk-control` carries: JSON texts.

use serde::{Deserialize, Serialize};

/// How voice is encoded on the data channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Codec {
    /// Opus.
    #[serde(rename = "opus")]
    Opus,
    /// 16 bits a sample, little endian.
    #[serde(rename = "pcm_s16le")]
    Pcm,
}

/// The format of voice, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// Opus or samples.
    pub codec: Codec,
    /// 10 or 20.
    pub frame_ms: u8,
    /// 1 or 2.
    pub channels: u8,
    /// Samples a second: 48,000.
    pub rate: u32,
}

impl Voice {
    /// One channel of 48,000 samples a second.
    #[must_use]
    pub const fn new(codec: Codec, frame_ms: u8) -> Self {
        Self {
            codec,
            frame_ms,
            channels: 1,
            rate: 48_000,
        }
    }

    /// Of one channel, in a frame.
    #[must_use]
    pub const fn samples(&self) -> u32 {
        self.rate / 1_000 * self.frame_ms as u32
    }
}

/// What a peer wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listens {
    /// Each of Discord's speakers by himself.
    Each,
    /// All in one stream.
    Mix,
    /// Nobody.
    Nothing,
}

/// Who a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It speaks for a world.
    World,
    /// It only listens.
    Listener,
}

/// What a peer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FromPeer {
    /// First of all.
    Hello {
        /// Of these messages: 1.
        proto: u32,
        /// Who it is.
        role: Role,
        /// How it speaks, and wants to be spoken to.
        voice: Voice,
        /// Whom it wants to hear.
        listens: Listens,
    },
    /// The name of a player whom it forwards.
    Name {
        /// Their number in voice packets.
        sender: u32,
        /// What they are called.
        name: String,
    },
    /// It leaves.
    Bye,
}

/// Somebody in Discord who can be heard.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Speaker {
    /// Their number in voice packets.
    pub id: u32,
    /// Their Discord id.
    pub user: String,
    /// What they are called.
    pub name: String,
}

/// What a portal says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum FromPortal {
    /// The answer to hello.
    Welcome {
        /// The portal.
        portal: String,
        /// This peer's number.
        peer: u32,
        /// As agreed.
        voice: Voice,
    },
    /// Everybody who can be heard, at each change.
    Roster {
        /// All of them.
        speakers: Vec<Speaker>,
    },
    /// Somebody begins or ends to speak.
    Speaking {
        /// Their number.
        id: u32,
        /// Whether they speak now.
        speaking: bool,
    },
    /// Something that this peer did was wrong.
    Error {
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
    /// The portal ends the connection.
    Bye {
        /// Why.
        reason: String,
    },
    /// What this program does not know yet.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hello_is_what_a_portal_reads() {
        let hello = FromPeer::Hello {
            proto: 1,
            role: Role::World,
            voice: Voice::new(Codec::Pcm, 10),
            listens: Listens::Each,
        };
        assert_eq!(
            serde_json::to_value(hello).unwrap(),
            json!({"type": "hello", "proto": 1, "role": "world", "listens": "each",
                   "voice": {"codec": "pcm_s16le", "frame_ms": 10, "channels": 1, "rate": 48000}})
        );
    }

    #[test]
    fn what_a_portal_says_is_read() {
        let read = |text: &str| serde_json::from_str::<FromPortal>(text).unwrap();
        assert_eq!(
            read(
                r#"{"type":"welcome","proto":1,"portal":"lobby","peer":3,
                     "voice":{"codec":"opus","frame_ms":20,"channels":1,"rate":48000}}"#
            ),
            FromPortal::Welcome {
                portal: "lobby".into(),
                peer: 3,
                voice: Voice::new(Codec::Opus, 20)
            }
        );
        assert_eq!(
            read(
                r#"{"type":"roster","speakers":[{"id":2130706432,"user":"80351110224678912","name":"Nelly"}]}"#
            ),
            FromPortal::Roster {
                speakers: vec![Speaker {
                    id: 0x7f00_0000,
                    user: "80351110224678912".into(),
                    name: "Nelly".into()
                }]
            }
        );
        assert_eq!(
            read(r#"{"type":"weather","sunny":true}"#),
            FromPortal::Unknown
        );
    }
}
