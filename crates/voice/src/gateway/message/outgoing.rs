//! What we send to the voice gateway.

use serde::Serialize;

use super::video::{Codec, OwnVideo, StreamWish, Wants};

/// What we send as JSON.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Outgoing<'a> {
    Identify {
        server_id: String,
        user_id: String,
        session_id: &'a str,
        token: &'a str,
        max_dave_protocol_version: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        channel_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        video: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        streams: Option<[StreamWish; 1]>,
    },
    SelectProtocol {
        protocol: &'a str,
        data: Protocol<'a>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        codecs: Vec<Codec>,
    },
    Heartbeat {
        t: u64,
        seq_ack: i64,
    },
    Speaking {
        speaking: u8,
        delay: u32,
        ssrc: u32,
    },
    Resume {
        server_id: String,
        session_id: &'a str,
        token: &'a str,
        seq_ack: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        channel_id: Option<String>,
    },
    TransitionReady {
        transition_id: u16,
    },
    InvalidCommitWelcome {
        transition_id: u16,
    },
    Video(OwnVideo),
    SinkWants(Wants),
}

#[derive(Debug, Serialize)]
pub(crate) struct Protocol<'a> {
    pub address: String,
    pub port: u16,
    pub mode: &'a str,
}

impl Outgoing<'_> {
    pub(crate) fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Frame<'a> {
            op: u8,
            d: &'a Outgoing<'a>,
        }
        let op = match self {
            Self::Identify { .. } => 0,
            Self::SelectProtocol { .. } => 1,
            Self::Heartbeat { .. } => 3,
            Self::Speaking { .. } => 5,
            Self::Resume { .. } => 7,
            Self::Video(_) => 12,
            Self::SinkWants(_) => 15,
            Self::TransitionReady { .. } => 23,
            Self::InvalidCommitWelcome { .. } => 31,
        };
        match serde_json::to_string(&Frame { op, d: self }) {
            Ok(json) => json,
            Err(error) => unreachable!("strings and numbers are JSON: {error}"),
        }
    }
}

/// MLS Key Package (26): a bare `KeyPackage`. The DAVE whitepaper says `MLSMessage`, but libdave sends it bare, and that is
/// what Discord takes.
pub(crate) fn key_package(package: &[u8]) -> Vec<u8> {
    [&[26], package].concat()
}

/// MLS Commit Welcome (28).
pub(crate) fn commit_welcome(commit: &[u8], welcome: Option<&[u8]>) -> Vec<u8> {
    [&[28], commit, welcome.unwrap_or_default()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_written() {
        let identify = Outgoing::Identify {
            server_id: "1".into(),
            user_id: "2".into(),
            session_id: "s",
            token: "t",
            max_dave_protocol_version: 1,
            channel_id: None,
            video: None,
            streams: None,
        };
        assert_eq!(
            identify.to_json(),
            r#"{"op":0,"d":{"server_id":"1","user_id":"2","session_id":"s","token":"t","max_dave_protocol_version":1}}"#
        );
        assert_eq!(
            Outgoing::Heartbeat { t: 5, seq_ack: -1 }.to_json(),
            r#"{"op":3,"d":{"t":5,"seq_ack":-1}}"#
        );
        assert_eq!(commit_welcome(&[1, 2], Some(&[3])), [28, 1, 2, 3]);
        assert_eq!(key_package(&[1]), [26, 1]);
    }
}
