//! What the simulated Discord knows. One lock holds all of it: every action is short, and none waits while holding it.

mod audit_log;
mod bots;
mod events;
mod files;
mod guild;
mod guilds;
pub mod interactions;
mod log;
mod member;
mod membership;
mod message;
pub mod permissions;
mod presence;
mod role;
pub mod seed;
mod settings;
mod users;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use self::{
    audit_log::{Action, Actor, AuditLog, Entry},
    files::{Files, StoredFile},
    guild::{Channel, ChannelKind, Guild, Overwrite, OverwriteKind},
    guilds::{Guilds, Plan},
    log::{EventLog, RequestLog, RequestRecord},
    member::Member,
    membership::MemberChange,
    message::{Mentions, Message, Messages, flags},
    presence::Presence,
    role::{MOST_ROLES, Manager, Role, RolesFull},
    settings::{Settings, SettingsChange, set},
    users::{User, Users},
};
use crate::{
    StartError,
    faults::Faults,
    gateway::Hub,
    id::{Id, Ids, unix_ms},
    oauth::{Access, Grants},
    rest::Limits,
    voice::{Calls, Seat},
};

/// Everything that changes.
pub struct State {
    pub settings: Settings,
    pub ids: Ids,
    pub users: Users,
    /// Their accounts as they were at the start.
    first_users: Users,
    pub guilds: Guilds,
    /// Direct channels that were opened.
    pub directs: Vec<Channel>,
    pub messages: Messages,
    pub files: Files,
    /// Voice states of those who are in a voice channel.
    pub voice: BTreeMap<Seat, Value>,
    pub calls: Calls,
    /// What voice channels say of themselves.
    pub voice_statuses: BTreeMap<Id, String>,
    pub interactions: interactions::Interactions,
    pub oauth: Grants,
    pub limits: Limits,
    pub faults: Faults,
    pub gateway: Hub,
    pub log: EventLog,
    pub requests: RequestLog,
}

impl State {
    /// A fresh Discord, with so many more channels and bots.
    pub fn new(more_channels: u16, more_bots: u16) -> Result<Self, StartError> {
        let users = seed::users(more_bots)?;
        Ok(Self {
            settings: Settings::default(),
            ids: Ids::default(),
            guilds: Guilds::new(seed::guild(more_channels, &users)),
            first_users: users.clone(),
            users,
            directs: Vec::new(),
            messages: Messages::default(),
            files: Files::default(),
            voice: BTreeMap::new(),
            calls: Calls::default(),
            voice_statuses: BTreeMap::new(),
            interactions: interactions::Interactions::default(),
            oauth: Grants::default(),
            limits: Limits::default(),
            faults: Faults::default(),
            gateway: Hub::default(),
            log: EventLog::default(),
            requests: RequestLog::default(),
        })
    }

    /// Back to the start, but for the live gateway sessions, which are told, and the numbering of events.
    pub fn reset(&mut self) {
        let looks = |home: &Guild| {
            let (roles, members) = (home.roles.clone(), home.members.clone());
            (home.owner, home.mfa, roles, members)
        };
        let before = looks(&self.guilds.home);
        let is_as_before = |first: &User| self.user(first.id).map(User::json) == Some(first.json());
        let is_renamed = !self.first_users.iter().all(is_as_before);
        self.settings = Settings::default();
        self.messages = Messages::default();
        self.files = Files::default();
        self.directs.clear();
        self.voice_statuses.clear();
        self.interactions = interactions::Interactions::default();
        self.oauth.reset();
        self.limits = Limits::default();
        self.faults = Faults::default();
        self.requests.clear();
        self.gateway.reset();
        self.users.restore(&self.first_users);
        self.guilds.reset(&self.users);
        self.calls.reset();
        if is_renamed || looks(&self.guilds.home) != before {
            self.guild_added(self.guilds.home.id, None);
        }
        self.log.clear();
    }

    /// Adds a guild, of which those are members who were there from the beginning; answers its id.
    pub fn found_guild(&mut self, plan: Plan) -> Id {
        self.guilds.add(plan, seed::first(&self.users))
    }

    pub fn user(&self, id: Id) -> Option<&User> {
        self.users.get(id)
    }

    /// The user of an `Authorization` header or of an Identify's token: bots with the prefix `Bot `, which Identify may
    /// leave out, people without one.
    pub fn user_by_token(&self, token: &str, prefix_required: bool) -> Option<&User> {
        let (bare, prefixed) = match token.strip_prefix("Bot ") {
            Some(bare) => (bare, true),
            None => (token, false),
        };
        let user = self.users.with_token(bare)?;
        let fits = if user.bot {
            prefixed || !prefix_required
        } else {
            !prefixed
        };
        fits.then_some(user)
    }

    /// Whether a user has two-factor authentication; for a bot its owner does.
    pub fn has_mfa(&self, user: &User) -> bool {
        let owner = user.bot.then(|| self.user(seed::DEVELOPER)).flatten();
        owner.unwrap_or(user).mfa
    }

    /// A user as he sees himself.
    pub fn own_json(&self, user: &User) -> Value {
        let mut shown = user.own_json();
        shown["mfa_enabled"] = json!(self.has_mfa(user));
        shown
    }

    /// What a good OAuth2 access token stands for: the bare token, without `Bearer `.
    pub fn access(&self, token: &str) -> Option<Access> {
        self.oauth
            .access(token, self.settings.oauth_token_ms, unix_ms())
    }

    /// A channel of the guild, or a direct one.
    pub fn channel(&self, id: Id) -> Option<&Channel> {
        let direct = || self.directs.iter().find(|channel| channel.id == id);
        self.guilds.channel(id).or_else(direct)
    }

    /// The guild of a channel; a direct one has none.
    pub fn guild_of(&self, channel: &Channel) -> Option<&Guild> {
        self.guilds.get(channel.guild?)
    }

    /// The voice states of a guild.
    pub fn voice_states(&self, guild: Id) -> impl Iterator<Item = &Value> {
        let seats = Seat { guild, user: Id(0) }..=Seat {
            guild,
            user: Id(u64::MAX),
        };
        self.voice.range(seats).map(|(_, state)| state)
    }

    /// What a user may do in a channel.
    pub fn permissions(&self, channel: &Channel, user: Id) -> u64 {
        match channel.recipient {
            Some(pair) if pair.contains(&user) => {
                permissions::ALL & !permissions::MANAGE_MESSAGES & !permissions::MENTION_EVERYONE
            }
            Some(_) => 0,
            None => self
                .guild_of(channel)
                .map_or(0, |guild| guild.permissions_in(channel, user)),
        }
    }

    /// A channel as a user sees it.
    pub fn channel_json(&self, channel: &Channel, viewer: Id) -> Value {
        if let Some(pair) = channel.recipient {
            let recipients: Vec<Value> = pair
                .iter()
                .filter(|&&id| id != viewer)
                .filter_map(|&id| self.user(id))
                .map(User::json)
                .collect();
            return json!({
                "id": channel.id,
                "type": channel.kind as u8,
                "flags": 0,
                "last_message_id": self.messages.last_id(channel.id),
                "recipients": recipients,
            });
        }
        let position = self
            .guild_of(channel)
            .and_then(|guild| guild.channels.iter().position(|c| c.id == channel.id))
            .unwrap_or(0);
        channel.json(position, self.messages.last_id(channel.id))
    }

    /// The channels of a guild. (A bot gets those too that it does not see, as it does from Discord.)
    pub fn guild_channels_json(&self, guild: &Guild, viewer: Id) -> Vec<Value> {
        guild
            .channels
            .iter()
            .map(|channel| self.channel_json(channel, viewer))
            .collect()
    }

    /// A message as REST shows it. Discord does not store nonces: only the answer to its creation and MESSAGE_CREATE
    /// have it.
    pub fn message_json(&self, message: &Message) -> Value {
        let mut json = message.json();
        json["author"] = self.user(message.author).map_or(Value::Null, User::json);
        let mentioned = message
            .mentions
            .users
            .iter()
            .filter_map(|&id| self.user(id));
        json["mentions"] = mentioned.map(User::json).collect();
        if let Some(original) = message.reply_to {
            json["message_reference"] = json!({
                "type": 0,
                "message_id": original,
                "channel_id": message.channel,
                "guild_id": self.channel(message.channel).and_then(|channel| channel.guild),
            });
            json["referenced_message"] =
                self.messages
                    .get(message.channel, original)
                    .map_or(Value::Null, |original| {
                        self.message_json(&Message {
                            reply_to: None,
                            ..original.clone()
                        })
                    });
        }
        json
    }
}
