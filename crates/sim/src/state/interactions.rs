//! Application commands, and what people do with them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Message, State, flags};
use crate::id::Id;

/// Interactions kept; the oldest go first.
const KEPT: usize = 1_000;
/// The first response must come within this time.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// Types of interactions (`developers/interactions/receiving-and-responding`).
pub mod kind {
    /// A slash command, or one of a user's or a message's menu.
    pub const COMMAND: u64 = 2;
    /// A button or a menu of a message.
    pub const COMPONENT: u64 = 3;
    /// An option of a command is being typed.
    pub const AUTOCOMPLETE: u64 = 4;
    /// A modal is submitted.
    pub const MODAL: u64 = 5;
}

/// Somebody used a command or a component.
#[derive(Debug, Clone)]
pub struct Interaction {
    pub id: Id,
    pub token: String,
    pub application: Id,
    pub kind: u64,
    /// How it reached the application: `gateway` or `http`.
    pub via: &'static str,
    pub user: Id,
    pub channel: Id,
    /// The `data` of the interaction.
    pub data: Value,
    /// The message that the component is on, also where it opened the modal.
    pub on: Option<Id>,
    pub created: Instant,
    pub response: Option<Response>,
    /// What an endpoint did that Discord would not take.
    pub failure: Option<String>,
    /// Messages after the first response that only the user sees.
    pub followups: Vec<Message>,
}

/// The first response to an interaction.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its type, such as 4 for a message.
    pub kind: u64,
    /// How long it took.
    pub after_ms: u64,
    /// What else there is to it: the choices of an autocompletion, or a modal.
    pub data: Value,
    pub original: Original,
}

/// The message that `@original` stands for.
#[derive(Debug, Clone)]
pub enum Original {
    /// There is none.
    None,
    /// It is in the channel.
    InChannel(Id),
    /// Only the user sees it.
    Private(Box<Message>),
}

/// Why a token cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    Unknown,
    Expired,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Interactions {
    /// By application, and guild if they are only there.
    pub commands: BTreeMap<(Id, Option<Id>), Vec<Value>>,
    /// New commands made by each application.
    pub created: BTreeMap<Id, usize>,
    /// Where interactions are sent instead of the gateway.
    pub endpoint: Option<String>,
    /// Where webhook events are sent.
    pub events_endpoint: Option<String>,
    kept: VecDeque<Interaction>,
}

impl Interactions {
    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Interaction> {
        self.kept.iter()
    }

    pub fn push(&mut self, interaction: Interaction) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(interaction);
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut Interaction> {
        self.kept.iter_mut().find(|kept| kept.id == id)
    }

    /// The interaction of a token that is still good for `lifetime`.
    pub fn by_token(
        &mut self,
        application: Id,
        token: &str,
        lifetime: Duration,
    ) -> Result<&mut Interaction, TokenError> {
        let found = self
            .kept
            .iter_mut()
            .find(|kept| kept.application == application && kept.token == token)
            .ok_or(TokenError::Unknown)?;
        if found.created.elapsed() > lifetime {
            return Err(TokenError::Expired);
        }
        Ok(found)
    }

    /// The command of a name, in the guild or everywhere.
    pub fn command(&self, application: Id, name: &str) -> Option<&Value> {
        self.commands
            .iter()
            .filter(|((of, _), _)| *of == application)
            .flat_map(|(_, commands)| commands)
            .find(|command| command["name"] == name)
    }
}

impl State {
    /// The message that `@original` stands for.
    pub fn original(&self, interaction: &Interaction) -> Option<Message> {
        match &interaction.response.as_ref()?.original {
            Original::None => None,
            Original::InChannel(id) => self.messages.get(interaction.channel, *id).cloned(),
            Original::Private(message) => Some(message.as_ref().clone()),
        }
    }

    /// An interaction as the control interface shows it.
    pub fn interaction_json(&self, interaction: &Interaction) -> Value {
        let response = interaction.response.as_ref().map(|response| {
            let message = self.original(interaction);
            json!({
                "type": response.kind,
                "after_ms": response.after_ms,
                "data": response.data,
                "private": matches!(response.original, Original::Private(_)),
                "waiting": message.as_ref().is_some_and(|m| m.flags & flags::LOADING != 0),
                "message": message.map(|message| self.message_json(&message)),
            })
        });
        let followups = interaction.followups.iter();
        json!({
            "id": interaction.id,
            "type": interaction.kind,
            "via": interaction.via,
            "user_id": interaction.user,
            "channel_id": interaction.channel,
            "data": interaction.data,
            "response": response,
            "failure": interaction.failure,
            "followups": followups.map(|message| self.message_json(message)).collect::<Vec<_>>(),
        })
    }

    /// What the application gets: the payload of INTERACTION_CREATE, or the body of the POST.
    pub fn interaction_payload(&self, interaction: &Interaction) -> Value {
        let guild = self.guilds.of_channel(interaction.channel);
        let guild_id = guild.map(|guild| guild.id);
        let mut payload = json!({
            "version": 1,
            "id": interaction.id,
            "application_id": interaction.application,
            "type": interaction.kind,
            "token": interaction.token,
            "data": interaction.data,
            "guild_id": guild_id,
            "guild": {"id": guild_id, "locale": "en-US", "features": []},
            "channel_id": interaction.channel,
            "locale": "en-US",
            "guild_locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {"0": guild_id},
            "context": 0,
            "attachment_size_limit": 10 << 20,
        });
        if let Some(channel) = self.channel(interaction.channel) {
            payload["channel"] = self.channel_json(channel, interaction.user);
            let own = self.permissions(channel, interaction.application);
            payload["app_permissions"] = json!(own.to_string());
            let member = guild.and_then(|guild| guild.member(interaction.user));
            if let (Some(member), Some(user)) = (member, self.user(interaction.user)) {
                payload["member"] = member.json_with(user);
                let permissions = self.permissions(channel, interaction.user);
                payload["member"]["permissions"] = json!(permissions.to_string());
            }
        }
        if let Some(message) = interaction
            .on
            .and_then(|id| self.messages.get(interaction.channel, id))
        {
            payload["message"] = self.message_json(message);
        }
        payload
    }
}
