//! GUILD_CREATE: what a session is told of a guild that it is in.

use serde_json::{Value, json};

use super::members::presences;
use crate::{
    gateway::intents,
    id::{Id, from_json, iso8601},
    state::State,
};

/// With more members than this a guild is large, and names only those who are online.
const LARGE: usize = 50;

impl State {
    /// GUILD_CREATE. Without GUILD_PRESENCES it names only the bot and who is in voice.
    pub fn guild_create(&self, id: Id, user: Id, intents: u64) -> Value {
        let Some(guild) = self.guilds.get(id) else {
            return json!({"id": id, "unavailable": true});
        };
        let all = intents & intents::GUILD_PRESENCES != 0;
        let large = guild.member_count() > LARGE;
        let in_voice: Vec<Option<Id>> = self
            .voice_states(id)
            .map(|voice| from_json(&voice["user_id"]))
            .collect();
        let named = |member: Id| {
            let here = all && (!large || self.gateway.presence(member).is_some());
            here || member == user || in_voice.contains(&Some(member))
        };
        let mut created = guild.json();
        created["joined_at"] = json!(guild.member(user).map(|member| iso8601(member.joined_ms)));
        created["large"] = json!(large);
        created["unavailable"] = json!(false);
        created["member_count"] = json!(guild.member_count());
        created["members"] = if large {
            let users = guild.members.values().filter(|member| named(member.user));
            let named = users.filter_map(|member| Some(member.json_with(self.user(member.user)?)));
            named.collect()
        } else {
            self.members_json(guild, Id(0), |user, _| named(user.id))
                .collect()
        };
        created["channels"] = self.guild_channels_json(guild, user).into();
        created["voice_states"] = self.voice_states(id).cloned().collect();
        created["presences"] = if all {
            presences(self, guild)
        } else {
            json!([])
        };
        for key in [
            "threads",
            "stage_instances",
            "guild_scheduled_events",
            "soundboard_sounds",
        ] {
            created[key] = json!([]);
        }
        created
    }

    /// A guild that has just been added is told to the sessions of its members; one that a user has just joined to his.
    pub fn guild_added(&mut self, id: Id, joined: Option<Id>) {
        let told: Vec<(String, Value)> = self
            .gateway
            .sessions()
            .filter(|session| session.wants(intents::GUILDS) && session.hears(Some(id)))
            .filter(|session| joined.is_none_or(|user| session.user == user))
            .filter(|session| {
                self.guilds
                    .get(id)
                    .is_some_and(|guild| guild.has(session.user))
            })
            .map(|session| {
                (
                    session.id.clone(),
                    self.guild_create(id, session.user, session.intents),
                )
            })
            .collect();
        self.gateway.dispatch("GUILD_CREATE", |session| {
            let own = told.iter().find(|(id, _)| *id == session.id);
            own.map(|(_, created)| created.clone())
        });
    }
}
