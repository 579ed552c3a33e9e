#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod etf;
pub mod frame;
mod gateway;
mod http;
mod media;
mod message;
mod portals;
mod secret;
mod voice;

pub use gateway::{Gateway, Session};
pub use http::{Http, Tls};
pub use media::{Media, MediaLimits};
pub use message::{
    Active, Answer, Asked, Bridge, CameraStats, ClipInfo, Closed, DiscordVideoStats, Encryption,
    Ended, FromBridge, GatewayState, HttpState, InChannel, Level, Library, Listening,
    MediaListening, MediaState, NoClip, OwnVoiceState, Panicked, ParticipantStats, PeerJoined,
    PeerLeft, Played, PortalOnAir, PortalSpeaker, PortalState, PortalStats, RequestHead, Serving,
    Side, Stats, Suppressed, ToBridge, User, Verdict, ViewerStats, VoiceServer, VoiceState,
    VoiceUpdate, Waiting,
};
pub use portals::{Portal, PortalParticipant, PortalSetting, Portals};
pub use secret::Secret;
pub use uro_discord_net::Snowflake;
pub use voice::{DesiredVoiceState, Play, Voice, VoiceChannel, VoiceStates};

/// The version of the protocol that this crate speaks, said in both hellos.
pub const VERSION: u32 = 5;

/// Whether a library of this version and this crate understand each other: they may be one apart.
#[must_use]
pub const fn understood(version: u32) -> bool {
    version.abs_diff(VERSION) <= 1
}
