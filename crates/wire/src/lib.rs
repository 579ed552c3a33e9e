#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod etf;
pub mod frame;
mod gateway;
mod http;
mod message;
mod voice;

pub use gateway::{Gateway, Session, Token};
pub use http::{Http, Tls};
pub use message::{
    Active, Answer, Bridge, Closed, Encryption, Ended, FromBridge, GatewayState, HttpState,
    HttpWaiting, InChannel, Level, Library, Listening, Panicked, Played, RequestHead, Stats,
    Suppressed, ToBridge, User, Verdict, VoiceState,
};
pub use uro_discord_net::Snowflake;
pub use voice::{Play, Voice, VoiceChannel};

/// The version of the protocol that this crate speaks, said in both hellos.
pub const VERSION: u32 = 3;
