//! Joins a portal as a world's peer or as a listener: what `uro-portal-peer` is made of, and what tests and benches drive.
//!
//! [`Peer::join`] makes a WebRTC connection to a portal's endpoint by one of four ways ([`Way`]). Then [`Peer::speak`] sends frames of
//! voice, [`Peer::next`] says what comes, and [`Peer::leave`] ends it with the server's knowledge.
#![forbid(unsafe_code)]

mod address;
pub mod codec;
mod connection;
pub mod control;
mod gaps;
mod http;
mod peer;
pub mod recording;
pub mod signal;
pub mod source;
pub mod voice;

pub use address::{Address, AddressError, Kind, Link};
pub use gaps::{Gaps, percentile};
pub use http::HttpError;
pub use peer::{Error, Happened, Join, Packet, Peer, Way};
