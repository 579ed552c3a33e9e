//! What Elixir hears about a gateway connection.

use super::state::{self, Nothing};
use crate::etf::{Error, Reader, Writer};
use serde::{Deserialize, Serialize};

/// What a gateway connection has become.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GatewayState {
    /// There is no session, and none is asked for until [`Identify`](crate::ToBridge::Identify) allows it.
    Waiting,
    /// A connection is being opened.
    Connecting,
    /// Connected; a new session is being asked for.
    Identifying,
    /// Connected; the session is being resumed.
    Resuming,
    /// The session is running.
    Active(Active),
    /// The connection is gone and will be opened again.
    Disconnected(Closed),
    /// The connection is gone and will not be opened until another gateway is desired.
    Fatal(Closed),
    /// The bridge does not have this shard any more, and its connection is closed.
    Released,
}

/// A running session.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Active {
    /// Discord's session id.
    pub session_id: String,
    /// The sequence number of READY or RESUMED itself: where a resume of a session without events would begin.
    pub sequence: u64,
    /// Where the session would be resumed.
    pub resume_url: Option<String>,
    /// Whether it was resumed just now, rather than new.
    pub resumed: bool,
    /// The bot's user id. Discord says it once a session: `None` in one that another process began.
    pub user_id: Option<String>,
}

/// Why a connection ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Closed {
    /// The WebSocket close code, if there was one.
    pub code: Option<u16>,
    /// The reason in words.
    pub reason: String,
}

impl GatewayState {
    pub(super) fn decode(term: &mut Reader<'_>) -> Result<Self, Error> {
        let plain = match term.atom()? {
            "active" => return Ok(Self::Active(term.value()?)),
            "disconnected" => return Ok(Self::Disconnected(term.value()?)),
            "fatal" => return Ok(Self::Fatal(term.value()?)),
            "waiting" => Self::Waiting,
            "connecting" => Self::Connecting,
            "identifying" => Self::Identifying,
            "resuming" => Self::Resuming,
            "released" => Self::Released,
            other => return Err(Error::Atom(other.into())),
        };
        term.value::<Nothing>()?;
        Ok(plain)
    }

    pub(super) fn encode(&self, term: &mut Writer<'_>) -> Result<(), Error> {
        let plain = match self {
            Self::Active(info) => return state::write(term, "active", info),
            Self::Disconnected(info) => return state::write(term, "disconnected", info),
            Self::Fatal(info) => return state::write(term, "fatal", info),
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Identifying => "identifying",
            Self::Resuming => "resuming",
            Self::Released => "released",
        };
        state::write(term, plain, &Nothing {})
    }
}
