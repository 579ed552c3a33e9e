#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod audio;
mod channel;
mod clip;
mod codec;
mod endpoint;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod peer;
mod rate;
mod room;
mod server;
pub mod token;
mod tv;
mod video;

pub use clip::{Clip, NoClip};
pub use endpoint::{ClientAddress, Held};
pub use room::{
    Codec, DiscordMember, Event, Format, Health, JoinError, Listens, MAX_GAIN, MAX_PEERS,
    MAX_SENDERS, MAX_SETTINGS, MAX_SPEAKERS, MAX_STREAMS, MIX, Member, Options, Output, Packet,
    Participant, Path, PeerId, Room, Sequence, Setting, Side, Source, Status,
};
pub use server::{
    BindError, Counters, Ended, Endpoint, Happened, Kind, Left, Limits, MediaLoop, OpenError,
    Portal, PortalEvent, Portals,
};
pub use uro_discord_media::VideoCodec;
pub use video::{CameraHealth, Picture, ViewerHealth};
