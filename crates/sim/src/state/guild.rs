//! Users, the guild, its channels and roles, and how Discord writes them as JSON.

use std::fmt;

use serde_json::{Value, json};

use crate::id::{Id, iso8601};

/// How far from a guild's id the ids of its crowd begin. A guild has at most 131,070 channels, and the next guild is 2^22 away.
const CROWD: u64 = 1 << 17;

/// When everybody joined.
const JOINED_MS: u64 = 1_735_689_600_000;

/// A user: a bot or a person.
#[derive(Clone)]
pub struct User {
    pub id: Id,
    pub name: String,
    pub display: String,
    pub bot: bool,
    pub token: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl User {
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "username": self.name,
            "discriminator": "0",
            "global_name": if self.bot { None } else { Some(&self.display) },
            "avatar": null,
            "avatar_decoration_data": null,
            "banner": null,
            "accent_color": null,
            "bot": self.bot,
            "system": false,
            "public_flags": 0,
            "flags": 0,
        })
    }

    /// What `/users/@me` and READY show to the user himself.
    pub fn own_json(&self) -> Value {
        let mut user = self.json();
        user["mfa_enabled"] = json!(false);
        user["verified"] = json!(true);
        user["locale"] = json!("en-US");
        user["email"] = Value::Null;
        user
    }
}

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

/// A role. Its permissions are Discord's bits.
#[derive(Debug, Clone)]
pub struct Role {
    pub id: Id,
    pub name: String,
    pub position: u32,
    pub color: u32,
    pub permissions: u64,
    /// The bot whose own role this is.
    pub bot: Option<Id>,
}

impl Role {
    pub fn json(&self) -> Value {
        let mut role = json!({
            "id": self.id,
            "name": self.name,
            "color": self.color,
            "colors": {"primary_color": self.color, "secondary_color": null, "tertiary_color": null},
            "hoist": false,
            "icon": null,
            "unicode_emoji": null,
            "position": self.position,
            "permissions": self.permissions.to_string(),
            "managed": self.bot.is_some(),
            "mentionable": false,
            "flags": 0,
        });
        if let Some(bot) = self.bot {
            role["tags"] = json!({"bot_id": bot});
        }
        role
    }
}

/// A user's membership of the guild.
#[derive(Debug, Clone)]
pub struct Member {
    pub user: Id,
    pub roles: Vec<Id>,
}

impl Member {
    /// The member without its `user`, as message events carry it.
    pub fn json(&self) -> Value {
        json!({
            "roles": self.roles,
            "nick": null,
            "avatar": null,
            "banner": null,
            "joined_at": iso8601(JOINED_MS),
            "premium_since": null,
            "deaf": false,
            "mute": false,
            "pending": false,
            "communication_disabled_until": null,
            "flags": 0,
        })
    }

    /// The whole member.
    pub fn json_with(&self, user: &User) -> Value {
        let mut member = self.json();
        member["user"] = user.json();
        member
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
    /// Who has an account here, and may log in.
    pub members: Vec<Member>,
    /// How many other members there are. They do nothing, and are made when they are looked at.
    pub crowd: u32,
}

impl Guild {
    /// Who has an account here and is a member.
    pub fn member(&self, user: Id) -> Option<&Member> {
        self.members.iter().find(|member| member.user == user)
    }

    pub fn has(&self, user: Id) -> bool {
        self.member(user).is_some()
    }

    pub fn member_count(&self) -> usize {
        self.members.len() + usize::try_from(self.crowd).unwrap_or(usize::MAX)
    }

    /// The members that do nothing. Their ids follow those of the guild's channels and roles.
    pub fn crowd(&self) -> impl Iterator<Item = User> {
        let first = self.id.0 + CROWD;
        (1..=self.crowd).map(move |number| User {
            id: Id(first + u64::from(number)),
            name: format!("member-{number}"),
            display: format!("Member {number}"),
            bot: false,
            token: String::new(),
        })
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
            "mfa_level": 0,
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
