#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod etf;
pub mod frame;
mod gateway;
mod message;
mod snowflake;
mod voice;

pub use gateway::{Gateway, Session, Token};
pub use message::{
    Active, Bridge, Closed, Encryption, Ended, FromBridge, GatewayState, InChannel, Level, Library,
    Played, Stats, Suppressed, ToBridge, User, VoiceState,
};
pub use snowflake::Snowflake;
pub use voice::{Play, Voice, VoiceChannel};

/// The version of the protocol that this crate speaks, said in both hellos.
pub const VERSION: u32 = 3;
