//! The messages. Each is a tuple whose first element names it.

mod from_bridge;
mod gateway_state;
mod http_state;
mod level;
mod panicked;
mod request;
mod to_bridge;
mod voice_state;

pub use from_bridge::{Bridge, FromBridge};
pub use gateway_state::{Active, Closed, GatewayState};
pub use http_state::{HttpState, HttpWaiting, Listening};
pub use level::Level;
pub use panicked::Panicked;
pub use request::{Answer, RequestHead, Verdict};
pub use to_bridge::{Library, ToBridge};
pub use voice_state::{Encryption, Ended, InChannel, Played, Stats, Suppressed, User, VoiceState};
