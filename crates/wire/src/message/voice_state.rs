//! What Elixir hears about a voice session.

use super::state::{self, Nothing};
use crate::Snowflake;
use crate::etf::{Error, Reader, Writer};
use serde::{Deserialize, Serialize};

/// What a guild's voice session has become, or what happened there.
#[derive(Clone, Debug, PartialEq)]
pub enum VoiceState {
    /// On the way into the channel.
    Joining(InChannel),
    /// In the channel, perhaps another one: people can move the bot.
    Joined(InChannel),
    /// In the channel; the connection to the voice gateway is being resumed, and audio flows.
    Resuming,
    /// Discord is about to name another voice server.
    Waiting,
    /// The session is over.
    Ended(Ended),
    /// The bot has left, as was wished.
    Left,
    /// Whether Discord lets nobody hear the bot.
    Suppressed(Suppressed),
    /// Somebody is in the channel.
    UserJoined(User),
    /// Somebody is no longer in it.
    UserLeft(User),
    /// Somebody begins to speak.
    Speaking(User),
    /// Somebody ends to speak.
    Silent(User),
    /// The end-to-end encryption is another now.
    Encryption(Encryption),
    /// How it does; every five seconds.
    Stats(Stats),
    /// A file was played to its end.
    Played(Played),
}

/// A channel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InChannel {
    /// Its id.
    pub channel: Snowflake,
}

/// A user.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct User {
    /// His id.
    pub user: Snowflake,
}

/// Why a session is over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ended {
    /// In words, and what to do.
    pub reason: String,
    /// When it is tried again, in ms; `None`: not before another attempt is wished.
    pub retry_ms: Option<u64>,
}

/// DAVE, Discord's end-to-end encryption.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Encryption {
    /// The protocol's version; 0 where there is none.
    pub version: u16,
    /// The MLS group's epoch.
    pub epoch: Option<u64>,
    /// Thirty digits that everybody in the channel must see alike.
    pub privacy_code: Option<String>,
    /// Whether frames can be sent.
    pub can_send: bool,
}

/// How a session does. Counts are from its beginning.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Stats {
    /// To the voice server and back over UDP, in ms.
    pub round_trip_ms: Option<f64>,
    /// The share of our packets that the server did not get, of 1.
    pub loss: Option<f64>,
    /// Frames sent.
    pub sent: u64,
    /// Frames that were not sent: without a key or a connection.
    pub unsent: u64,
    /// Others' frames handed out.
    pub received: u64,
    /// Others' packets that came and were not opened, since nobody listens.
    pub unread: u64,
    /// Others' packets that did not come.
    pub lost: u64,
    /// Others' frames that could not be decrypted, in time or at all.
    pub undecryptable: u64,
}

/// Whether Discord lets nobody hear the bot: in the audience of a stage, or without the permission to speak.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Suppressed {
    /// Where it is.
    pub channel: Snowflake,
    /// `false`: it is heard again.
    pub suppressed: bool,
}

/// What became of a file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Played {
    /// Its path.
    pub path: String,
    /// What went wrong.
    pub error: Option<String>,
}

impl VoiceState {
    pub(super) fn decode(term: &mut Reader<'_>) -> Result<Self, Error> {
        let plain = match term.atom()? {
            "joining" => return Ok(Self::Joining(term.value()?)),
            "joined" => return Ok(Self::Joined(term.value()?)),
            "ended" => return Ok(Self::Ended(term.value()?)),
            "suppressed" => return Ok(Self::Suppressed(term.value()?)),
            "user_joined" => return Ok(Self::UserJoined(term.value()?)),
            "user_left" => return Ok(Self::UserLeft(term.value()?)),
            "speaking" => return Ok(Self::Speaking(term.value()?)),
            "silent" => return Ok(Self::Silent(term.value()?)),
            "encryption" => return Ok(Self::Encryption(term.value()?)),
            "stats" => return Ok(Self::Stats(term.value()?)),
            "played" => return Ok(Self::Played(term.value()?)),
            "resuming" => Self::Resuming,
            "waiting" => Self::Waiting,
            "left" => Self::Left,
            other => return Err(Error::Atom(other.into())),
        };
        term.value::<Nothing>()?;
        Ok(plain)
    }

    pub(super) fn encode(&self, term: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Joining(info) => state::write(term, "joining", info),
            Self::Joined(info) => state::write(term, "joined", info),
            Self::Resuming => state::write(term, "resuming", &Nothing {}),
            Self::Waiting => state::write(term, "waiting", &Nothing {}),
            Self::Ended(info) => state::write(term, "ended", info),
            Self::Left => state::write(term, "left", &Nothing {}),
            Self::Suppressed(info) => state::write(term, "suppressed", info),
            Self::UserJoined(info) => state::write(term, "user_joined", info),
            Self::UserLeft(info) => state::write(term, "user_left", info),
            Self::Speaking(info) => state::write(term, "speaking", info),
            Self::Silent(info) => state::write(term, "silent", info),
            Self::Encryption(info) => state::write(term, "encryption", info),
            Self::Stats(info) => state::write(term, "stats", info),
            Self::Played(info) => state::write(term, "played", info),
        }
    }
}
