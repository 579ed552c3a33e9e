//! More guilds than the one.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Body, ControlError,
    people::{may_make, people, settle},
};
use crate::{
    app::App,
    id::Id,
    state::{MOST_ROLES, Plan},
};

/// How many guilds there may be: with more, a bot has to have more shards than one session of the gateway can show.
const MOST: usize = 10_000;
/// A guild has at most 500 channels: <https://discord.com/developers/docs/resources/guild>.
const MOST_CHANNELS: u16 = 500;
/// As many members as a guild may have.
const MOST_MEMBERS: u32 = 500_000;

/// The roles that every guild has.
const FIRST_ROLES: usize = 2;

/// So many guilds, each with so many channels, and members besides the users.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct More {
    count: usize,
    #[serde(default)]
    text_channels: u16,
    #[serde(default)]
    voice_channels: u16,
    #[serde(default)]
    members: u32,
    /// Members with accounts, for each guild.
    #[serde(default)]
    people: usize,
    #[serde(default)]
    roles: u16,
}

/// Adds guilds, which the sessions are told of; answers the ids of them and of their channels.
pub async fn add(State(app): State<App>, Body(more): Body<More>) -> Answer {
    let mut state = app.state();
    let there = state.guilds.iter().count();
    if more.count > MOST.saturating_sub(there)
        || more.text_channels.saturating_add(more.voice_channels) > MOST_CHANNELS
        || more.members > MOST_MEMBERS
        || usize::from(more.roles) + FIRST_ROLES > MOST_ROLES
    {
        return Err(ControlError::TooMany {
            guilds: MOST,
            channels: MOST_CHANNELS,
            members: MOST_MEMBERS,
        });
    }
    may_make(&state, more.people.saturating_mul(more.count))?;
    let plan = Plan {
        text_channels: more.text_channels,
        voice_channels: more.voice_channels,
        crowd: more.members,
    };
    let added: Vec<Id> = (0..more.count).map(|_| state.found_guild(plan)).collect();
    for &id in &added {
        let people = people(&mut state, more.people)?;
        settle(&mut state, id, people, more.roles)?;
    }
    for &id in &added {
        state.guild_added(id, None);
    }
    let guilds = added.iter().filter_map(|&id| state.guilds.get(id));
    let shown: Vec<Value> = guilds
        .map(|guild| {
            let channels = guild.channels.iter();
            let ids = |voice| {
                let of_kind = channels
                    .clone()
                    .filter(move |c| c.kind.has_voice() == voice);
                of_kind.map(|channel| channel.id).collect::<Vec<_>>()
            };
            json!({
                "id": guild.id,
                "name": guild.name,
                "text_channels": ids(false),
                "voice_channels": ids(true),
                "roles": guild.roles.iter().map(|role| role.id).collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(Json(shown.into()))
}
