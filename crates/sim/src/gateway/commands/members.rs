//! Request Guild Members.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Client, DECODE_ERROR, Flow};
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
            Value::Array(guilds) if guilds.len() == 1 => from_json(&guilds[0]),
            guild => from_json(guild),
        };
        let Some(guild) = guild else {
            return DECODE_ERROR;
        };
        // Each once, in the order of their ids.
        let users: Option<BTreeSet<Id>> = match &data["user_ids"] {
            Value::Null => None,
            Value::Array(users) if users.len() <= 100 => {
                match users.iter().map(from_json).collect() {
                    Some(users) => Some(users),
                    None => return DECODE_ERROR,
                }
            }
            user => match from_json(user) {
                Some(user) => Some(BTreeSet::from([user])),
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
        let mut not_found = Vec::new();
        let members: Vec<Value> = if let Some(users) = users {
            // Each is looked up: of the members, who may be very many, no others are looked at.
            let mut found = Vec::new();
            for user in users {
                match state.member_json(guild, user) {
                    Some(member) => found.push(member),
                    None => not_found.push(user),
                }
            }
            found
        } else {
            let members = state.members_json(guild, Id(0), |user, _| {
                user.name.starts_with(query.unwrap_or_default())
            });
            members.take(limit).collect()
        };
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
