//! The messages. Each is a tuple whose first element names it.

mod from_bridge;
mod gateway_state;
mod http_state;
mod level;
mod media_state;
mod panicked;
mod portal_state;
mod request;
mod to_bridge;
mod voice_state;
mod waiting;

pub use from_bridge::{Bridge, FromBridge};
pub use gateway_state::{Active, Closed, GatewayState};
pub use http_state::{HttpState, Listening};
pub use level::Level;
pub use media_state::{MediaListening, MediaState};
pub use panicked::Panicked;
pub use portal_state::{
    ParticipantStats, PeerJoined, PeerLeft, PortalSpeaker, PortalState, PortalStats, Side,
};
pub use request::{Answer, RequestHead, Verdict};
pub use to_bridge::{Library, ToBridge};
pub use voice_state::{Encryption, Ended, InChannel, Played, Stats, Suppressed, User, VoiceState};
pub use waiting::Waiting;
