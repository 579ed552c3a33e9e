//! The portals that Elixir wants.

use crate::Snowflake;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// The `"portals"` part of the desired state.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Portals {
    /// At most one of a guild, which has one voice session.
    pub open: Vec<Portal>,
}

/// A portal that shall be open.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Portal {
    /// What it is called in addresses and tokens.
    pub id: String,
    /// The guild of its voice channel.
    pub guild: Snowflake,
    /// Its voice channel.
    pub channel: Snowflake,
    /// Whether other bots are heard in the world.
    #[serde(default)]
    pub bots: bool,
    /// What Discord's members are called, by user.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<Snowflake, String>,
    /// Which of them are bots.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub bot_users: BTreeSet<Snowflake>,
    /// How loud some are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<PortalSetting>,
    /// Whose camera is on air, as tokens call him; `None`, and while he has none: the first that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// How often Elixir hears the picture that is on air, in ms, if there is another one; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<NonZeroU32>,
    /// Of how many seconds clips may be wanted; `None`: of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clips: Option<NonZeroU32>,
    /// Whose publishing is ended, as tokens call them, and until when, in seconds since 1970.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stopped: BTreeMap<String, u64>,
}

/// How loud somebody is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PortalSetting {
    /// Who.
    pub participant: PortalParticipant,
    /// By how much his voice is multiplied: 1.0 leaves it as it is.
    pub gain: f32,
    /// Whether nobody hears him on the other side.
    pub muted: bool,
}

/// Somebody on one of a portal's sides, there or not: `discord:` and a user's id; or `world:` and the subject of a token, and behind a `/` the
/// sender's number for one whom a peer forwards.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum PortalParticipant {
    /// A user of Discord.
    Discord(Snowflake),
    /// Peers with this subject in their token, with all whom they forward; or one of these.
    World(String),
}

impl TryFrom<String> for PortalParticipant {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let discord = text.strip_prefix("discord:").and_then(|id| id.parse().ok());
        let world = text.strip_prefix("world:").filter(|who| !who.is_empty());
        discord
            .map(Self::Discord)
            .or_else(|| world.map(|who| Self::World(who.into())))
            .ok_or("a participant, expected `discord:` and a user's id, or `world:` and a token's subject")
    }
}

impl From<PortalParticipant> for String {
    fn from(participant: PortalParticipant) -> Self {
        match participant {
            PortalParticipant::Discord(user) => format!("discord:{user}"),
            PortalParticipant::World(subject) => format!("world:{subject}"),
        }
    }
}
