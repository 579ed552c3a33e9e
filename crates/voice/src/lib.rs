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
//! # Video
//!
//! It is off. Discord does not let bots send video: its main gateway has no `self_video` for them, its staff said so in
//! discord-api-docs #1146, #1305 and #1729, and its clients do not show what a bot sends anyway. What users say of the protocol
//! is built here, for the day Discord allows it and for private servers: [`Config::video`] switches it on, then
//! [`Session::send_video`] takes whole frames of H.264 or VP8, and [`Session::video_frames`] gives others'. Lost packets are asked
//! for again (NACK, RTX) for 400 ms; then the frame is told to be lost, and a keyframe asked for.
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
mod video;

pub use config::{Config, JoinInfo, Scheme, Tls};
pub use error::{ConfigError, End, Next, SendError, VideoError};
pub use event::Event;
pub use handshake::{Handshake, NotInChannel, Step};
pub use media::Malformed;
pub use media::crypto::Mode;
pub use receiver::Received;
pub use secrecy::SecretString;
pub use session::{Events, Frames, Session, VideoFrames};
pub use status::{
    DaveStatus, Phase, ReceiveStats, SendStats, Status, VideoReceiveStats, VideoSendStats,
    VideoStatus,
};
pub use video::{ReceivedVideo, VideoCodec, VideoConfig, VideoFrame};
