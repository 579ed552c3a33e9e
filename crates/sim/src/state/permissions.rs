//! Permission bits, and who may do what in a channel (`developers/topics/permissions`).

use super::{Channel, Guild, Overwrite, OverwriteKind};
use crate::id::Id;

pub const CREATE_INSTANT_INVITE: u64 = 1;
pub const KICK_MEMBERS: u64 = 1 << 1;
pub const BAN_MEMBERS: u64 = 1 << 2;
pub const ADMINISTRATOR: u64 = 1 << 3;
pub const MANAGE_CHANNELS: u64 = 1 << 4;
pub const MANAGE_GUILD: u64 = 1 << 5;
pub const ADD_REACTIONS: u64 = 1 << 6;
pub const VIEW_AUDIT_LOG: u64 = 1 << 7;
pub const VIEW_CHANNEL: u64 = 1 << 10;
pub const SEND_MESSAGES: u64 = 1 << 11;
pub const MANAGE_MESSAGES: u64 = 1 << 13;
pub const EMBED_LINKS: u64 = 1 << 14;
pub const ATTACH_FILES: u64 = 1 << 15;
pub const READ_MESSAGE_HISTORY: u64 = 1 << 16;
pub const MENTION_EVERYONE: u64 = 1 << 17;
pub const CONNECT: u64 = 1 << 20;
pub const SPEAK: u64 = 1 << 21;
pub const MUTE_MEMBERS: u64 = 1 << 22;
pub const MOVE_MEMBERS: u64 = 1 << 24;
pub const USE_VAD: u64 = 1 << 25;
pub const CHANGE_NICKNAME: u64 = 1 << 26;
pub const MANAGE_NICKNAMES: u64 = 1 << 27;
pub const MANAGE_ROLES: u64 = 1 << 28;
pub const MANAGE_WEBHOOKS: u64 = 1 << 29;
pub const MANAGE_GUILD_EXPRESSIONS: u64 = 1 << 30;
pub const MANAGE_THREADS: u64 = 1 << 34;
pub const VIEW_CREATOR_MONETIZATION_ANALYTICS: u64 = 1 << 41;
pub const SET_VOICE_CHANNEL_STATUS: u64 = 1 << 48;

/// Everything: what the owner of a guild has, and who has ADMINISTRATOR.
pub const ALL: u64 = (1 << 53) - 1;

impl Guild {
    /// A member's permissions before a channel's overwrites. Who is no member has none.
    pub fn base_permissions(&self, user: Id) -> u64 {
        if user == self.owner {
            return ALL;
        }
        let Some(member) = self.member(user) else {
            return 0;
        };
        let all = self
            .roles
            .iter()
            .filter(|role| role.id == self.id || member.roles.contains(&role.id))
            .fold(0, |sum, role| sum | role.permissions);
        if all & ADMINISTRATOR == 0 { all } else { ALL }
    }

    /// A member's permissions in one channel of the guild.
    pub fn permissions_in(&self, channel: &Channel, user: Id) -> u64 {
        let base = self.base_permissions(user);
        if base == ALL {
            return ALL;
        }
        let roles = self.member(user).map_or(&[][..], |member| &member.roles);
        // Discord's order: @everyone, then all of the member's roles together, then the member.
        let everyone = apply(base, &channel.overwrites, |o| {
            o.kind == OverwriteKind::Role && o.id == self.id
        });
        let by_role = apply(everyone, &channel.overwrites, |o| {
            o.kind == OverwriteKind::Role && roles.contains(&o.id)
        });
        apply(by_role, &channel.overwrites, |o| {
            o.kind == OverwriteKind::Member && o.id == user
        })
    }
}

fn apply(permissions: u64, overwrites: &[Overwrite], select: impl Fn(&Overwrite) -> bool) -> u64 {
    let (allow, deny) = overwrites
        .iter()
        .filter(|overwrite| select(overwrite))
        .fold((0, 0), |(allow, deny), overwrite| {
            (allow | overwrite.allow, deny | overwrite.deny)
        });
    (permissions & !deny) | allow
}
