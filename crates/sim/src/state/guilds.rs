//! All guilds: the one that a simulator starts with, and those that control adds.

use std::collections::BTreeMap;

use super::{Channel, ChannelKind, Guild, Member, seed};
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
        let guild = if guild == self.home.id {
            &mut self.home
        } else {
            self.more.get_mut(&guild)?
        };
        guild.channels.iter_mut().find(|channel| channel.id == id)
    }

    /// Adds a guild, of which everybody in the home guild is a member; answers its id.
    pub fn add(&mut self, plan: Plan) -> Id {
        let number = self.more.len() as u64;
        let id = Id(FIRST + number * STEP);
        let text = (1..=plan.text_channels).map(|n| (ChannelKind::Text, format!("text-{n}")));
        let voice = (1..=plan.voice_channels).map(|n| (ChannelKind::Voice, format!("voice-{n}")));
        let channels = (id.0 + 1..).zip(text.chain(voice));
        let guild = Guild {
            id,
            name: format!("guild-{}", number + 1),
            owner: self.home.owner,
            roles: seed::roles(id, Id(id.0 + STEP - 1)),
            channels: channels
                .map(|(channel, (kind, name))| Channel {
                    id: Id(channel),
                    guild: Some(id),
                    name,
                    kind,
                    overwrites: Vec::new(),
                    user_limit: 0,
                    recipient: None,
                })
                .collect(),
            members: self
                .home
                .members
                .iter()
                .map(|member| Member {
                    user: member.user,
                    roles: if member.user == seed::APPLICATION {
                        vec![Id(id.0 + STEP - 1)]
                    } else {
                        Vec::new()
                    },
                })
                .collect(),
            crowd: plan.crowd,
        };
        let of_guild = guild.channels.iter().map(|channel| (channel.id, id));
        self.channels.extend(of_guild);
        self.more.insert(id, guild);
        id
    }
}
