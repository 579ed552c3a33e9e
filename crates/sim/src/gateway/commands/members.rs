//! Request Guild Members.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Client, DECODE_ERROR, Flow, id};
use crate::{
    gateway::intents,
    id::{Id, from_json},
    state::{Guild, State},
};

/// How many members a chunk has at most.
const CHUNK: usize = 1_000;

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
        let session = state.gateway.session_of(self.connection);
        let Some((user, intents)) = session.map(|session| (session.user, session.intents)) else {
            return Flow::Go;
        };
        let everybody = users.is_none() && query == Some("");
        // Whoever is no member gets no answer, as for a guild that is not there.
        let Some(guild) = state.guilds.get(guild).filter(|guild| guild.has(user)) else {
            return Flow::Go;
        };
        if everybody && intents & intents::GUILD_MEMBERS == 0 {
            return Flow::Go;
        }
        let limit = match data["limit"].as_u64() {
            Some(limit @ 1..) => usize::try_from(limit).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let members = state.members_json(guild, Id(0), |user, _| match (&users, query) {
            (Some(users), _) => users.contains(&user.id),
            (None, query) => user.name.starts_with(query.unwrap_or_default()),
        });
        let members: Vec<Value> = members.take(limit).collect();
        let found: Vec<Option<Id>> = match &users {
            Some(_) => members
                .iter()
                .map(|m| from_json(&m["user"]["id"]))
                .collect(),
            None => Vec::new(),
        };
        let missing = users
            .iter()
            .flatten()
            .filter(|id| !found.contains(&Some(**id)));
        let not_found: Vec<Id> = missing.copied().collect();
        let shown = data["presences"] == json!(true) && intents & intents::GUILD_PRESENCES != 0;
        let presences = shown.then(|| presences(state, guild));
        let nonce = data["nonce"].as_str().filter(|nonce| nonce.len() <= 32);
        let id = guild.id;
        // Nobody is a chunk too.
        let count = members.len().div_ceil(CHUNK).max(1);
        for index in 0..count {
            let part = members.iter().skip(index * CHUNK).take(CHUNK);
            let mut chunk = json!({
                "guild_id": id,
                "members": part.collect::<Vec<_>>(),
                "chunk_index": index,
                "chunk_count": count,
                "not_found": if index == 0 { not_found.as_slice() } else { &[] },
            });
            if let Some(presences) = presences.as_ref().filter(|_| index == 0) {
                chunk["presences"] = presences.clone();
            }
            if let Some(nonce) = nonce {
                chunk["nonce"] = json!(nonce);
            }
            state
                .gateway
                .dispatch_to(self.connection, "GUILD_MEMBERS_CHUNK", &chunk);
        }
        Flow::Go
    }
}

/// Of those who are members.
pub(super) fn presences(state: &State, guild: &Guild) -> Value {
    let here: BTreeSet<Id> = state
        .gateway
        .sessions()
        .map(|session| session.user)
        .filter(|user| guild.has(*user))
        .collect();
    let users = here.into_iter().map(|user| state.presence_json(user));
    users
        .filter(|presence| presence["status"] != "offline")
        .collect()
}
