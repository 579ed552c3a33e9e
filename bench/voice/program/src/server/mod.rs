//! A voice server that measures: as much of one as sessions need, for thousands of them.

pub mod calls;
pub mod media;
mod window;

use serde_json::{Value, json};
use tokio_websockets::Message;

/// The key of every session's packets: what is measured does not depend on its being a secret, and the server can relay
/// packets as they are.
pub const KEY: [u8; 32] = [7; 32];

/// A JSON message.
fn text(op: u8, data: Value) -> Message {
    Message::text(json!({"op": op, "d": data}).to_string())
}
