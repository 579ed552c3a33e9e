//! From Elixir to the bridge.

use super::{Answer, Verdict, VoiceUpdate};
use crate::Snowflake;
use crate::etf::{Error, Reader, Writer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// What Elixir says to the bridge.
#[derive(Clone, PartialEq)]
pub enum ToBridge<'a> {
    /// Answers the bridge's hello; the first message of all.
    Hello {
        /// The protocol's version on Elixir's side.
        version: u32,
        /// Who is speaking.
        library: Library,
    },
    /// The desired state, by part. A part that is absent is unchanged, null is not wanted. The parts are judged by the bridge: one it
    /// cannot have is [refused](crate::FromBridge::Refused), which is no error of the protocol.
    Desired(Map<String, Value>),
    /// The bridge may send so many more events.
    Credit(u32),
    /// From now on the gateway may be held for so many milliseconds. It replaces what was allowed before.
    Lease(u32),
    /// Answers [`Renew`](crate::FromBridge::Renew): calls and portals may be held for so long since that was said. It replaces what was allowed before.
    Hold {
        /// The number of what it answers.
        number: u64,
        /// Milliseconds.
        milliseconds: u32,
    },
    /// What another bridge, which has the guild's shard, heard of its call.
    VoiceUpdate {
        /// The guild.
        guild: Snowflake,
        /// What was heard.
        update: VoiceUpdate,
    },
    /// The shard of this number may identify once, now.
    Identify(u32),
    /// The bridge is to leave its gateway so that it can be resumed, and to end.
    Stop,
    /// The body of an HTTP request is wanted.
    Read {
        /// The request's number.
        id: u64,
        /// How it is to be read.
        verdict: Verdict,
    },
    /// The answer to an HTTP request.
    Answer {
        /// The request's number.
        id: u64,
        /// What its client gets.
        answer: Answer<'a>,
    },
    /// A clip is wanted. It is [answered](crate::FromBridge::Clip) once, unless the portal's bridge ends.
    Clip {
        /// What the answer is known by.
        id: u64,
        /// The portal's id.
        portal: &'a str,
        /// How long it is to be, in ms.
        length: u32,
    },
    /// Is the bridge alive? Any encoded term, without the version byte.
    Ping(&'a [u8]),
}

/// The library on Elixir's side.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Library {
    /// Its version. Another version of the protocol may say something else here.
    #[serde(default)]
    pub library: String,
}

impl<'a> ToBridge<'a> {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the bytes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut term = Reader::new(bytes)?;
        let arity = term.tuple()?;
        let message = match (term.atom()?, arity) {
            ("hello", 3) => Self::Hello {
                version: term.value()?,
                library: term.value()?,
            },
            ("desired", 2) => Self::Desired(term.value()?),
            ("credit", 2) => Self::Credit(term.value()?),
            ("lease", 2) => Self::Lease(term.value()?),
            ("hold", 3) => Self::Hold {
                number: term.value()?,
                milliseconds: term.value()?,
            },
            ("voice_update", 4) => Self::VoiceUpdate {
                guild: term.value()?,
                update: VoiceUpdate::decode(&mut term)?,
            },
            ("identify", 2) => Self::Identify(term.value()?),
            ("stop", 1) => Self::Stop,
            ("read", 4) => Self::Read {
                id: term.value()?,
                verdict: Verdict {
                    limit: term.value()?,
                    known: term.value()?,
                },
            },
            ("answer", 5) => Self::Answer {
                id: term.value()?,
                answer: Answer {
                    status: term.value()?,
                    headers: term.value()?,
                    body: term.binary()?,
                },
            },
            ("clip", 4) => Self::Clip {
                id: term.value()?,
                portal: term.value()?,
                length: term.value()?,
            },
            ("ping", 2) => Self::Ping(term.raw()?),
            (name, arity) => return Err(Error::Message(name.into(), arity)),
        };
        term.end()?;
        Ok(message)
    }

    /// Writes the message to the end of `out`.
    ///
    /// # Errors
    ///
    /// When a payload has no form in the external term format.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut term = Writer::new(out);
        match self {
            Self::Hello { version, library } => {
                term.tuple(3);
                term.atom("hello")?;
                term.value(version)?;
                term.value(library)
            }
            Self::Desired(parts) => {
                term.tuple(2);
                term.atom("desired")?;
                term.value(parts)
            }
            Self::Credit(more) => {
                term.tuple(2);
                term.atom("credit")?;
                term.value(more)
            }
            Self::Lease(milliseconds) => {
                term.tuple(2);
                term.atom("lease")?;
                term.value(milliseconds)
            }
            Self::Hold {
                number,
                milliseconds,
            } => {
                term.tuple(3);
                term.atom("hold")?;
                term.value(number)?;
                term.value(milliseconds)
            }
            Self::VoiceUpdate { guild, update } => {
                term.tuple(4);
                term.atom("voice_update")?;
                term.value(guild)?;
                update.encode(&mut term)
            }
            Self::Identify(shard) => {
                term.tuple(2);
                term.atom("identify")?;
                term.value(shard)
            }
            Self::Stop => {
                term.tuple(1);
                term.atom("stop")
            }
            Self::Read { id, verdict } => {
                term.tuple(4);
                term.atom("read")?;
                term.value(id)?;
                term.value(&verdict.limit)?;
                term.value(&verdict.known)
            }
            Self::Answer { id, answer } => {
                term.tuple(5);
                term.atom("answer")?;
                term.value(id)?;
                term.value(&answer.status)?;
                term.value(&answer.headers)?;
                term.binary(answer.body)
            }
            Self::Clip { id, portal, length } => {
                term.tuple(4);
                term.atom("clip")?;
                term.value(id)?;
                term.value(portal)?;
                term.value(length)
            }
            Self::Ping(any) => {
                term.tuple(2);
                term.atom("ping")?;
                term.raw(any);
                Ok(())
            }
        }
    }
}

/// The desired state holds the bot's token: only the names of its parts are shown.
impl fmt::Debug for ToBridge<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello { version, library } => formatter
                .debug_struct("Hello")
                .field("version", version)
                .field("library", library)
                .finish(),
            Self::Desired(parts) => formatter
                .debug_tuple("Desired")
                .field(&parts.keys().collect::<Vec<_>>())
                .finish(),
            Self::Credit(more) => formatter.debug_tuple("Credit").field(more).finish(),
            Self::Lease(milliseconds) => {
                formatter.debug_tuple("Lease").field(milliseconds).finish()
            }
            Self::Hold {
                number,
                milliseconds,
            } => formatter
                .debug_struct("Hold")
                .field("number", number)
                .field("milliseconds", milliseconds)
                .finish(),
            Self::VoiceUpdate { guild, update } => formatter
                .debug_struct("VoiceUpdate")
                .field("guild", guild)
                .field("update", update)
                .finish(),
            Self::Identify(shard) => formatter.debug_tuple("Identify").field(shard).finish(),
            Self::Stop => formatter.write_str("Stop"),
            Self::Read { id, verdict } => formatter
                .debug_struct("Read")
                .field("id", id)
                .field("verdict", verdict)
                .finish(),
            Self::Answer { id, answer } => formatter
                .debug_struct("Answer")
                .field("id", id)
                .field("answer", answer)
                .finish(),
            Self::Clip { id, portal, length } => formatter
                .debug_struct("Clip")
                .field("id", id)
                .field("portal", portal)
                .field("length", length)
                .finish(),
            Self::Ping(any) => formatter.debug_tuple("Ping").field(any).finish(),
        }
    }
}
