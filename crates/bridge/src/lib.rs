//! The bridge beside the BEAM: it holds Discord's connections and is told by Elixir what is wanted, in the words of
//! `docs/bridge-protocol.md`. A [`Transport`] carries these; the program `uro-discord-bridge` runs one over its own pipes.
#![forbid(unsafe_code)]

mod bridge;
mod desired;
mod events;
mod fault;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
#[cfg(test)]
mod hearing;
mod http;
mod ledger;
pub mod log;
mod media;
mod options;
mod panics;
mod portal;
mod presence;
pub mod remote;
mod sender;
pub mod stdio;
mod transport;
mod voice;

#[doc(hidden)]
pub use bridge::Core;
pub use bridge::{run, run_in_window};
pub use fault::Fault;
pub use media::Media;
pub use options::{BadOptions, Options, Remote};
pub use sender::FrameSender;
pub use transport::Transport;
