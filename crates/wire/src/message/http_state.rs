//! What Elixir hears about the HTTP listener.

use super::Waiting;
use crate::etf::{Error, Reader, Writer};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the listener has become.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HttpState {
    /// Connections are taken.
    Listening(Listening),
    /// It could not begin, and tries again.
    Waiting(Waiting),
    /// None is wanted.
    Closed,
}

/// Where it listens.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Listening {
    /// The address.
    pub ip: IpAddr,
    /// The port that was wanted, or a free one.
    pub port: u16,
    /// Whether it speaks HTTPS.
    pub tls: bool,
}

#[derive(Deserialize, Serialize)]
struct Nothing {}

impl HttpState {
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
