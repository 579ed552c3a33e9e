//! From the bridge to Elixir.

use super::{
    GatewayState, HttpState, Level, MediaState, Panicked, PortalState, RequestHead, VoiceState,
    VoiceUpdate,
};
use crate::etf::{Error, Reader, Writer};
use crate::{Snowflake, VoiceStates};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What the bridge says to Elixir.
#[derive(Clone, Debug, PartialEq)]
pub enum FromBridge<'a> {
    /// The first message, sent at start.
    Hello {
        /// The protocol's version on this side.
        version: u32,
        /// Who is speaking.
        bridge: Bridge,
    },
    /// A fact about a gateway connection.
    Gateway {
        /// The shard's number.
        shard: u32,
        /// What its connection has become.
        state: GatewayState,
    },
    /// A dispatch. It costs a credit.
    Event {
        /// The shard's number.
        shard: u32,
        /// The gateway session's id.
        session: Cow<'a, str>,
        /// The dispatch's sequence number in that session.
        sequence: u64,
        /// Discord's name for it, such as `MESSAGE_CREATE`.
        kind: Cow<'a, str>,
        /// Its `d`, as JSON text.
        data: Cow<'a, str>,
    },
    /// Every dispatch of the session up to this one that was wanted has been sent. It costs a credit, as it comes in order with them.
    Sequence {
        /// The shard's number.
        shard: u32,
        /// The gateway session's id.
        session: Cow<'a, str>,
        /// The sequence number of the last dispatch seen.
        sequence: u64,
    },
    /// The presence that was just sent to Discord.
    Presence {
        /// The shard's number.
        shard: u32,
        /// Discord's Update Presence data.
        data: Value,
    },
    /// A fact about a guild's voice session.
    Voice {
        /// The guild.
        guild: Snowflake,
        /// What has become of it, or what happened there.
        state: VoiceState,
    },
    /// What this bridge's calls want Discord to be told of where the bot is.
    VoiceStates(VoiceStates),
    /// What was heard for the call of a guild that another bridge has.
    VoiceUpdate {
        /// The guild.
        guild: Snowflake,
        /// What was heard.
        update: VoiceUpdate,
    },
    /// May calls and portals be held for longer? [`Hold`](crate::ToBridge::Hold) with this number answers.
    Renew(u64),
    /// A panic has ended something, and nothing else. What that is has its own facts beside this.
    Panic(Panicked),
    /// A part of the desired state that cannot be had.
    Refused {
        /// The part's key.
        part: Cow<'a, str>,
        /// Why.
        reason: Cow<'a, str>,
    },
    /// A line of the bridge's log.
    Log {
        /// How grave it is.
        level: Level,
        /// Which part of the program says it, such as `uro_discord_bridge::gateway`.
        target: Cow<'a, str>,
        /// What it says.
        message: Cow<'a, str>,
        /// The values that go with it, by name.
        fields: Map<String, Value>,
    },
    /// A fact about the HTTP listener.
    Http(HttpState),
    /// A fact about the endpoint of portals' media.
    Media(MediaState),
    /// A fact about a portal.
    Portal {
        /// Its id.
        id: Cow<'a, str>,
        /// What has become of it, or what happened there.
        state: PortalState,
    },
    /// The picture (JPEG) that a portal has on air.
    Still {
        /// The portal's id.
        portal: Cow<'a, str>,
        /// Empty: there is none.
        picture: Cow<'a, [u8]>,
    },
    /// What was on air lately, or why it cannot be had. A file comes in pieces, so that other messages are not behind all of it.
    Clip {
        /// By which it was wanted.
        id: u64,
        /// What it is like.
        info: ClipInfo,
        /// The next piece of the file (MP4), which has 10 MiB at most; empty where there is none.
        mp4: Cow<'a, [u8]>,
    },
    /// An HTTP request, of which only the head is there. It is answered once, whatever becomes of it.
    Request {
        /// Its number. No bridge of the same node uses it again.
        id: u64,
        /// The head.
        head: RequestHead,
    },
    /// The body of a request, whole.
    Body {
        /// The request's number.
        id: u64,
        /// The bytes, as they came.
        body: Cow<'a, [u8]>,
    },
    /// The client of a request has gone. What is answered now is for nobody, and must come all the same.
    Gone(u64),
    /// Answers a ping with its own term, encoded and without the version byte.
    Pong(&'a [u8]),
}

/// The bridge, as it introduces itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bridge {
    /// Its version.
    pub bridge: String,
    /// Its process id.
    pub os_pid: u32,
    /// Which messages it knows that want an answer, and that bridges of this version did not always know.
    #[serde(default)]
    pub knows: Vec<String>,
}

/// What a clip is like.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ClipInfo {
    /// How long it is, in ms.
    pub length: u64,
    /// More of what was wanted did not fit.
    pub cut: bool,
    /// Another piece of the file follows.
    pub more: bool,
    /// Why there is none.
    pub reason: Option<NoClip>,
}

/// Why there is no clip.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoClip {
    /// The portal is not open, or keeps nothing.
    Off,
    /// Nobody showed a picture.
    Nothing,
    /// The picture is JPEG.
    Jpeg,
    /// Too many are made.
    Busy,
    /// A fault of the bridge, which its log has.
    Fault,
}

impl<'a> FromBridge<'a> {
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
                bridge: term.value()?,
            },
            ("gateway", 4) => Self::Gateway {
                shard: term.value()?,
                state: GatewayState::decode(&mut term)?,
            },
            ("event", 6) => Self::Event {
                shard: term.value()?,
                session: Cow::Borrowed(term.value()?),
                sequence: term.value()?,
                kind: Cow::Borrowed(term.value()?),
                data: Cow::Owned(term.json()?),
            },
            ("sequence", 4) => Self::Sequence {
                shard: term.value()?,
                session: Cow::Borrowed(term.value()?),
                sequence: term.value()?,
            },
            ("presence", 3) => Self::Presence {
                shard: term.value()?,
                data: term.value()?,
            },
            ("voice", 4) => Self::Voice {
                guild: term.value()?,
                state: VoiceState::decode(&mut term)?,
            },
            ("voice_states", 2) => Self::VoiceStates(term.value()?),
            ("voice_update", 4) => Self::VoiceUpdate {
                guild: term.value()?,
                update: VoiceUpdate::decode(&mut term)?,
            },
            ("renew", 2) => Self::Renew(term.value()?),
            ("panic", 3) => Self::Panic(Panicked::decode(&mut term)?),
            ("refused", 3) => Self::Refused {
                part: Cow::Borrowed(term.value()?),
                reason: Cow::Borrowed(term.value()?),
            },
            ("log", 5) => Self::Log {
                level: Level::decode(&mut term)?,
                target: Cow::Borrowed(term.value()?),
                message: Cow::Borrowed(term.value()?),
                fields: term.value()?,
            },
            ("http", 3) => Self::Http(HttpState::decode(&mut term)?),
            ("media", 3) => Self::Media(MediaState::decode(&mut term)?),
            ("portal", 4) => Self::Portal {
                id: Cow::Borrowed(term.value()?),
                state: PortalState::decode(&mut term)?,
            },
            ("still", 3) => Self::Still {
                portal: Cow::Borrowed(term.value()?),
                picture: Cow::Borrowed(term.binary()?),
            },
            ("clip", 4) => Self::Clip {
                id: term.value()?,
                info: term.value()?,
                mp4: Cow::Borrowed(term.binary()?),
            },
            ("request", 3) => Self::Request {
                id: term.value()?,
                head: term.value()?,
            },
            ("body", 3) => Self::Body {
                id: term.value()?,
                body: Cow::Borrowed(term.binary()?),
            },
            ("gone", 2) => Self::Gone(term.value()?),
            ("pong", 2) => Self::Pong(term.raw()?),
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
            Self::Hello { version, bridge } => {
                term.tuple(3);
                term.atom("hello")?;
                term.value(version)?;
                term.value(bridge)
            }
            Self::Gateway { shard, state } => {
                term.tuple(4);
                term.atom("gateway")?;
                term.value(shard)?;
                state.encode(&mut term)
            }
            Self::Event {
                shard,
                session,
                sequence,
                kind,
                data,
            } => {
                term.tuple(6);
                term.atom("event")?;
                term.value(shard)?;
                term.value(session)?;
                term.value(sequence)?;
                term.value(kind)?;
                term.json(data)
            }
            Self::Sequence {
                shard,
                session,
                sequence,
            } => {
                term.tuple(4);
                term.atom("sequence")?;
                term.value(shard)?;
                term.value(session)?;
                term.value(sequence)
            }
            Self::Presence { shard, data } => {
                term.tuple(3);
                term.atom("presence")?;
                term.value(shard)?;
                term.value(data)
            }
            Self::Voice { guild, state } => {
                term.tuple(4);
                term.atom("voice")?;
                term.value(guild)?;
                state.encode(&mut term)
            }
            Self::VoiceStates(states) => {
                term.tuple(2);
                term.atom("voice_states")?;
                term.value(states)
            }
            Self::VoiceUpdate { guild, update } => {
                term.tuple(4);
                term.atom("voice_update")?;
                term.value(guild)?;
                update.encode(&mut term)
            }
            Self::Renew(number) => {
                term.tuple(2);
                term.atom("renew")?;
                term.value(number)
            }
            Self::Panic(what) => {
                term.tuple(3);
                term.atom("panic")?;
                what.encode(&mut term)
            }
            Self::Refused { part, reason } => {
                term.tuple(3);
                term.atom("refused")?;
                term.value(part)?;
                term.value(reason)
            }
            Self::Log {
                level,
                target,
                message,
                fields,
            } => {
                term.tuple(5);
                term.atom("log")?;
                level.encode(&mut term)?;
                term.value(target)?;
                term.value(message)?;
                term.value(fields)
            }
            Self::Http(state) => {
                term.tuple(3);
                term.atom("http")?;
                state.encode(&mut term)
            }
            Self::Media(state) => {
                term.tuple(3);
                term.atom("media")?;
                state.encode(&mut term)
            }
            Self::Portal { id, state } => {
                term.tuple(4);
                term.atom("portal")?;
                term.value(id)?;
                state.encode(&mut term)
            }
            Self::Still { portal, picture } => {
                term.tuple(3);
                term.atom("still")?;
                term.value(portal)?;
                term.binary(picture)
            }
            Self::Clip { id, info, mp4 } => {
                term.tuple(4);
                term.atom("clip")?;
                term.value(id)?;
                term.value(info)?;
                term.binary(mp4)
            }
            Self::Request { id, head } => {
                term.tuple(3);
                term.atom("request")?;
                term.value(id)?;
                term.value(head)
            }
            Self::Body { id, body } => {
                term.tuple(3);
                term.atom("body")?;
                term.value(id)?;
                term.binary(body)
            }
            Self::Gone(id) => {
                term.tuple(2);
                term.atom("gone")?;
                term.value(id)
            }
            Self::Pong(any) => {
                term.tuple(2);
                term.atom("pong")?;
                term.raw(any);
                Ok(())
            }
        }
    }
}
