//! Where the bot is to be in voice, stated by the guilds' calls for the shards' connections to tell Discord.

use super::shard_of;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};
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
    /// The voice server has let the bot in, so Discord knows this: a connection that resumes the gateway's session need not tell it.
    pub joined: bool,
}

/// A handle to the desired states of all guilds.
#[derive(Clone, Debug, Default)]
pub struct DesiredVoiceStates(Arc<Mutex<All>>);

/// Numbers of beginnings that a call has for itself.
const BEGINNINGS: u64 = 1 << 20;

#[derive(Debug, Default)]
struct All {
    /// Those of the calls here.
    states: BTreeMap<Snowflake, DesiredVoiceState>,
    /// Those of calls that other bridges have. Where a call moves from here to there, there are both for a moment.
    relayed: BTreeMap<Snowflake, DesiredVoiceState>,
    /// Where the next call begins to count its beginnings.
    beginnings: u64,
    /// Guilds of which only that is known that the bot is to be in no channel: whoever follows later has to hear of it too.
    left: BTreeSet<Snowflake>,
    followers: Vec<Weak<Follower>>,
}

/// A shard that follows the states of its guilds; or whoever tells other bridges of those of the calls here.
#[derive(Debug)]
struct Follower {
    /// Its number, and of how many it is one; `None`: the calls here, of all guilds.
    shard: Option<(u32, u32)>,
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
    /// For a process of which no other one has the numbers of beginnings: they go to a bridge that knows those of several.
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let beginnings = since.map_or(0, |since| since.as_micros()) << 10;
        Self(Arc::new(Mutex::new(All {
            beginnings: u64::try_from(beginnings).unwrap_or(0)
                | u64::from(std::process::id() % 1024),
            ..All::default()
        })))
    }

    /// From where on a call counts its beginnings, so that none is taken for one of another call.
    pub fn beginnings(&self) -> u64 {
        let mut all = self.all();
        let first = all.beginnings;
        all.beginnings = first.wrapping_add(BEGINNINGS);
        first
    }

    /// What another bridge's call desires; `None`: it has none any more.
    pub fn relay(&self, guild: Snowflake, state: Option<DesiredVoiceState>) {
        let mut all = self.all();
        let before = match state {
            Some(state) => {
                all.left.remove(&guild);
                all.relayed.insert(guild, state)
            }
            None => all.relayed.remove(&guild),
        };
        if before != state {
            all.changed(guild, true);
        }
    }

    pub fn set(&self, guild: Snowflake, mut state: DesiredVoiceState) {
        let mut all = self.all();
        all.left.remove(&guild);
        let before = all.states.get(&guild);
        state.joined = before.is_some_and(|it| it.joined && it.beginning == state.beginning);
        if all.states.insert(guild, state) != Some(state) {
            all.changed(guild, false);
        }
    }

    /// Whether the voice server has let the bot in.
    pub fn joined(&self, guild: Snowflake, joined: bool) {
        let mut all = self.all();
        let Some(state) = all.states.get_mut(&guild) else {
            return;
        };
        if std::mem::replace(&mut state.joined, joined) != joined {
            all.changed(guild, false);
        }
    }

    pub fn remove(&self, guild: Snowflake) {
        let mut all = self.all();
        if all.states.remove(&guild).is_some() {
            all.changed(guild, false);
        }
    }

    /// The bot is to be in no channel of a guild, of which nothing may be known here.
    pub fn leave(&self, guild: Snowflake) {
        let mut all = self.all();
        all.states.remove(&guild);
        all.left.insert(guild);
        all.changed(guild, false);
    }

    /// That the bot was to leave a guild has been heard by all for long.
    pub fn forget(&self, guild: Snowflake) {
        self.all().left.remove(&guild);
    }

    /// Follows the guilds of a shard; what there is already is a change too.
    pub fn follow(&self, shard: u32, shards: u32) -> Changes {
        self.followed_by(Some((shard, shards)))
    }

    /// Follows the calls here, whatever other bridges' desire.
    pub fn follow_own(&self) -> Changes {
        self.followed_by(None)
    }

    fn followed_by(&self, shard: Option<(u32, u32)>) -> Changes {
        let mut all = self.all();
        let mut follower = Follower {
            shard,
            changed: Mutex::default(),
            notify: Notify::new(),
        };
        let relayed = all.relayed.keys().filter(|_| shard.is_some());
        let guilds = all.states.keys().chain(&all.left).chain(relayed);
        let guilds = guilds.copied().filter(|guild| follower.follows(*guild));
        let guilds = guilds.collect();
        follower.changed = Mutex::new(guilds);
        let follower = Arc::new(follower);
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
    fn changed(&self, guild: Snowflake, relayed: bool) {
        for follower in self.followers.iter().filter_map(Weak::upgrade) {
            if follower.follows(guild) && !(relayed && follower.shard.is_none()) {
                locked(&follower.changed).insert(guild);
                follower.notify.notify_one();
            }
        }
    }
}

impl Follower {
    fn follows(&self, guild: Snowflake) -> bool {
        self.shard
            .is_none_or(|(shard, shards)| shard_of(guild, shards) == shard)
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
        let is_shard = self.follower.shard.is_some();
        let desired = |guild| {
            let relayed = all.relayed.get(&guild).filter(|_| is_shard);
            (guild, relayed.or_else(|| all.states.get(&guild)).copied())
        };
        changed.into_iter().map(desired).collect()
    }

    /// The same of all guilds, changed or not.
    pub fn take_all(&self) -> Vec<(Snowflake, Option<DesiredVoiceState>)> {
        {
            let all = self.all.all();
            locked(&self.follower.changed).extend(all.states.keys().chain(&all.left));
        }
        self.take()
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
            joined: false,
        };
        states.set(guild, desired);
        assert_eq!(states.follow(0, 1).take(), [(guild, Some(desired))]);
        states.leave(guild);
        states.forget(guild);
        assert_eq!(states.follow(0, 1).take(), []);
        assert_eq!(states.follow_own().take_all(), []);
    }

    #[test]
    fn whether_the_bot_was_let_in_is_of_one_beginning() {
        let guild = Snowflake::new(1).unwrap();
        let states = DesiredVoiceStates::default();
        let begins = |beginning| DesiredVoiceState {
            user: guild,
            channel: guild,
            self_mute: false,
            self_deaf: false,
            beginning,
            joined: false,
        };
        let shard = states.follow(0, 1);
        let joined = || shard.take().first().and_then(|it| it.1).map(|it| it.joined);
        states.joined(guild, true);
        states.set(guild, begins(1));
        assert_eq!(joined(), Some(false));
        states.joined(guild, true);
        assert_eq!(joined(), Some(true));
        let muted = DesiredVoiceState {
            self_mute: true,
            ..begins(1)
        };
        states.set(guild, muted);
        assert_eq!(joined(), Some(true));
        states.set(guild, begins(2));
        assert_eq!(joined(), Some(false));
    }

    #[test]
    fn what_a_call_elsewhere_desires_goes_before_what_one_here_does_that_it_follows() {
        let guild = Snowflake::new(1).unwrap();
        let states = DesiredVoiceStates::new();
        let beginnings = [states.beginnings(), states.beginnings()];
        let [here, there] = beginnings.map(|beginning| DesiredVoiceState {
            user: guild,
            channel: guild,
            self_mute: false,
            self_deaf: false,
            beginning,
            joined: false,
        });
        assert_ne!(here, there);
        let (shard, own) = (states.follow(0, 1), states.follow_own());
        states.set(guild, here);
        assert_eq!(shard.take(), [(guild, Some(here))]);
        assert_eq!(own.take(), [(guild, Some(here))]);
        states.relay(guild, Some(there));
        assert_eq!(
            (shard.take(), own.take()),
            (vec![(guild, Some(there))], vec![])
        );
        // The end of the one is none of the other.
        states.remove(guild);
        assert_eq!(shard.take(), [(guild, Some(there))]);
        assert_eq!(own.take(), [(guild, None)]);
        assert_eq!(
            (own.take_all(), states.follow_own().take()),
            (vec![], vec![])
        );
        states.relay(guild, None);
        assert_eq!((shard.take(), own.take()), (vec![(guild, None)], vec![]));
    }
}
