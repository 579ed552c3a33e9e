//! Request Guild Members.

use serde_json::{Value, json};

use super::{Client, DECODE_ERROR, Flow, id};
use crate::{gateway::intents, id::Id, state::State};

impl Client {
    pub(super) fn members(&self, state: &mut State, data: &Value) -> Flow {
        let guild = match &data["guild_id"] {
            // An array of one is what old libraries send.
            Value::Array(guilds) if guilds.len() == 1 => id(&guilds[0]),
            guild => id(guild),
        };
        let Some(guild) = guild else {
            return DECODE_ERROR;
        };
        let users: Option<Vec<Id>> = match &data["user_ids"] {
            Value::Null => None,
            Value::Array(users) if users.len() <= 100 => match users.iter().map(id).collect() {
                Some(users) => Some(users),
                None => return DECODE_ERROR,
            },
            user => match id(user) {
                Some(user) => Some(vec![user]),
                None => return DECODE_ERROR,
            },
        };
        let query = data["query"].as_str();
        if users.is_none() && query.is_none() {
            return DECODE_ERROR;
        }
        let intents = state
            .gateway
            .session_of(self.connection)
            .map_or(0, |session| session.intents);
        let everybody = users.is_none() && query == Some("");
        if guild != state.guild.id || (everybody && intents & intents::GUILD_MEMBERS == 0) {
            return Flow::Go;
        }
        let mut members = state.members_json(|user| match (&users, query) {
            (Some(users), _) => users.contains(&user.id),
            (None, query) => user.name.starts_with(query.unwrap_or_default()),
        });
        if let Some(limit @ 1..) = data["limit"].as_u64() {
            members.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let not_found: Vec<Id> = users
            .into_iter()
            .flatten()
            .filter(|&id| state.user(id).is_none())
            .collect();
        let mut chunk = json!({
            "guild_id": guild,
            "members": members,
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": not_found,
        });
        if data["presences"] == json!(true) && intents & intents::GUILD_PRESENCES != 0 {
            chunk["presences"] = presences(state);
        }
        if let Some(nonce) = data["nonce"].as_str().filter(|nonce| nonce.len() <= 32) {
            chunk["nonce"] = json!(nonce);
        }
        state
            .gateway
            .dispatch_to(self.connection, "GUILD_MEMBERS_CHUNK", &chunk);
        Flow::Go
    }
}

pub(super) fn presences(state: &State) -> Value {
    let users = state.users.iter().map(|user| state.presence_json(user.id));
    users
        .filter(|presence| presence["status"] != "offline")
        .collect()
}
