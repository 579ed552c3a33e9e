//! A Discord voice session: it joins a voice or stage channel, sends and receives encoded audio, and stays.
//!
//! [`Session::join`] takes what the main gateway gave ([`Handshake`] puts it together) and runs the rest as one task: the
//! voice gateway (version 8, with buffered resume), IP discovery, RTP in both of Discord's `rtpsize` modes, and DAVE,
//! Discord's end-to-end encryption. Frames go in and come out as Opus packets; nothing is decoded or encoded here.
//!
//! ```no_run
//! # async fn example(info: uro_discord_voice::JoinInfo) -> Result<(), Box<dyn std::error::Error>> {
//! use uro_discord_voice::{Config, Event, Session};
//!
//! let (session, mut events, mut frames) = Session::join(info, Config::new()?)?;
//! loop {
//!     tokio::select! {
//!         event = events.next() => match event {
//!             Some(Event::Ended(end)) => {
//!                 println!("over: {end}; what to do: {:?}", end.next());
//!                 return Ok(());
//!             }
//!             Some(event) => println!("{event:?}"),
//!             None => return Ok(()),
//!         },
//!         // An echo: what somebody says comes back.
//!         Some(received) = frames.next() => session.try_send_opus(received.frame)?,
//!     }
//! }
//! # }
//! ```
//!
//! # What one can rely on
//!
//! - **No key, no frame.** Where the channel is end-to-end encrypted, what cannot be encrypted is not sent. Only stages, and
//!   channels in which Discord says so, go without ([`DaveStatus::version`] is 0 then).
//! - A broken connection to the voice gateway is resumed while audio flows on. A voice server that goes away, a region's change
//!   and a move to another channel need the main gateway: [`Session::update_server`].
//! - Whatever ends a session is an [`End`], which says what to do next.
//! - Every queue has a bound. A frame that is not taken in time is dropped and counted ([`Status`]).
//! - No token and no key is logged or shown by `Debug`.
//!
//! Receiving audio is not documented by Discord for bots, though every library does it.
#![forbid(unsafe_code)]

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
mod sender;
mod session;
mod status;

pub use config::{Config, JoinInfo, Scheme, Tls};
pub use error::{ConfigError, End, Next, SendError};
pub use event::Event;
pub use handshake::{Handshake, NotInChannel, Step};
pub use media::crypto::Mode;
pub use receiver::Received;
pub use secrecy::SecretString;
pub use session::{Events, Frames, Session};
pub use status::{DaveStatus, Phase, ReceiveStats, SendStats, Status};
