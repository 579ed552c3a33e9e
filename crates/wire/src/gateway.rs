use crate::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::num::NonZeroU32;

/// The gateway connections that Elixir wants: the part `"gateway"` of the desired state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gateway {
    /// The bot's token.
    pub token: Secret,
    /// Discord's intents, as bits.
    pub intents: u64,
    /// Where to connect, `ws://` or `wss://`; `None` is Discord itself.
    #[serde(default)]
    pub url: Option<String>,
    /// How many shards there are.
    pub shards: NonZeroU32,
    /// Which of them this bridge has, each with a connection; `None` is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<BTreeSet<u32>>,
    /// Sessions to resume, for the shards of which the bridge has none of its own.
    #[serde(default)]
    pub sessions: Vec<Session>,
    /// The dispatches that Elixir wants to see, such as `MESSAGE_CREATE`.
    #[serde(default)]
    pub events: BTreeSet<String>,
}

impl Gateway {
    /// Whether this bridge has the shard of this number.
    #[must_use]
    pub fn holds(&self, shard: u32) -> bool {
        shard < self.shards.get() && self.held.as_ref().is_none_or(|held| held.contains(&shard))
    }

    /// The shards that this bridge has.
    pub fn held(&self) -> impl Iterator<Item = u32> {
        (0..self.shards.get()).filter(|shard| self.holds(*shard))
    }
}

/// A shard's gateway session, which can be resumed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Session {
    /// The shard's number.
    pub shard: u32,
    /// Discord's session id.
    pub id: String,
    /// The sequence number of the last dispatch seen.
    pub sequence: u64,
    /// Where this session is resumed; `None` is the address of a new connection.
    #[serde(default)]
    pub resume_url: Option<String>,
}
