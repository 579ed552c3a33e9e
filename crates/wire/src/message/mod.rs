//! The messages. Each is a tuple whose first element names it.

mod from_bridge;
mod gateway_state;
mod level;
mod panicked;
mod portal_state;
mod request;
mod serving;
mod state;
mod to_bridge;
mod voice_state;
mod voice_update;

pub use from_bridge::{Bridge, ClipInfo, FromBridge, NoClip};
pub use gateway_state::{Active, Closed, GatewayState};
pub use level::Level;
pub use panicked::Panicked;
pub use portal_state::{
    CameraStats, DiscordVideoStats, ParticipantStats, PeerJoined, PeerLeft, PortalOnAir,
    PortalSpeaker, PortalState, PortalStats, Side, ViewerStats,
};
pub use request::{Answer, RequestHead, Verdict};
pub use serving::{HttpState, Listening, MediaListening, MediaState, Serving, Waiting};
pub use to_bridge::{Library, ToBridge};
pub use voice_state::{Encryption, Ended, InChannel, Played, Stats, Suppressed, User, VoiceState};
pub use voice_update::{Asked, OwnVoiceState, VoiceServer, VoiceUpdate};
