//! Where the bot is to be in voice, stated by the guilds' calls for the shards' connections to tell Discord.

use super::shard_of;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;
use uro_discord_wire::Snowflake;

/// Where the bot is to be in a guild.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DesiredVoiceState {
    /// The bot's own user.
    pub user: Snowflake,
    pub channel: Snowflake,
    pub self_mute: bool,
    pub self_deaf: bool,
    /// Another number is another beginning: Discord names the voice server anew when the bot leaves and comes again.
    pub beginning: u64,
}

/// A handle to the desired states of all guilds.
#[derive(Clone, Debug, Default)]
pub struct DesiredVoiceStates(Arc<Mutex<All>>);

#[derive(Debug, Default)]
struct All {
    states: BTreeMap<Snowflake, DesiredVoiceState>,
    /// Guilds of which only that is known that the bot is to be in no channel: whoever follows later has to hear of it too.
    left: BTreeSet<Snowflake>,
    followers: Vec<Weak<Follower>>,
}

/// A shard that follows the states of its guilds.
#[derive(Debug)]
struct Follower {
    shard: u32,
    shards: u32,
    /// The guilds whose state has changed: as many as there are guilds, however often each changes.
    changed: Mutex<BTreeSet<Snowflake>>,
    notify: Notify,
}

/// What has changed for a shard.
#[derive(Debug)]
pub struct Changes {
    all: DesiredVoiceStates,
    follower: Arc<Follower>,
}

impl DesiredVoiceStates {
    pub fn set(&self, guild: Snowflake, state: DesiredVoiceState) {
        let mut all = self.all();
        all.left.remove(&guild);
        if all.states.insert(guild, state) != Some(state) {
            all.changed(guild);
        }
    }

    pub fn remove(&self, guild: Snowflake) {
        let mut all = self.all();
        if all.states.remove(&guild).is_some() {
            all.changed(guild);
        }
    }

    /// The bot is to be in no channel of a guild, of which nothing may be known here.
    pub fn leave(&self, guild: Snowflake) {
        let mut all = self.all();
        all.states.remove(&guild);
        all.left.insert(guild);
        all.changed(guild);
    }

    /// Follows the guilds of a shard; what there is already is a change too.
    pub fn follow(&self, shard: u32, shards: u32) -> Changes {
        let mut all = self.all();
        let own = all.states.keys().chain(&all.left).copied();
        let changed = own
            .filter(|guild| shard_of(*guild, shards) == shard)
            .collect();
        let follower = Arc::new(Follower {
            shard,
            shards,
            changed: Mutex::new(changed),
            notify: Notify::new(),
        });
        all.followers.retain(|follower| follower.strong_count() > 0);
        all.followers.push(Arc::downgrade(&follower));
        drop(all);
        Changes {
            all: self.clone(),
            follower,
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        locked(&self.0)
    }
}

impl All {
    fn changed(&self, guild: Snowflake) {
        for follower in self.followers.iter().filter_map(Weak::upgrade) {
            if shard_of(guild, follower.shards) == follower.shard {
                locked(&follower.changed).insert(guild);
                follower.notify.notify_one();
            }
        }
    }
}

impl Changes {
    /// Waits until there are some. Nothing is lost when this is dropped.
    pub async fn wait(&self) {
        while locked(&self.follower.changed).is_empty() {
            self.follower.notify.notified().await;
        }
    }

    /// The guilds whose state has changed, with what is desired now.
    pub fn take(&self) -> Vec<(Snowflake, Option<DesiredVoiceState>)> {
        let changed = std::mem::take(&mut *locked(&self.follower.changed));
        let all = self.all.all();
        let desired = |guild| (guild, all.states.get(&guild).copied());
        changed.into_iter().map(desired).collect()
    }
}

/// Nothing panics while one of these is held, and a map is whole in any case.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_before_anybody_followed_is_heard_of() {
        let guild = Snowflake::new(1).unwrap();
        let states = DesiredVoiceStates::default();
        states.leave(guild);
        assert_eq!(states.follow(0, 1).take(), [(guild, None)]);
        let desired = DesiredVoiceState {
            user: guild,
            channel: guild,
            self_mute: false,
            self_deaf: false,
            beginning: 1,
        };
        states.set(guild, desired);
        assert_eq!(states.follow(0, 1).take(), [(guild, Some(desired))]);
    }
}
