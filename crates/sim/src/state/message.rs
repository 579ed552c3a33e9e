//! Messages, and a bounded store of them for each channel.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use crate::id::{Id, iso8601, unix_ms};

/// Messages kept for a channel; the oldest go first.
const KEPT_PER_CHANNEL: usize = 1_000;

/// Bits of a message's `flags`.
pub mod flags {
    /// Published to the channels that follow an announcement channel.
    pub const CROSSPOSTED: u64 = 1;
    /// Links are not shown as embeds.
    pub const SUPPRESS_EMBEDS: u64 = 1 << 2;
    /// Only one user sees it.
    pub const EPHEMERAL: u64 = 1 << 6;
    /// An application is thinking about what it will say.
    pub const LOADING: u64 = 1 << 7;
    /// Nobody is notified.
    pub const SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;
    /// Made of components only, with no content and no embeds.
    pub const IS_COMPONENTS_V2: u64 = 1 << 15;
}

/// Who is notified by a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    pub users: Vec<Id>,
    pub roles: Vec<Id>,
    pub everyone: bool,
}

/// A message as it is stored.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: Id,
    pub channel: Id,
    pub author: Id,
    pub content: String,
    pub edited_ms: Option<u64>,
    pub tts: bool,
    pub mentions: Mentions,
    /// Attachment objects, embeds and components as Discord shows them.
    pub attachments: Vec<Value>,
    pub embeds: Vec<Value>,
    pub components: Vec<Value>,
    pub flags: u64,
    /// As it was sent: a string or an integer.
    pub nonce: Option<Value>,
    /// The message that this one answers.
    pub reply_to: Option<Id>,
}

impl Message {
    /// The message without author, mentioned users, nonce and the message it answers, which the state adds.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "type": if self.reply_to.is_some() { 19 } else { 0 },
            "channel_id": self.channel,
            "content": self.content,
            "timestamp": iso8601(self.id.created_ms()),
            "edited_timestamp": self.edited_ms.map(iso8601),
            "tts": self.tts,
            "mention_everyone": self.mentions.everyone,
            "mention_roles": self.mentions.roles,
            "attachments": self.attachments,
            "embeds": self.embeds,
            "components": self.components,
            "flags": self.flags,
            "pinned": false,
        })
    }
}

/// The messages of all channels.
#[derive(Debug, Default)]
pub struct Messages {
    channels: HashMap<Id, VecDeque<Message>>,
}

impl Messages {
    /// A channel's messages, oldest first.
    pub fn of(&self, channel: Id) -> impl DoubleEndedIterator<Item = &Message> {
        self.channels.get(&channel).into_iter().flatten()
    }

    pub fn get(&self, channel: Id, id: Id) -> Option<&Message> {
        let messages = self.channels.get(&channel)?;
        messages
            .binary_search_by_key(&id, |m| m.id)
            .ok()
            .and_then(|at| messages.get(at))
    }

    pub fn get_mut(&mut self, channel: Id, id: Id) -> Option<&mut Message> {
        let messages = self.channels.get_mut(&channel)?;
        messages
            .binary_search_by_key(&id, |m| m.id)
            .ok()
            .and_then(|at| messages.get_mut(at))
    }

    /// Adds a message, whose id is the newest of all.
    pub fn push(&mut self, message: Message) {
        let messages = self.channels.entry(message.channel).or_default();
        if messages.len() == KEPT_PER_CHANNEL {
            messages.pop_front();
        }
        messages.push_back(message);
    }

    pub fn remove(&mut self, channel: Id, id: Id) -> Option<Message> {
        let messages = self.channels.get_mut(&channel)?;
        let at = messages.binary_search_by_key(&id, |m| m.id).ok()?;
        messages.remove(at)
    }

    pub fn last_id(&self, channel: Id) -> Option<Id> {
        self.of(channel).next_back().map(|message| message.id)
    }

    /// The message that this author sent with this nonce in the past `memory_ms`, in whatever channel.
    pub fn by_nonce(&self, author: Id, nonce: &Value, memory_ms: u64) -> Option<&Message> {
        let since = unix_ms().saturating_sub(memory_ms);
        self.channels.values().find_map(|messages| {
            messages
                .iter()
                .rev()
                .take_while(|m| m.id.created_ms() >= since)
                .find(|m| m.author == author && m.nonce.as_ref() == Some(nonce))
        })
    }
}
