//! Application commands (`developers/interactions/application-commands`).

mod check;

use std::collections::HashMap;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use serde_json::{Value, json};

use self::check::{duplicates, walk};
use crate::{
    app::App,
    id::Id,
    rest::{ApiError, Caller, FormErrors, reading::path_id, validate::Check},
    state::State as Discord,
};

const CHAT_INPUT: u64 = 1;
const ENTRY_POINT: u64 = 4;
/// How many there may be of each type.
const LIMITS: [(u64, usize); 4] = [(CHAT_INPUT, 100), (2, 15), (3, 15), (ENTRY_POINT, 1)];
/// New ones in a day.
const DAILY: usize = 200;

type Answer = Result<Json<Value>, ApiError>;

/// Whose commands, and in which guild, if only there.
fn place(
    state: &Discord,
    path: &HashMap<String, String>,
    caller: Id,
) -> Result<(Id, Option<Id>), ApiError> {
    let application = path_id("application_id", &path["application_id"])?;
    if application != caller {
        return Err(ApiError::missing_access());
    }
    let guild = path
        .get("guild_id")
        .map(|guild| path_id("guild_id", guild))
        .transpose()?;
    match guild {
        Some(guild) if state.guilds.get(guild).is_none() => Err(ApiError::missing_access()),
        guild => Ok((application, guild)),
    }
}

pub async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(path): Path<HashMap<String, String>>,
) -> Answer {
    let state = app.state();
    let place = place(&state, &path, caller)?;
    let commands = state.interactions.commands.get(&place);
    Ok(Json(commands.cloned().unwrap_or_default().into()))
}

/// All commands at once: those that are not named go.
pub async fn overwrite(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(path): Path<HashMap<String, String>>,
    body: Bytes,
) -> Answer {
    let mut state = app.state();
    let place = place(&state, &path, caller)?;
    let Ok(Value::Array(given)) = serde_json::from_slice(&body) else {
        return Err(ApiError::invalid_json());
    };
    let mut check = Check::default();
    for (index, command) in given.iter().enumerate() {
        check.at(&index.to_string(), |check| walk(check, command));
    }
    duplicates(&mut check, &given);
    check.errors.into_result()?;
    set(&mut state, place, given)
}

/// One command more, or in the place of the one of its name.
pub async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(path): Path<HashMap<String, String>>,
    body: Bytes,
) -> Answer {
    let mut state = app.state();
    let place = place(&state, &path, caller)?;
    let given: Value = serde_json::from_slice(&body).map_err(|_| ApiError::invalid_json())?;
    let mut check = Check::default();
    walk(&mut check, &given);
    check.errors.into_result()?;
    let before = state.interactions.commands.get(&place);
    let mut all = before.cloned().unwrap_or_default();
    all.retain(|command| !same(command, &given));
    all.push(given.clone());
    let Json(all) = set(&mut state, place, all)?;
    let made = all
        .as_array()
        .into_iter()
        .flatten()
        .find(|command| same(command, &given));
    Ok(Json(made.cloned().unwrap_or_default()))
}

fn kind(command: &Value) -> u64 {
    command["type"].as_u64().unwrap_or(CHAT_INPUT)
}

fn same(one: &Value, other: &Value) -> bool {
    one["name"] == other["name"] && kind(one) == kind(other)
}

fn set(state: &mut Discord, place: (Id, Option<Id>), given: Vec<Value>) -> Answer {
    for (limited, most) in LIMITS {
        if given
            .iter()
            .filter(|command| kind(command) == limited)
            .count()
            > most
        {
            return Err(ApiError::too_many_commands(most));
        }
    }
    let before = state
        .interactions
        .commands
        .get(&place)
        .cloned()
        .unwrap_or_default();
    let new = given
        .iter()
        .filter(|command| !before.iter().any(|old| same(old, command)))
        .count();
    let created = state.interactions.created.entry(place.0).or_default();
    if *created + new > DAILY {
        return Err(ApiError::too_many_command_creates(DAILY));
    }
    *created += new;
    let commands: Vec<Value> = given
        .into_iter()
        .map(|command| {
            let old = before.iter().find(|old| same(old, &command));
            let id = old.map_or_else(|| json!(state.ids.next()), |old| old["id"].clone());
            complete(command, id, place, &json!(state.ids.next()))
        })
        .collect();
    state.interactions.commands.insert(place, commands.clone());
    state.log.push(
        "commands",
        json!({"names": commands.iter().map(|c| c["name"].clone()).collect::<Vec<_>>()}),
    );
    Ok(Json(commands.into()))
}

/// A command as Discord shows it.
fn complete(
    command: Value,
    id: Value,
    (application, guild): (Id, Option<Id>),
    version: &Value,
) -> Value {
    let mut shown = json!({
        "id": id,
        "application_id": application,
        "version": version,
        "default_member_permissions": null,
        "type": kind(&command),
        "name": command["name"],
        "name_localizations": null,
        "description": "",
        "description_localizations": null,
        "dm_permission": true,
        "contexts": null,
        "integration_types": [0],
        "nsfw": false,
    });
    if let Some(guild) = guild {
        shown["guild_id"] = json!(guild);
    }
    if let Value::Object(given) = command {
        for (key, value) in given {
            if key != "id" && key != "version" {
                shown[key] = value;
            }
        }
    }
    shown
}

/// The error of a form as a whole.
impl ApiError {
    fn too_many_commands(most: usize) -> Self {
        Self::invalid_form(FormErrors::one(
            &[],
            "MAX_COMMANDS",
            format!("Maximum number of application commands reached ({most})."),
        ))
    }
}
