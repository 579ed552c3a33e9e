use crate::Snowflake;
use serde::{Deserialize, Serialize};

/// The voice channels that the bot shall be in: the part `"voice"` of the desired state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Voice {
    /// The bot's own user.
    pub user: Snowflake,
    /// At most one of a guild, which is all that Discord allows.
    pub channels: Vec<VoiceChannel>,
    /// Guilds that were left of late. Another bridge may have ended before it told Discord.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Snowflake>,
    /// Whether voice servers are reached by TLS; unless said, as the gateway is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// Whether the calls' [`VoiceStates`] are told to Elixir, since another bridge may have their shards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relay: bool,
}

/// A voice channel that the bot shall be in.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VoiceChannel {
    /// Its guild.
    pub guild: Snowflake,
    /// The channel.
    pub channel: Snowflake,
    /// Another number is another attempt, where the last one has been given up.
    pub attempt: u64,
    /// Whether the bot shows itself as muted.
    #[serde(default)]
    pub self_mute: bool,
    /// Whether the bot shows itself as deaf.
    #[serde(default)]
    pub self_deaf: bool,
    /// What is played there.
    #[serde(default)]
    pub play: Option<Play>,
    /// Whether the session can send video, which is nobody's but a portal's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub video: bool,
}

/// A file to play.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Play {
    /// Ogg Opus, in packets of 20 ms.
    pub path: String,
    /// Whether it begins again when it is over.
    #[serde(default, rename = "loop")]
    pub again: bool,
    /// Another number plays it anew.
    pub attempt: u64,
}

/// Where the bot is to be in voice: the part `"voice_states"` of the desired state, of calls that other bridges have; and what a bridge tells of its own.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct VoiceStates {
    /// At most one of a guild.
    #[serde(default)]
    pub states: Vec<DesiredVoiceState>,
    /// Guilds in which the bot is to be in no channel.
    #[serde(default)]
    pub left: Vec<Snowflake>,
    /// Whether these are all; else those that have changed.
    #[serde(default)]
    pub whole: bool,
}

/// Where the bot is to be in a guild.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DesiredVoiceState {
    /// The guild.
    pub guild: Snowflake,
    /// The bot's own user.
    pub user: Snowflake,
    /// The channel.
    pub channel: Snowflake,
    /// Whether the bot shows itself as muted.
    #[serde(default)]
    pub self_mute: bool,
    /// Whether the bot shows itself as deaf.
    #[serde(default)]
    pub self_deaf: bool,
    /// Another number is another beginning, for which the bot leaves and comes again: Discord names the voice server only then.
    pub beginning: u64,
    /// The voice server has let the bot in, so Discord knows all this.
    #[serde(default)]
    pub joined: bool,
}
