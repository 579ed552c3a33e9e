//! What Elixir hears about what the bridge serves: HTTP, and the media of portals.

use super::state::{self, Nothing};
use crate::etf::{Error, Reader, Writer};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// What something that listens has become.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Serving<Place> {
    /// Whoever connects is taken.
    Listening(Place),
    /// It could not begin, and tries again.
    Waiting(Waiting),
    /// None is wanted.
    Closed,
}

/// What the HTTP listener has become.
pub type HttpState = Serving<Listening>;

/// What the endpoint of portals' media has become.
pub type MediaState = Serving<MediaListening>;

/// Where HTTP is served.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Listening {
    /// The address.
    pub ip: IpAddr,
    /// The port that was wanted, or a free one.
    pub port: u16,
    /// Whether it speaks HTTPS.
    pub tls: bool,
}

/// Where peers' media is served.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MediaListening {
    /// Of its UDP sockets, with the ports that they have.
    pub addresses: Vec<SocketAddr>,
}

/// Why something is not served.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Waiting {
    /// In words.
    pub reason: String,
    /// When it is tried again.
    pub retry_ms: u64,
}

impl<Place: for<'de> Deserialize<'de> + Serialize> Serving<Place> {
    pub(super) fn decode(term: &mut Reader<'_>) -> Result<Self, Error> {
        match term.atom()? {
            "listening" => Ok(Self::Listening(term.value()?)),
            "waiting" => Ok(Self::Waiting(term.value()?)),
            "closed" => term.value::<Nothing>().map(|_| Self::Closed),
            other => Err(Error::Atom(other.into())),
        }
    }

    pub(super) fn encode(&self, term: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Listening(info) => state::write(term, "listening", info),
            Self::Waiting(info) => state::write(term, "waiting", info),
            Self::Closed => state::write(term, "closed", &Nothing {}),
        }
    }
}
