//! What a panic in the bridge has cost.

use crate::Snowflake;
use crate::etf::{Error, Reader, Writer};

/// What a panic has ended. It begins anew, but for a connection of HTTP, which is the client's to open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Panicked {
    /// The voice session of this guild.
    Room(Snowflake),
    /// The gateway connection of this shard.
    Shard(u32),
    /// The room of this portal.
    Portal(String),
    /// A connection of HTTP.
    Connection,
}

impl Panicked {
    pub(super) fn decode(term: &mut Reader<'_>) -> Result<Self, Error> {
        match term.atom()? {
            "room" => Ok(Self::Room(term.value()?)),
            "shard" => Ok(Self::Shard(term.value()?)),
            "portal" => Ok(Self::Portal(term.value()?)),
            "connection" => term.value::<()>().map(|()| Self::Connection),
            other => Err(Error::Atom(other.into())),
        }
    }

    pub(super) fn encode(&self, term: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Room(guild) => {
                term.atom("room")?;
                term.value(guild)
            }
            Self::Shard(shard) => {
                term.atom("shard")?;
                term.value(shard)
            }
            Self::Portal(id) => {
                term.atom("portal")?;
                term.value(id)
            }
            Self::Connection => {
                term.atom("connection")?;
                term.value(&())
            }
        }
    }
}
