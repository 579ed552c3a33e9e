//! What Elixir hears about the endpoint of portals' media.

use super::Waiting;
use crate::etf::{Error, Reader, Writer};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the endpoint has become.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MediaState {
    /// Peers are taken.
    Listening(MediaListening),
    /// It could not begin, and tries again.
    Waiting(Waiting),
    /// None is wanted.
    Closed,
}

/// Where it listens.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MediaListening {
    /// Of its UDP sockets, with the ports that they have.
    pub addresses: Vec<SocketAddr>,
}

#[derive(Deserialize, Serialize)]
struct Nothing {}

impl MediaState {
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
            Self::Listening(info) => {
                term.atom("listening")?;
                term.value(info)
            }
            Self::Waiting(info) => {
                term.atom("waiting")?;
                term.value(info)
            }
            Self::Closed => {
                term.atom("closed")?;
                term.value(&Nothing {})
            }
        }
    }
}
