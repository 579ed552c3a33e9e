//! What Discord takes as a command.

use serde_json::{Map, Value};

use super::{CHAT_INPUT, ENTRY_POINT, same};
use crate::rest::validate::Check;

/// Characters of all names, descriptions and values of one command.
const MAX_CHARACTERS: usize = 8_000;
const MAX_OPTIONS: usize = 25;
const SUBCOMMAND: u64 = 1;
const GROUP: u64 = 2;

type Object = Map<String, Value>;

/// No two of a name and type.
pub fn duplicates(check: &mut Check, given: &[Value]) {
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

/// A command, with all that it holds.
pub fn walk(check: &mut Check, command: &Value) {
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
