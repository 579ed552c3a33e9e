//! The bridge protocol: what Elixir and the bridge process say to each other, as Rust types, to and from Erlang's
//! external term format. `docs/bridge-protocol.md` is the contract; this crate and `UroDiscord.Bridge.Protocol` are its
//! two sides, and the files in `test/fixtures/wire/` keep them together.
//!
//! No I/O happens here: bytes in, messages out, and back.
//!
//! ```
//! use uro_discord_wire::{ToBridge, frame};
//!
//! let mut bytes = Vec::new();
//! frame::append(&mut bytes, |out| ToBridge::Credit(64).encode(out))?;
//!
//! let frame = frame::first(&bytes)?.unwrap();
//! assert_eq!(ToBridge::decode(frame)?, ToBridge::Credit(64));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
