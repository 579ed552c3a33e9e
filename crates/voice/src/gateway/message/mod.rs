//! The voice gateway's messages, version 8
//! ([Discord](https://discord.com/developers/docs/topics/voice-connections),
//! [DAVE](https://daveprotocol.com/#voice-gateway-opcodes)).
//!
//! From the server, JSON is `{"op", "d", "seq"?}` and binary is `u16 seq | u8 op | payload`, big endian; to the server a
//! binary message has no `seq`.

mod outgoing;
pub(crate) mod video;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::media::crypto::SecretKey;
use uro_discord_media::Malformed;
use uro_discord_net::Snowflake;
use video::{SessionUpdate, SinkWants, Stream, Video};

pub(crate) use outgoing::{Outgoing, Protocol, commit_welcome, key_package};

/// What the server sends as JSON.
#[derive(Debug)]
pub(crate) enum Text {
    Ready(Ready),
    SessionDescription(SessionDescription),
    Speaking(Speaking),
    /// The server asks for a heartbeat now.
    Heartbeat,
    HeartbeatAck(HeartbeatAck),
    Hello(Hello),
    Resumed,
    ClientsConnect(ClientsConnect),
    ClientDisconnect(ClientDisconnect),
    PrepareTransition(PrepareTransition),
    ExecuteTransition(Transition),
    PrepareEpoch(PrepareEpoch),
    Video(Video),
    SessionUpdate(SessionUpdate),
    SinkWants(SinkWants),
    /// One that we need not know.
    Other,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub ssrc: u32,
    pub ip: String,
    pub port: u16,
    pub modes: Vec<String>,
    /// The places for our video, if we asked for some.
    #[serde(default)]
    pub streams: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SessionDescription {
    pub mode: String,
    pub secret_key: SecretKey,
    #[serde(default)]
    pub dave_protocol_version: u16,
    /// In which codec our video is wanted.
    #[serde(default)]
    pub video_codec: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Speaking {
    pub ssrc: u32,
    pub user_id: Snowflake,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Hello {
    /// Milliseconds; some servers send fractions.
    pub heartbeat_interval: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HeartbeatAck {
    pub t: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ClientsConnect {
    pub user_ids: Vec<Snowflake>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ClientDisconnect {
    pub user_id: Snowflake,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PrepareTransition {
    pub transition_id: u16,
    pub protocol_version: u16,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Transition {
    pub transition_id: u16,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PrepareEpoch {
    pub epoch: u64,
    pub protocol_version: u16,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    op: u8,
    #[serde(borrow, default)]
    d: Option<&'a RawValue>,
    #[serde(default)]
    seq: Option<i64>,
}

impl Text {
    /// Reads a message, and its number if it has one.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<i64>), Malformed> {
        let envelope: Envelope<'_> =
            serde_json::from_str(text).map_err(|_| Malformed("message: it has no opcode"))?;
        let message = Self::of(envelope.op, envelope.d.map_or("null", RawValue::get))
            .map_err(|_| Malformed(name(envelope.op)))?;
        Ok((message, envelope.seq))
    }

    fn of(op: u8, d: &str) -> serde_json::Result<Self> {
        use serde_json::from_str;
        Ok(match op {
            2 => Self::Ready(from_str(d)?),
            3 => Self::Heartbeat,
            4 => Self::SessionDescription(from_str(d)?),
            5 => Self::Speaking(from_str(d)?),
            6 => Self::HeartbeatAck(from_str(d)?),
            8 => Self::Hello(from_str(d)?),
            9 => Self::Resumed,
            11 => Self::ClientsConnect(from_str(d)?),
            12 => Self::Video(from_str(d)?),
            13 => Self::ClientDisconnect(from_str(d)?),
            14 => Self::SessionUpdate(from_str(d)?),
            15 => Self::SinkWants(from_str(d)?),
            21 => Self::PrepareTransition(from_str(d)?),
            22 => Self::ExecuteTransition(from_str(d)?),
            24 => Self::PrepareEpoch(from_str(d)?),
            _ => Self::Other,
        })
    }
}

fn name(op: u8) -> &'static str {
    match op {
        2 => "Ready (2)",
        4 => "Session Description (4)",
        5 => "Speaking (5)",
        6 => "Heartbeat ACK (6)",
        8 => "Hello (8)",
        11 => "Clients Connect (11)",
        13 => "Client Disconnect (13)",
        12 => "Video (12)",
        14 => "Session Update (14)",
        15 => "Media Sink Wants (15)",
        21 => "DAVE Prepare Transition (21)",
        22 => "DAVE Execute Transition (22)",
        24 => "DAVE Prepare Epoch (24)",
        _ => "message",
    }
}

/// What the server sends in binary: MLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary<'a> {
    /// TLS `ExternalSender`.
    ExternalSender(&'a [u8]),
    /// A vector of `MLSMessage`s to append, or of `ProposalRef`s to revoke.
    Proposals { revoke: bool, proposals: &'a [u8] },
    /// An `MLSMessage`, in force with the transition.
    Commit { transition: u16, commit: &'a [u8] },
    /// A `Welcome`, in force with the transition.
    Welcome { transition: u16, welcome: &'a [u8] },
    /// One that we need not know.
    Other,
}

impl<'a> Binary<'a> {
    /// Reads a message and its number.
    pub(crate) fn parse(message: &'a [u8]) -> Result<(Self, u16), Malformed> {
        let [high, low, op, payload @ ..] = message else {
            return Err(Malformed("binary message: it ends within its header"));
        };
        let binary = match op {
            25 => Self::ExternalSender(payload),
            27 => match payload {
                [kind @ (0 | 1), proposals @ ..] => Self::Proposals {
                    revoke: *kind == 1,
                    proposals,
                },
                _ => return Err(Malformed("MLS Proposals (27)")),
            },
            29 => {
                let (transition, commit) =
                    transition(payload).ok_or(Malformed("MLS Announce Commit Transition (29)"))?;
                Self::Commit { transition, commit }
            }
            30 => {
                let (transition, welcome) =
                    transition(payload).ok_or(Malformed("MLS Welcome (30)"))?;
                Self::Welcome {
                    transition,
                    welcome,
                }
            }
            _ => Self::Other,
        };
        Ok((binary, u16::from_be_bytes([*high, *low])))
    }
}

fn transition(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (transition, message) = payload.split_first_chunk()?;
    Some((u16::from_be_bytes(*transition), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_messages_are_read() {
        let (message, seq) = Text::parse(
            r#"{"op":2,"d":{"ssrc":1,"ip":"127.0.0.1","port":2,"modes":["m"],"experiments":[],"heartbeat_interval":1},"seq":4}"#,
        )
        .unwrap();
        assert!(matches!(message, Text::Ready(ready) if ready.ssrc == 1 && ready.port == 2));
        assert_eq!(seq, Some(4));
        let (message, seq) =
            Text::parse(r#"{"op":11,"d":{"user_ids":["1","18446744073709551615"]}}"#).unwrap();
        assert!(matches!(message, Text::ClientsConnect(c) if c.user_ids[1].get() == u64::MAX));
        assert_eq!(seq, None);
        assert!(matches!(
            Text::parse(r#"{"op":9,"d":null}"#).unwrap().0,
            Text::Resumed
        ));
        assert!(matches!(
            Text::parse(r#"{"op":200,"d":{"x":[]},"seq":5}"#).unwrap(),
            (Text::Other, Some(5))
        ));
        for malformed in [
            "",
            "{}",
            r#"{"op":2,"d":{}}"#,
            r#"{"op":5}"#,
            r#"{"op":300}"#,
        ] {
            assert!(Text::parse(malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        let key = vec![0xab_u8; 32];
        let text = serde_json::json!({"op": 4, "d": {"mode": "m", "secret_key": key, "dave_protocol_version": 1}});
        let (message, _) = Text::parse(&text.to_string()).unwrap();
        assert!(matches!(&message, Text::SessionDescription(d) if d.dave_protocol_version == 1));
        assert!(!format!("{message:?}").contains("171"));
    }

    #[test]
    fn binary_messages_are_read() {
        assert_eq!(
            Binary::parse(&[1, 2, 25, 9]),
            Ok((Binary::ExternalSender(&[9]), 0x0102))
        );
        assert_eq!(
            Binary::parse(&[0, 0, 27, 1, 9]),
            Ok((
                Binary::Proposals {
                    revoke: true,
                    proposals: &[9]
                },
                0
            ))
        );
        assert_eq!(
            Binary::parse(&[0, 0, 29, 3, 4, 9]),
            Ok((
                Binary::Commit {
                    transition: 0x0304,
                    commit: &[9]
                },
                0
            ))
        );
        assert_eq!(
            Binary::parse(&[0, 0, 30, 3, 4]),
            Ok((
                Binary::Welcome {
                    transition: 0x0304,
                    welcome: &[]
                },
                0
            ))
        );
        assert_eq!(Binary::parse(&[0, 0, 99]), Ok((Binary::Other, 0)));
        for malformed in [
            &[][..],
            &[0, 0],
            &[0, 0, 27],
            &[0, 0, 27, 2],
            &[0, 0, 30, 1],
        ] {
            assert!(Binary::parse(malformed).is_err());
        }
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..20_000 {
            let mut bytes = vec![0; random.usize(..40)];
            random.fill(&mut bytes);
            let _ = Binary::parse(&bytes);
            let d = String::from_utf8_lossy(&bytes);
            let _ = Text::parse(&format!("{{\"op\":{},\"d\":{d}}}", random.u8(..32)));
        }
    }
}
