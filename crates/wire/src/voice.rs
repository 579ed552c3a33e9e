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
