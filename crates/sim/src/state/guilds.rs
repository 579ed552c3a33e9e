//! All guilds: the one that a simulator starts with, and those that control adds.

use std::collections::BTreeMap;

use super::{AuditLog, Channel, ChannelKind, Guild, Member, Users, seed};
use crate::id::Id;

/// The first guild that is added. Each next one is the shard's unit, 2^22, further: one after the other they go to all shards in turn.
const FIRST: u64 = 1_310_000_000_000_000_000 >> 22 << 22;
/// How far apart the guilds are: <https://discord.com/developers/docs/events/gateway#sharding>.
const STEP: u64 = 1 << 22;

/// The guilds, and which of them a channel is in.
pub struct Guilds {
    /// The one with names that tests know.
    pub home: Guild,
    more: BTreeMap<Id, Guild>,
    channels: BTreeMap<Id, Id>,
}

/// A guild that is to be added.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub text_channels: u16,
    pub voice_channels: u16,
    /// Members besides the users.
    pub crowd: u32,
}

impl Guilds {
    pub fn new(home: Guild) -> Self {
        let channels = home.channels.iter().map(|channel| (channel.id, home.id));
        Self {
            channels: channels.collect(),
            more: BTreeMap::new(),
            home,
        }
    }

    /// Everything is undone that was done in the guilds: the home guild has its first members and roles again.
    pub fn reset(&mut self, users: &Users) {
        seed::furnish(&mut self.home, users);
        for guild in std::iter::once(&mut self.home).chain(self.more.values_mut()) {
            guild.bans.clear();
            guild.audit_log = AuditLog::default();
            guild.mfa = false;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Guild> {
        std::iter::once(&self.home).chain(self.more.values())
    }

    pub fn get(&self, id: Id) -> Option<&Guild> {
        if id == self.home.id {
            Some(&self.home)
        } else {
            self.more.get(&id)
        }
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut Guild> {
        if id == self.home.id {
            Some(&mut self.home)
        } else {
            self.more.get_mut(&id)
        }
    }

    /// The guild that a channel is in.
    pub fn of_channel(&self, channel: Id) -> Option<&Guild> {
        self.get(*self.channels.get(&channel)?)
    }

    pub fn channel(&self, id: Id) -> Option<&Channel> {
        let mut channels = self.of_channel(id)?.channels.iter();
        channels.find(|channel| channel.id == id)
    }

    pub fn channel_mut(&mut self, id: Id) -> Option<&mut Channel> {
        let guild = *self.channels.get(&id)?;
        let guild = self.get_mut(guild)?;
        guild.channels.iter_mut().find(|channel| channel.id == id)
    }

    /// Adds a guild, of which these users are members; answers its id.
    pub fn add(&mut self, plan: Plan, users: impl Iterator<Item = Id>) -> Id {
        let number = self.more.len() as u64;
        let id = Id(FIRST + number * STEP);
        let text = (1..=plan.text_channels).map(|n| (ChannelKind::Text, format!("text-{n}")));
        let voice = (1..=plan.voice_channels).map(|n| (ChannelKind::Voice, format!("voice-{n}")));
        let channels = (id.0 + 1..).zip(text.chain(voice));
        let channels = channels
            .map(|(channel, (kind, name))| Channel {
                id: Id(channel),
                guild: Some(id),
                name,
                kind,
                overwrites: Vec::new(),
                user_limit: 0,
                recipient: None,
            })
            .collect();
        let own_role = Id(id.0 + STEP - 1);
        let roles = seed::roles(id, own_role);
        let name = format!("guild-{}", number + 1);
        let mut guild = Guild::new(id, name, self.home.owner, roles, channels);
        guild.crowd = plan.crowd;
        guild.members = users
            .map(|user| {
                let roles = if user == seed::APPLICATION {
                    vec![own_role]
                } else {
                    Vec::new()
                };
                (user, Member::new(user, roles))
            })
            .collect();
        let of_guild = guild.channels.iter().map(|channel| (channel.id, id));
        self.channels.extend(of_guild);
        self.more.insert(id, guild);
        id
    }
}
