//! What a client sends: Identify, Resume, Heartbeat, presence, voice state, members.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Out, Session, intents};
use crate::{
    app::App,
    id::Id,
    state::{ChannelKind, Presence, State, seed},
};

const MAX_PRESENCES: usize = 5;
const PRESENCE_WINDOW: Duration = Duration::from_secs(20);

const DECODE_ERROR: Flow = Flow::Close(4002, "Error while decoding payload.");

/// What becomes of the connection after a command.
pub enum Flow {
    Go,
    Close(u16, &'static str),
}

/// The client at the other end of a connection.
pub struct Client {
    app: App,
    connection: u64,
    out: mpsc::Sender<Out>,
    /// When the presences of the last 20 seconds came.
    presences: VecDeque<Instant>,
}

impl Client {
    pub fn new(app: App, connection: u64, out: mpsc::Sender<Out>) -> Self {
        Self {
            app,
            connection,
            out,
            presences: VecDeque::new(),
        }
    }

    /// The number of the connection.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Carries out one command.
    pub fn command(&mut self, op: u64, data: &Value) -> Flow {
        let app = self.app.clone();
        let mut state = app.state();
        let user = state
            .gateway
            .session_of(self.connection)
            .map(|session| session.user);
        match (op, user) {
            (1, _) => self.send(json!({"op": 11, "d": null, "s": null, "t": null})),
            (2, None) => self.identify(&mut state, data),
            (6, None) => self.resume(&mut state, data),
            (2 | 6, Some(_)) => Flow::Close(4005, "Already authenticated."),
            (3 | 4 | 8, None) => Flow::Close(4003, "Not authenticated."),
            (3, Some(user)) => self.presence(&mut state, user, data),
            (4, Some(user)) => self.voice_state(&mut state, user, data),
            (8, Some(_)) => self.members(&mut state, data),
            // Soundboard sounds and channel info: known, and nothing to tell.
            (31 | 43, Some(_)) => Flow::Go,
            _ => Flow::Close(4001, "Unknown opcode."),
        }
    }

    /// A client that does not take even control payloads is dropped.
    fn send(&self, payload: Value) -> Flow {
        match self.out.try_send(Out::Send(payload)) {
            Ok(()) => Flow::Go,
            Err(_) => Flow::Close(4000, "The client reads too slowly."),
        }
    }

    fn invalid_session(&self) -> Flow {
        self.send(json!({"op": 9, "d": false, "s": null, "t": null}))
    }

    fn identify(&self, state: &mut State, data: &Value) -> Flow {
        let Some(identify) = Identify::parse(data) else {
            return DECODE_ERROR;
        };
        let Some(user) = state
            .user_by_token(identify.token, false)
            .map(|user| user.id)
        else {
            return Flow::Close(4004, "Authentication failed.");
        };
        let (left, _) = state
            .gateway
            .identifies_left(user, state.settings.identify_budget);
        if left == 0 {
            // Discord resets the token of a bot that goes over its budget.
            state.violation("identify_budget", Some(user));
            return Flow::Close(4004, "Authentication failed.");
        }
        let interval = Duration::from_millis(state.settings.identify_interval_ms);
        if !state.gateway.count_identify(user, interval) {
            state.violation("identify_rate", Some(user));
            return self.invalid_session();
        }
        if identify.intents & !intents::ALL != 0 {
            return Flow::Close(4013, "Invalid intent(s).");
        }
        if identify.intents & intents::PRIVILEGED & !state.settings.privileged_intents != 0 {
            return Flow::Close(4014, "Disallowed intent(s).");
        }
        let [shard, shards] = identify.shard;
        if shard >= shards {
            return Flow::Close(4010, "Invalid shard.");
        }
        let Ok(id) = seed::secret(16) else {
            return Flow::Close(4000, "Unknown error.");
        };
        let presence = identify.presence.unwrap_or_else(Presence::online);
        let session = Session::new(id.clone(), user, identify.intents, identify.shard, presence);
        state.gateway.start(self.connection, session);
        state.log.push(
            "identify",
            json!({"user_id": user, "session_id": id, "connection": self.connection, "intents": identify.intents}),
        );
        let ready = self.ready(state, user, &id, identify.shard);
        state.gateway.dispatch_to(self.connection, "READY", &ready);
        if identify.intents & intents::GUILDS != 0 && has_guild(state, identify.shard) {
            let guild = guild_create(state, user, identify.intents);
            state
                .gateway
                .dispatch_to(self.connection, "GUILD_CREATE", &guild);
        }
        state.presence_changed(user);
        Flow::Go
    }

    fn ready(&self, state: &State, user: Id, session: &str, shard: [u64; 2]) -> Value {
        let guild = json!({"id": state.guild.id, "unavailable": true});
        json!({
            "v": 10,
            "user": state.user(user).map(|user| user.own_json()),
            "guilds": if has_guild(state, shard) { vec![guild] } else { vec![] },
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

    fn resume(&self, state: &mut State, data: &Value) -> Flow {
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

    fn presence(&mut self, state: &mut State, user: Id, data: &Value) -> Flow {
        let Some(presence) = Presence::parse(data) else {
            return DECODE_ERROR;
        };
        let now = Instant::now();
        while self
            .presences
            .front()
            .is_some_and(|&at| now.duration_since(at) >= PRESENCE_WINDOW)
        {
            self.presences.pop_front();
        }
        if self.presences.len() == MAX_PRESENCES {
            state.violation("presence_rate", Some(user));
            return Flow::Go;
        }
        self.presences.push_back(now);
        if let Some(session) = state.gateway.session_of(self.connection) {
            session.presence = presence;
        }
        state.presence_changed(user);
        Flow::Go
    }

    fn voice_state(&self, state: &mut State, user: Id, data: &Value) -> Flow {
        let Some(guild) = id(&data["guild_id"]) else {
            return DECODE_ERROR;
        };
        let channel = match &data["channel_id"] {
            Value::Null => None,
            channel => match id(channel) {
                Some(channel) => Some(channel),
                None => return DECODE_ERROR,
            },
        };
        if guild != state.guild.id {
            return Flow::Go;
        }
        // Discord stays silent when the channel cannot be joined.
        let joinable = channel.is_none_or(|id| {
            state.channel(id).is_some_and(|channel| {
                channel.kind == ChannelKind::Voice
                    && state.permissions(channel, user) & crate::state::permissions::CONNECT != 0
            })
        });
        if !joinable {
            return Flow::Go;
        }
        let session = state
            .gateway
            .session_of(self.connection)
            .map(|session| session.id.clone());
        let flag = |key: &str| data[key].as_bool().unwrap_or(false);
        let voice = json!({
            "guild_id": guild,
            "channel_id": channel,
            "user_id": user,
            "member": state.members_json(|member| member.id == user).pop(),
            "session_id": session,
            "deaf": false,
            "mute": false,
            "self_deaf": flag("self_deaf"),
            "self_mute": flag("self_mute"),
            "self_video": false,
            "suppress": false,
            "request_to_speak_timestamp": null,
        });
        if channel.is_some() {
            state.voice.insert(user, voice.clone());
        } else {
            state.voice.remove(&user);
        }
        state.voice_state_changed(&voice);
        if channel.is_some() {
            let Ok(token) = seed::secret(12) else {
                return Flow::Close(4000, "Unknown error.");
            };
            let server =
                json!({"token": token, "guild_id": guild, "endpoint": self.app.addresses().host});
            state
                .gateway
                .dispatch_to(self.connection, "VOICE_SERVER_UPDATE", &server);
        }
        Flow::Go
    }

    fn members(&self, state: &mut State, data: &Value) -> Flow {
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

fn id(value: &Value) -> Option<Id> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().map(Id),
        _ => None,
    }
}

/// Whether the guild's events go to this shard.
fn has_guild(state: &State, [shard, shards]: [u64; 2]) -> bool {
    (state.guild.id.0 >> 22) % shards == shard
}

fn presences(state: &State) -> Value {
    let users = state.users.iter().map(|user| state.presence_json(user.id));
    users
        .filter(|presence| presence["status"] != "offline")
        .collect()
}

/// GUILD_CREATE. Without GUILD_PRESENCES it names only the bot and who is in voice.
fn guild_create(state: &State, user: Id, intents: u64) -> Value {
    let all = intents & intents::GUILD_PRESENCES != 0;
    let mut guild = state.guild.json();
    guild["joined_at"] = json!(crate::id::iso8601(user.created_ms()));
    guild["large"] = json!(false);
    guild["unavailable"] = json!(false);
    guild["member_count"] = json!(state.guild.members.len());
    guild["members"] = state
        .members_json(|member| all || member.id == user || state.voice.contains_key(&member.id))
        .into();
    guild["channels"] = state.guild_channels_json(user).into();
    guild["voice_states"] = state.voice.values().cloned().collect();
    guild["presences"] = if all { presences(state) } else { json!([]) };
    for key in [
        "threads",
        "stage_instances",
        "guild_scheduled_events",
        "soundboard_sounds",
    ] {
        guild[key] = json!([]);
    }
    guild
}
