//! What the gateway says that concerns a guild's call, on its way from the bridge that has the shard to the one that has the call.

use super::state::{self, Nothing};
use crate::etf::{Error, Reader, Writer};
use crate::{Secret, Snowflake};
use serde::{Deserialize, Serialize};

/// What Discord says to a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VoiceUpdate {
    /// Discord was asked to let the bot in, just now.
    Asked(Asked),
    /// The bot's own voice state.
    State(OwnVoiceState),
    /// The voice server.
    Server(VoiceServer),
    /// The shard has a new gateway session, in which the bot is in no channel.
    NewSession,
}

/// For which beginning it was asked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Asked {
    /// Its number.
    pub beginning: u64,
}

/// The bot's own voice state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OwnVoiceState {
    /// Where the bot is.
    pub channel: Option<Snowflake>,
    /// The voice session's id.
    pub session: Secret,
    /// Whether Discord lets nobody hear it.
    pub suppressed: bool,
}

/// A voice server.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VoiceServer {
    /// Its host; `None`: it has gone, and another one is named soon.
    pub endpoint: Option<String>,
    /// With which the voice server lets the bot in.
    pub token: Secret,
}

impl VoiceUpdate {
    pub(super) fn decode(term: &mut Reader<'_>) -> Result<Self, Error> {
        match term.atom()? {
            "asked" => Ok(Self::Asked(term.value()?)),
            "state" => Ok(Self::State(term.value()?)),
            "server" => Ok(Self::Server(term.value()?)),
            "new_session" => term.value::<Nothing>().map(|_| Self::NewSession),
            other => Err(Error::Atom(other.into())),
        }
    }

    pub(super) fn encode(&self, term: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Asked(info) => state::write(term, "asked", info),
            Self::State(info) => state::write(term, "state", info),
            Self::Server(info) => state::write(term, "server", info),
            Self::NewSession => state::write(term, "new_session", &Nothing {}),
        }
    }
}
