//! The bridge's protocol.

use crate::Target;
use uro_discord_wire::{FromBridge, ToBridge, frame};

pub(crate) const TARGETS: &[(&str, Target)] = &[("wire-messages", messages)];

/// Any bytes, as a stream of frames and as one message of either direction. What decodes must encode, and decode to itself.
fn messages(bytes: &[u8]) {
    if let Ok(Some(content)) = frame::first(bytes) {
        let _ = ToBridge::decode(content);
    }
    if let Ok(message) = ToBridge::decode(bytes) {
        let mut again = Vec::new();
        message
            .encode(&mut again)
            .expect("what was read can be written");
        assert_eq!(ToBridge::decode(&again), Ok(message));
    }
    if let Ok(message) = FromBridge::decode(bytes) {
        let mut again = Vec::new();
        if message.encode(&mut again).is_ok() {
            FromBridge::decode(&again).expect("what was written can be read");
        }
    }
}
