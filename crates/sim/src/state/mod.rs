//! What the simulated Discord knows. One lock holds all of it: every action is short, and none waits while holding it.

mod events;
mod files;
mod guild;
pub mod interactions;
mod log;
mod message;
pub mod permissions;
mod presence;
pub mod seed;
mod settings;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use self::{
    files::{Files, StoredFile},
    guild::{Channel, ChannelKind, Guild, Member, Overwrite, OverwriteKind, Role, User},
    log::{EventLog, RequestLog, RequestRecord},
    message::{Mentions, Message, Messages, flags},
    presence::Presence,
    settings::{Settings, SettingsChange},
};
use crate::{
    StartError,
    faults::Faults,
    gateway::Hub,
    id::{Id, Ids},
    rest::Limits,
    voice::Calls,
};

/// Everything that changes.
pub struct State {
    pub settings: Settings,
    pub ids: Ids,
    pub users: Vec<User>,
    pub guild: Guild,
    /// Direct channels that were opened.
    pub directs: Vec<Channel>,
    pub messages: Messages,
    pub files: Files,
    /// Voice states by user, of those who are in a voice channel.
    pub voice: BTreeMap<Id, Value>,
    pub calls: Calls,
    /// What voice channels say of themselves.
    pub voice_statuses: BTreeMap<Id, String>,
    pub interactions: interactions::Interactions,
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
            guild: seed::guild(more_channels, &users),
            users,
            directs: Vec::new(),
            messages: Messages::default(),
            files: Files::default(),
            voice: BTreeMap::new(),
            calls: Calls::default(),
            voice_statuses: BTreeMap::new(),
            interactions: interactions::Interactions::default(),
            limits: Limits::default(),
            faults: Faults::default(),
            gateway: Hub::default(),
            log: EventLog::default(),
            requests: RequestLog::default(),
        })
    }

    /// Back to the start, but for the live gateway sessions and the numbering of events.
    pub fn reset(&mut self) {
        self.settings = Settings::default();
        self.messages = Messages::default();
        self.files = Files::default();
        self.directs.clear();
        self.voice_statuses.clear();
        self.interactions = interactions::Interactions::default();
        self.limits = Limits::default();
        self.faults = Faults::default();
        self.requests.clear();
        self.log.clear();
        self.gateway.reset();
        self.calls.reset();
    }

    pub fn user(&self, id: Id) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The user of an `Authorization` header or of an Identify's token: bots with the prefix `Bot `, which Identify may
    /// leave out, people without one.
    pub fn user_by_token(&self, token: &str, prefix_required: bool) -> Option<&User> {
        let (bare, prefixed) = match token.strip_prefix("Bot ") {
            Some(bare) => (bare, true),
            None => (token, false),
        };
        self.users.iter().find(|user| {
            user.token == bare
                && if user.bot {
                    prefixed || !prefix_required
                } else {
                    !prefixed
                }
        })
    }

    /// A channel of the guild, or a direct one.
    pub fn channel(&self, id: Id) -> Option<&Channel> {
        self.guild
            .channels
            .iter()
            .chain(&self.directs)
            .find(|channel| channel.id == id)
    }

    /// What a user may do in a channel.
    pub fn permissions(&self, channel: &Channel, user: Id) -> u64 {
        match channel.recipient {
            Some(pair) if pair.contains(&user) => {
                permissions::ALL & !permissions::MANAGE_MESSAGES & !permissions::MENTION_EVERYONE
            }
            Some(_) => 0,
            None => self.guild.permissions_in(channel, user),
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
            .guild
            .channels
            .iter()
            .position(|c| c.id == channel.id)
            .unwrap_or(0);
        channel.json(self.guild.id, position, self.messages.last_id(channel.id))
    }

    /// The channels of the guild that a user sees. (A bot gets the others too, as it does from Discord.)
    pub fn guild_channels_json(&self, viewer: Id) -> Vec<Value> {
        self.guild
            .channels
            .iter()
            .map(|channel| self.channel_json(channel, viewer))
            .collect()
    }

    /// The members of the guild with their users.
    pub fn members_json(&self, select: impl Fn(&User) -> bool) -> Vec<Value> {
        self.guild
            .members
            .iter()
            .filter_map(|member| {
                let user = self.user(member.user).filter(|user| select(user))?;
                Some(member.json_with(user))
            })
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
                "guild_id": self.guild.id,
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
