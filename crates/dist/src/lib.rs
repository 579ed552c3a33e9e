#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod address;
mod connection;
mod dial;
mod frames;
mod handshake;
mod inbox;
mod name;
mod node;
mod seat;
mod session;
#[cfg(test)]
mod tests;
mod tls;

pub use address::{Address, BadAddress};
pub use connection::Ended;
pub use dial::{Connection, DialError, Dialer};
pub use frames::{FrameError, MAX_FRAME};
pub use handshake::HandshakeError;
pub use inbox::Inbox;
pub use name::{BadName, NodeName, Pattern};
pub use node::{BadFrame, CHUNK, Heard, Node, Wish};
pub use seat::{Place, Seat};
pub use session::Session;
pub use tls::{Tls, TlsError};
