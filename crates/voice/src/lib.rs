#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::pedantic, clippy::indexing_slicing, unreachable_pub)]
#![allow(
    clippy::duration_suboptimal_units,
    reason = "seconds are what is counted in"
)]
#![cfg_attr(
    test,
    allow(
        clippy::pedantic,
        clippy::indexing_slicing,
        reason = "a test that panics has failed"
    )
)]

mod config;
mod dave;
mod error;
mod event;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod handshake;
mod media;
mod pacer;
mod receiver;
mod saturating;
mod sender;
mod session;
mod status;
mod video;

pub use config::{Config, JoinInfo, Scheme, Tls};
pub use error::{Cause, ConfigError, End, Next, SendError, VideoError};
pub use event::Event;
pub use handshake::{Handshake, NotInChannel, Step};
pub use media::crypto::Mode;
pub use receiver::Received;
pub use secrecy::SecretString;
pub use session::{Connection, Events, Frames, Session, VideoFrames};
pub use status::{
    DaveStatus, Phase, ReceiveStats, SendStats, Status, VideoReceiveStats, VideoSendStats,
    VideoStatus,
};
pub use uro_discord_media::{Malformed, VideoCodec};
pub use video::{ReceivedVideo, VideoConfig, VideoFrame};
