//! Identify and Resume, and what answers them.

use serde_json::{Value, json};

use super::{Client, DECODE_ERROR, Flow};
use crate::{
    gateway::{Session, intents},
    id::Id,
    state::{Presence, State, seed},
};

impl Client {
    pub(super) fn identify(&self, state: &mut State, data: &Value) -> Flow {
        let Some(identify) = Identify::parse(data) else {
            return DECODE_ERROR;
        };
        let Some(user) = state
            .user_by_token(identify.token, false)
            .map(|user| user.id)
        else {
            return Flow::Close(4004, "Authentication failed.");
        };
        let (left, _) = state.gateway.identifies.left(user, &state.settings);
        if left == 0 {
            // Discord resets the token of a bot that goes over its budget.
            state.violation("identify_budget", Some(user));
            return Flow::Close(4004, "Authentication failed.");
        }
        let [shard, shards] = identify.shard;
        let identifies = &mut state.gateway.identifies;
        if !identifies.count(user, shard, &state.settings) {
            state.violation("identify_rate", Some(user));
            return self.invalid_session();
        }
        if identify.intents & !intents::ALL != 0 {
            return Flow::Close(4013, "Invalid intent(s).");
        }
        if identify.intents & intents::PRIVILEGED & !state.settings.privileged_intents != 0 {
            return Flow::Close(4014, "Disallowed intent(s).");
        }
        if shard >= shards {
            return Flow::Close(4010, "Invalid shard.");
        }
        if shards < state.settings.required_shards.into() {
            return Flow::Close(4011, "Sharding required.");
        }
        let Ok(id) = seed::secret(16) else {
            return Flow::Close(4000, "Unknown error.");
        };
        let presence = identify.presence.unwrap_or_else(Presence::online);
        let session = Session::new(id.clone(), user, identify.intents, identify.shard, presence);
        let guilds = state.guilds.iter();
        let heard = guilds.filter(|guild| guild.has(user) && session.hears(Some(guild.id)));
        let guilds: Vec<Id> = heard.map(|guild| guild.id).collect();
        state.gateway.start(self.connection, session);
        state.log.push(
            "identify",
            json!({"user_id": user, "session_id": id, "connection": self.connection, "intents": identify.intents, "shard": identify.shard}),
        );
        let ready = self.ready(state, user, &id, identify.shard, &guilds);
        state.gateway.dispatch_to(self.connection, "READY", &ready);
        if identify.intents & intents::GUILDS != 0 {
            for id in guilds {
                let created = state.guild_create(id, user, identify.intents);
                state
                    .gateway
                    .dispatch_to(self.connection, "GUILD_CREATE", &created);
            }
        }
        state.presence_changed(user);
        Flow::Go
    }

    fn ready(
        &self,
        state: &State,
        user: Id,
        session: &str,
        shard: [u64; 2],
        guilds: &[Id],
    ) -> Value {
        let guilds = guilds
            .iter()
            .map(|id| json!({"id": id, "unavailable": true}));
        json!({
            "v": 10,
            "user": state.user(user).map(|user| state.own_json(user)),
            "guilds": guilds.collect::<Vec<_>>(),
            "session_id": session,
            "session_type": "normal",
            "resume_gateway_url": self.app.addresses().gateway,
            "shard": shard,
            "application": {"id": user, "flags": 0},
            "private_channels": [],
            "relationships": [],
            "presences": [],
            "user_settings": {},
            "geo_ordered_rtc_regions": [],
            "guild_join_requests": [],
            "auth": {},
            "_trace": [],
        })
    }

    pub(super) fn resume(&self, state: &mut State, data: &Value) -> Flow {
        let fields = (
            data["token"].as_str(),
            data["session_id"].as_str(),
            data["seq"].as_u64(),
        );
        let (Some(token), Some(session), Some(sequence)) = fields else {
            return DECODE_ERROR;
        };
        let Some(user) = state.user_by_token(token, false).map(|user| user.id) else {
            return Flow::Close(4004, "Authentication failed.");
        };
        let resumed = state
            .gateway
            .resume(self.connection, session, user, sequence);
        let kind = if resumed { "resume" } else { "resume_refused" };
        state.log.push(
            kind,
            json!({"user_id": user, "session_id": session, "connection": self.connection, "sequence": sequence}),
        );
        if resumed {
            Flow::Go
        } else {
            self.invalid_session()
        }
    }
}

struct Identify<'a> {
    token: &'a str,
    intents: u64,
    shard: [u64; 2],
    presence: Option<Presence>,
}

impl<'a> Identify<'a> {
    fn parse(data: &'a Value) -> Option<Self> {
        data.get("properties")?.as_object()?;
        let shard = match data.get("shard") {
            None | Some(Value::Null) => [0, 1],
            Some(shard) => match shard.as_array()?.as_slice() {
                [id, count] => [id.as_u64()?, count.as_u64()?],
                _ => return None,
            },
        };
        let presence = match data.get("presence") {
            None | Some(Value::Null) => None,
            Some(presence) => Some(Presence::parse(presence)?),
        };
        Some(Self {
            token: data.get("token")?.as_str()?,
            intents: data.get("intents")?.as_u64()?,
            shard,
            presence,
        })
    }
}
