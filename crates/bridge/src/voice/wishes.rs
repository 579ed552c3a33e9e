//! Where the bot is to be in voice, for the shards' connections to say so.

use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use uro_discord_wire::Snowflake;

/// Where the bot is to be in a guild.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wish {
    /// The bot's own user.
    pub user: Snowflake,
    pub channel: Snowflake,
    pub self_mute: bool,
    pub self_deaf: bool,
    /// Another number is another beginning: Discord names the voice server anew when the bot leaves and comes again.
    pub beginning: u64,
}

/// A handle to the wishes of all guilds.
#[derive(Clone, Debug)]
pub struct Wishes(Arc<watch::Sender<BTreeMap<Snowflake, Wish>>>);

impl Default for Wishes {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }
}

impl Wishes {
    pub fn set(&self, guild: Snowflake, wish: Wish) {
        self.0
            .send_if_modified(|wishes| wishes.insert(guild, wish) != Some(wish));
    }

    pub fn remove(&self, guild: Snowflake) {
        self.0
            .send_if_modified(|wishes| wishes.remove(&guild).is_some());
    }

    /// For who tells Discord.
    pub fn subscribe(&self) -> watch::Receiver<BTreeMap<Snowflake, Wish>> {
        self.0.subscribe()
    }
}
