//! Application commands (`developers/interactions/application-commands`).

use std::collections::HashMap;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State},
};
use serde_json::{Map, Value, json};

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
/// Characters of all names, descriptions and values of one command.
const MAX_CHARACTERS: usize = 8_000;
const MAX_OPTIONS: usize = 25;
const SUBCOMMAND: u64 = 1;
const GROUP: u64 = 2;

type Object = Map<String, Value>;
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
        Some(guild) if guild != state.guild.id => Err(ApiError::missing_access()),
        guild => Ok((application, guild)),
    }
}

pub async fn list(
    State(app): State<App>,
    Extension(Caller(caller)): Extension<Caller>,
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
    Extension(Caller(caller)): Extension<Caller>,
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
    Extension(Caller(caller)): Extension<Caller>,
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

fn duplicates(check: &mut Check, given: &[Value]) {
    for (index, command) in given.iter().enumerate() {
        if given[..index].iter().any(|earlier| same(earlier, command)) {
            check.at(&index.to_string(), |check| {
                check.fail(
                    "name",
                    "APPLICATION_COMMANDS_DUPLICATE_NAME",
                    "Application command names must be unique",
                );
            });
        }
    }
}

fn walk(check: &mut Check, command: &Value) {
    let Some(object) = command.as_object() else {
        check.fail_here("MODEL_TYPE_CONVERT", "Only dictionaries may be used.");
        return;
    };
    let kind = check
        .integer(object, "type", ENTRY_POINT)
        .unwrap_or(CHAT_INPUT);
    if kind == CHAT_INPUT {
        name(check, object);
        description(check, object);
        options(check, object, 0);
        if characters(command) > MAX_CHARACTERS {
            check.fail_here(
                "APPLICATION_COMMAND_TOO_LARGE",
                format!("Command exceeds maximum size ({MAX_CHARACTERS})"),
            );
        }
    } else {
        check.text_between(object, "name", 1, 32);
        if !object.contains_key("name") {
            check.missing("name");
        }
        if object
            .get("description")
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
            && kind != ENTRY_POINT
        {
            check.fail(
                "description",
                "APPLICATION_COMMAND_INVALID_DESCRIPTION",
                "Context menu commands cannot have description",
            );
        }
    }
    permissions(check, object);
}

fn permissions(check: &mut Check, object: &Object) {
    match object.get("default_member_permissions") {
        None | Some(Value::Null) => {}
        Some(Value::String(bits)) if bits.parse::<u64>().is_ok() => {}
        Some(other) => check.fail(
            "default_member_permissions",
            "NUMBER_TYPE_COERCE",
            format!("Value {other} is not bitfield."),
        ),
    }
}

/// 1 to 32 of letters, numbers, `-`, `_` and `'`, in lower case where there is one.
fn name(check: &mut Check, object: &Object) {
    let Some(name) = object.get("name").filter(|name| !name.is_null()) else {
        check.missing("name");
        return;
    };
    let good = name.as_str().is_some_and(|name| {
        (1..=32).contains(&name.chars().count())
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '\''))
            && name.to_lowercase() == name
    });
    if !good {
        check.fail(
            "name",
            "APPLICATION_COMMAND_INVALID_NAME",
            "Command name is invalid",
        );
    }
}

fn description(check: &mut Check, object: &Object) {
    if object.get("description").is_none_or(Value::is_null) {
        check.missing("description");
    } else {
        check.text_between(object, "description", 1, 100);
    }
}

fn options(check: &mut Check, object: &Object, depth: usize) {
    let Some(listed) = check.list(object, "options", MAX_OPTIONS) else {
        return;
    };
    let listed = listed.to_vec();
    check.at("options", |check| {
        let mut optional_before = false;
        for (index, option) in listed.iter().enumerate() {
            check.at(&index.to_string(), |check| {
                let Some(option) = option.as_object() else {
                    check.fail_here("MODEL_TYPE_CONVERT", "Only dictionaries may be used.");
                    return;
                };
                name(check, option);
                description(check, option);
                let Some(kind) = check.integer(option, "type", 11) else {
                    if !option.contains_key("type") {
                        check.missing("type");
                    }
                    return;
                };
                let required = check.boolean(option, "required").unwrap_or(false);
                if required && optional_before {
                    check.fail(
                        "required",
                        "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                        "Required options must be placed before non-required options",
                    );
                }
                optional_before |= !required;
                nested(check, option, kind, depth);
                choices(check, option);
            });
        }
        let nesting = listed.iter().filter(|o| matches!(o["type"].as_u64(), Some(SUBCOMMAND | GROUP))).count();
        if nesting > 0 && nesting < listed.len() {
            check.fail_here(
                "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                "Sub-command and sub-command group option types are mutually exclusive to all other types",
            );
        }
        names_differ(check, &listed);
    });
}

fn names_differ(check: &mut Check, listed: &[Value]) {
    for (index, option) in listed.iter().enumerate() {
        if listed[..index]
            .iter()
            .any(|earlier| earlier["name"] == option["name"])
        {
            check.at(&index.to_string(), |check| {
                check.fail(
                    "name",
                    "APPLICATION_COMMAND_OPTIONS_NAME_INVALID",
                    "Option name already exists",
                );
            });
        }
    }
}

/// Groups are at the top, subcommands at the top or in a group, and other options hold nothing.
fn nested(check: &mut Check, option: &Object, kind: u64, depth: usize) {
    let allowed = match kind {
        GROUP => depth == 0,
        SUBCOMMAND => depth <= 1,
        0 => false,
        _ => true,
    };
    if !allowed {
        check.fail(
            "type",
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
            "Sub-command option type is not allowed here",
        );
    } else if matches!(kind, SUBCOMMAND | GROUP) {
        options(check, option, if kind == GROUP { 1 } else { 2 });
    }
}

fn choices(check: &mut Check, option: &Object) {
    let Some(listed) = check.list(option, "choices", MAX_OPTIONS) else {
        return;
    };
    let listed = listed.to_vec();
    let autocomplete = check.boolean(option, "autocomplete").unwrap_or(false);
    if autocomplete && !listed.is_empty() {
        check.fail(
            "autocomplete",
            "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID",
            "Autocomplete cannot be used with choices",
        );
    }
    check.at("choices", |check| {
        for (index, choice) in listed.iter().enumerate() {
            check.at(&index.to_string(), |check| match choice.as_object() {
                Some(choice) => {
                    check.text_between(choice, "name", 1, 100);
                    for key in ["name", "value"] {
                        if !choice.contains_key(key) {
                            check.missing(key);
                        }
                    }
                }
                None => check.fail_here("MODEL_TYPE_CONVERT", "Only dictionaries may be used."),
            });
        }
    });
}

/// What counts of a command, with all that it holds.
fn characters(value: &Value) -> usize {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| match (key.as_str(), value) {
                ("name" | "description" | "value", Value::String(text)) => text.chars().count(),
                ("options" | "choices", nested) => characters(nested),
                _ => 0,
            })
            .sum(),
        Value::Array(list) => list.iter().map(characters).sum(),
        _ => 0,
    }
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
