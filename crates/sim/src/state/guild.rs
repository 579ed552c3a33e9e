//! Guilds and channels, and how Discord writes them as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{AuditLog, Member, Role, User};
use crate::id::Id;

/// How far from a guild's id the ids of its crowd begin. A guild has at most 131,070 channels, and the next guild is 2^22 away.
const CROWD: u64 = 1 << 17;

/// A channel's type, with Discord's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    Text = 0,
    Direct = 1,
    Voice = 2,
    Announcement = 5,
    Stage = 13,
}

impl ChannelKind {
    /// Whether one can be connected to it.
    pub fn has_voice(self) -> bool {
        matches!(self, Self::Voice | Self::Stage)
    }
}

/// Whom an overwrite is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverwriteKind {
    Role = 0,
    Member = 1,
}

/// Permissions that a channel gives to or takes from a role or a member.
#[derive(Debug, Clone)]
pub struct Overwrite {
    pub id: Id,
    pub kind: OverwriteKind,
    pub allow: u64,
    pub deny: u64,
}

/// A channel of the guild, or a direct channel between two users.
#[derive(Debug, Clone)]
pub struct Channel {
    pub id: Id,
    /// The guild; `None` for a direct channel.
    pub guild: Option<Id>,
    pub name: String,
    pub kind: ChannelKind,
    pub overwrites: Vec<Overwrite>,
    /// How many users a voice channel takes; 0: any number.
    pub user_limit: u32,
    /// The two users of a direct channel; `None` for a channel of the guild.
    pub recipient: Option<[Id; 2]>,
}

impl Channel {
    /// A guild channel as JSON. `last_message` is the id of its newest message.
    pub fn json(&self, position: usize, last_message: Option<Id>) -> Value {
        let mut channel = json!({
            "id": self.id,
            "type": self.kind as u8,
            "guild_id": self.guild,
            "name": self.name,
            "position": position,
            "parent_id": null,
            "nsfw": false,
            "flags": 0,
            "rate_limit_per_user": 0,
            "last_message_id": last_message,
            "permission_overwrites": self.overwrites.iter().map(|o| json!({
                "id": o.id,
                "type": o.kind as u8,
                "allow": o.allow.to_string(),
                "deny": o.deny.to_string(),
            })).collect::<Vec<_>>(),
        });
        if self.kind.has_voice() {
            channel["bitrate"] = json!(64_000);
            channel["user_limit"] = json!(self.user_limit);
            channel["rtc_region"] = Value::Null;
        } else {
            channel["topic"] = Value::Null;
            channel["last_pin_timestamp"] = Value::Null;
        }
        channel
    }
}

/// A guild. Its id is also that of its `@everyone` role.
#[derive(Debug)]
pub struct Guild {
    pub id: Id,
    pub name: String,
    pub owner: Id,
    pub roles: Vec<Role>,
    pub channels: Vec<Channel>,
    /// Who has an account here.
    pub members: BTreeMap<Id, Member>,
    /// How many other members there are. They do nothing, and are made when they are looked at.
    pub crowd: u32,
    /// Who was banned, and why.
    pub bans: BTreeMap<Id, Option<String>>,
    pub audit_log: AuditLog,
    /// Whether who moderates must have two-factor authentication.
    pub mfa: bool,
}

impl Guild {
    /// A guild of which nobody is a member.
    pub fn new(id: Id, name: String, owner: Id, roles: Vec<Role>, channels: Vec<Channel>) -> Self {
        Self {
            id,
            name,
            owner,
            roles,
            channels,
            members: BTreeMap::new(),
            crowd: 0,
            bans: BTreeMap::new(),
            audit_log: AuditLog::default(),
            mfa: false,
        }
    }

    /// Who has an account here and is a member.
    pub fn member(&self, user: Id) -> Option<&Member> {
        self.members.get(&user)
    }

    pub fn has(&self, user: Id) -> bool {
        self.member(user).is_some()
    }

    pub fn member_count(&self) -> usize {
        self.members.len() + usize::try_from(self.crowd).unwrap_or(usize::MAX)
    }

    /// The members that do nothing, from the one after `after`. Their ids follow those of the guild's channels and roles.
    pub fn crowd(&self, after: Id) -> impl Iterator<Item = User> {
        let first = self.id.0 + CROWD + 1;
        let skipped = after.0.saturating_add(1).saturating_sub(first);
        let next = u32::try_from(skipped).map_or(u32::MAX, |skipped| skipped.saturating_add(1));
        (next..=self.crowd)
            .filter_map(move |number| self.of_crowd(Id(first - 1 + u64::from(number))))
    }

    /// One of the members that do nothing.
    pub fn of_crowd(&self, id: Id) -> Option<User> {
        let number = id.0.checked_sub(self.id.0 + CROWD)?;
        (1..=u64::from(self.crowd))
            .contains(&number)
            .then(|| User::person(id, format!("member-{number}"), format!("Member {number}")))
    }

    /// What REST shows; GUILD_CREATE adds members, channels and more.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "owner_id": self.owner,
            "roles": self.roles.iter().map(Role::json).collect::<Vec<_>>(),
            "icon": null,
            "splash": null,
            "discovery_splash": null,
            "banner": null,
            "description": null,
            "afk_channel_id": null,
            "afk_timeout": 300,
            "application_id": null,
            "default_message_notifications": 0,
            "emojis": [],
            "explicit_content_filter": 0,
            "features": [],
            "hub_type": null,
            "incidents_data": null,
            "max_members": 500_000,
            "max_presences": null,
            "max_stage_video_channel_users": 50,
            "max_video_channel_users": 25,
            "mfa_level": u8::from(self.mfa),
            "nsfw": false,
            "nsfw_level": 0,
            "preferred_locale": "en-US",
            "premium_progress_bar_enabled": false,
            "premium_subscription_count": 0,
            "premium_tier": 0,
            "public_updates_channel_id": null,
            "region": "deprecated",
            "rules_channel_id": null,
            "safety_alerts_channel_id": null,
            "stickers": [],
            "system_channel_flags": 0,
            "system_channel_id": null,
            "vanity_url_code": null,
            "verification_level": 0,
            "widget_channel_id": null,
            "widget_enabled": false,
        })
    }
}
