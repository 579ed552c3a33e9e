//! What happens, told to whom it concerns: gateway sessions (as far as intents and permissions go) and the event log.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Channel, Message, Presence, State, permissions::VIEW_CHANNEL};
use crate::{
    gateway::intents,
    id::{Id, from_json},
    voice::Seat,
};

/// The parts of a message that need the MESSAGE_CONTENT intent.
const CONTENT: [&str; 4] = ["content", "embeds", "attachments", "components"];

impl State {
    /// MESSAGE_CREATE.
    pub fn message_created(&mut self, message: &Message) {
        let mut data = self.message_event(message);
        if let Some(nonce) = &message.nonce {
            data["nonce"] = nonce.clone();
        }
        self.tell_about_message("MESSAGE_CREATE", message, &data);
        self.log.push("message_create", json!({"message": data}));
    }

    /// MESSAGE_UPDATE.
    pub fn message_updated(&mut self, message: &Message) {
        let data = self.message_event(message);
        self.tell_about_message("MESSAGE_UPDATE", message, &data);
        self.log.push("message_update", json!({"message": data}));
    }

    /// MESSAGE_DELETE.
    pub fn message_deleted(&mut self, message: &Message) {
        let mut data = json!({"id": message.id, "channel_id": message.channel});
        if let Some(channel) = self.channel(message.channel).cloned() {
            Self::add_guild(&channel, &mut data);
            let intent = Self::intent(&channel, intents::GUILD_MESSAGES, intents::DIRECT_MESSAGES);
            self.tell_channel("MESSAGE_DELETE", &channel, intent, |_, _| data.clone());
        }
        self.log.push("message_delete", data);
    }

    /// The messages of a user in a guild since a moment are deleted.
    pub fn purge(&mut self, guild: Id, author: Id, since_ms: u64) {
        let channels = self.guilds.get(guild).map(|guild| guild.channels.clone());
        for channel in channels.into_iter().flatten() {
            let of_author = self
                .messages
                .of(channel.id)
                .filter(|message| message.author == author && message.id.created_ms() >= since_ms);
            let ids: Vec<Id> = of_author.map(|message| message.id).collect();
            if ids.is_empty() {
                continue;
            }
            for &id in &ids {
                self.messages.remove(channel.id, id);
                self.log.push(
                    "message_delete",
                    json!({"id": id, "channel_id": channel.id}),
                );
            }
            let data = json!({"ids": ids, "channel_id": channel.id, "guild_id": guild});
            self.tell_channel(
                "MESSAGE_DELETE_BULK",
                &channel,
                intents::GUILD_MESSAGES,
                |_, _| data.clone(),
            );
        }
    }

    /// Something happened to an interaction.
    pub fn interaction_changed(&mut self, kind: &'static str, id: Id) {
        let interaction = self.interactions.get_mut(id).cloned();
        let shown = interaction.map(|interaction| self.interaction_json(&interaction));
        self.log.push(kind, json!({"interaction": shown}));
    }

    /// TYPING_START.
    pub fn typing_started(&mut self, channel: &Channel, user: Id) {
        let mut data = json!({
            "channel_id": channel.id,
            "user_id": user,
            "timestamp": crate::id::unix_ms() / 1_000,
        });
        Self::add_guild(channel, &mut data);
        let intent = Self::intent(
            channel,
            intents::GUILD_MESSAGE_TYPING,
            intents::DIRECT_MESSAGE_TYPING,
        );
        self.tell_channel("TYPING_START", channel, intent, |_, _| data.clone());
        self.log.push("typing", data);
    }

    /// PRESENCE_UPDATE, for a user whose presence may have changed.
    pub fn presence_changed(&mut self, user: Id) {
        let data = self.presence_json(user);
        for guild in self.guilds.iter().filter(|guild| guild.has(user)) {
            self.gateway.dispatch("PRESENCE_UPDATE", |session| {
                let hears = session.wants(intents::GUILD_PRESENCES)
                    && session.hears(Some(guild.id))
                    && guild.has(session.user);
                hears.then(|| {
                    let mut data = data.clone();
                    data["guild_id"] = json!(guild.id);
                    data
                })
            });
        }
        let name = self.user(user).map(|user| user.name.clone());
        self.log.push(
            "presence",
            json!({
                "user_id": user,
                "name": name,
                "status": data["status"],
                "activities": data["activities"],
            }),
        );
    }

    /// VOICE_STATE_UPDATE, after a user joined, left or moved.
    pub fn voice_state_changed(&mut self, state: &Value) {
        if let Some(guild) = from_json(&state["guild_id"]) {
            self.tell_guild("VOICE_STATE_UPDATE", guild, state, |_, session| {
                session.wants(intents::GUILD_VOICE_STATES)
            });
        }
        self.log.push(
            "voice_state",
            json!({"user_id": state["user_id"], "guild_id": state["guild_id"], "channel_id": state["channel_id"]}),
        );
    }

    /// VOICE_CHANNEL_STATUS_UPDATE.
    pub fn voice_channel_status_changed(&mut self, channel: &Channel) {
        let data = json!({
            "id": channel.id,
            "guild_id": channel.guild,
            "status": self.voice_statuses.get(&channel.id),
        });
        self.tell_channel(
            "VOICE_CHANNEL_STATUS_UPDATE",
            channel,
            intents::GUILDS,
            |_, _| data.clone(),
        );
        self.log.push("voice_channel_status", data);
    }

    /// A session ended: who logged off, or nobody resumed it.
    pub fn session_ended(&mut self, user: Id) {
        self.log.push("session_end", json!({"user_id": user}));
        let left = self.voice.iter().filter(|(seat, voice)| {
            let id = &voice["session_id"];
            seat.user == user && !self.gateway.sessions().any(|session| *id == session.id)
        });
        let left: Vec<Seat> = left.map(|(&seat, _)| seat).collect();
        for seat in left {
            self.leave_voice(seat);
        }
        self.presence_changed(user);
    }

    /// A client broke a rule of the gateway.
    pub fn violation(&mut self, kind: &'static str, user: Option<Id>) {
        self.gateway.count_violation(kind);
        self.log
            .push("violation", json!({"kind": kind, "user_id": user}));
    }

    /// What others see of a user: what the newest of his sessions said.
    pub fn presence(&self, user: Id) -> Presence {
        self.gateway
            .presence(user)
            .cloned()
            .unwrap_or_else(Presence::offline)
    }

    /// A presence as PRESENCE_UPDATE has it, without the guild.
    pub fn presence_json(&self, user: Id) -> Value {
        let presence = self.presence(user);
        let client_status = match presence.status {
            "offline" => json!({}),
            status => json!({"web": status}),
        };
        json!({
            "user": {"id": user},
            "status": presence.status,
            "activities": presence.activities,
            "client_status": client_status,
        })
    }

    fn message_event(&self, message: &Message) -> Value {
        let mut data = self.message_json(message);
        if let Some(channel) = self.channel(message.channel) {
            Self::add_guild(channel, &mut data);
        }
        let guild = self.guilds.of_channel(message.channel);
        if let Some(member) = guild.and_then(|guild| guild.member(message.author)) {
            data["member"] = member.json();
        }
        data
    }

    fn add_guild(channel: &Channel, data: &mut Value) {
        if let Some(guild) = channel.guild {
            data["guild_id"] = json!(guild);
        }
    }

    fn intent(channel: &Channel, in_guild: u64, direct: u64) -> u64 {
        if channel.recipient.is_some() {
            direct
        } else {
            in_guild
        }
    }

    fn tell_about_message(&mut self, kind: &str, message: &Message, data: &Value) {
        let Some(channel) = self.channel(message.channel).cloned() else {
            return;
        };
        let intent = Self::intent(&channel, intents::GUILD_MESSAGES, intents::DIRECT_MESSAGES);
        self.tell_channel(kind, &channel, intent, |user, session_intents| {
            let open = session_intents & intents::MESSAGE_CONTENT != 0
                || channel.recipient.is_some()
                || message.author == user
                || message.mentions.users.contains(&user);
            let mut data = data.clone();
            if !open {
                for key in CONTENT {
                    data[key] = if key == "content" {
                        json!("")
                    } else {
                        json!([])
                    };
                }
            }
            data
        });
    }

    /// Dispatches to the sessions that asked for it and whose user sees the channel.
    fn tell_channel(
        &mut self,
        kind: &str,
        channel: &Channel,
        intent: u64,
        data: impl Fn(Id, u64) -> Value,
    ) {
        let here: BTreeSet<Id> = self
            .gateway
            .sessions()
            .map(|session| session.user)
            .collect();
        let viewers: Vec<Id> = here
            .into_iter()
            .filter(|&user| self.permissions(channel, user) & VIEW_CHANNEL != 0)
            .collect();
        let guild = channel.guild;
        self.gateway.dispatch(kind, |session| {
            let hears = session.wants(intent) && session.hears(guild);
            (hears && viewers.contains(&session.user)).then(|| data(session.user, session.intents))
        });
    }
}
