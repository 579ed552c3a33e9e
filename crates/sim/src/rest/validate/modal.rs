//! Modals (`developers/components/reference`, `developers/interactions/receiving-and-responding#interaction-response-object-modal`).

use serde_json::{Value, json};

use super::{
    Check, Object,
    component::{Walk, options},
};

const ROW: u64 = 1;
const SELECTS: [u64; 5] = [3, 5, 6, 7, 8];
const TEXT_INPUT: u64 = 4;
const TEXT: u64 = 10;
const LABEL: u64 = 18;
const FILE_UPLOAD: u64 = 19;
const RADIO_GROUP: u64 = 21;
const CHECKBOX_GROUP: u64 = 22;
const CHECKBOX: u64 = 23;

/// The longest text that can be entered.
const MAX_ENTERED: u64 = 4_000;

/// A modal as it is shown: `custom_id`, `title`, and `components`, each with an `id`.
pub fn modal(check: &mut Check, given: &Object) -> Value {
    for (key, max) in [("custom_id", 100), ("title", 45)] {
        if check.text_between(given, key, 1, max).is_none() {
            check.missing(key);
        }
    }
    let list = check.filled_list(given, "components", 1, 5);
    let mut walk = Walk::default();
    let components = check.at("components", |check| {
        check.each(list, |check, component| top(&mut walk, check, component))
    });
    json!({"custom_id": given.get("custom_id"), "title": given.get("title"), "components": components})
}

fn top(walk: &mut Walk, check: &mut Check, given: &Object) -> Option<Value> {
    // A row is deprecated, and taken.
    let kind = one_of(check, given, &[ROW, TEXT, LABEL])?;
    let mut shown = walk.shown(check, given);
    match kind {
        TEXT => {
            check.required_text(given, "content", 4_000);
        }
        LABEL => {
            check.required_text(given, "label", 45);
            check.text(given, "description", 100);
            match check.object(given, "component") {
                Some(inner) => {
                    let inner = check.at("component", |check| field(walk, check, inner, true));
                    shown["component"] = inner.unwrap_or_default();
                }
                None => check.missing("component"),
            }
        }
        _ => {
            let inner = check.filled_list(given, "components", 1, 1);
            shown["components"] = check
                .at("components", |check| {
                    check.each(inner, |check, inner| field(walk, check, inner, false))
                })
                .into();
        }
    }
    Some(shown)
}

/// What is entered into. A row has text inputs only, which have their own labels.
fn field(walk: &mut Walk, check: &mut Check, given: &Object, labelled: bool) -> Option<Value> {
    let mut allowed = vec![TEXT_INPUT];
    if labelled {
        allowed.extend(SELECTS);
        allowed.extend([FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX]);
    }
    let kind = one_of(check, given, &allowed)?;
    let shown = walk.shown(check, given);
    let required = check.boolean(given, "required").unwrap_or(true);
    match kind {
        TEXT_INPUT => {
            walk.custom_id(check, given);
            text_input(check, given, labelled);
        }
        FILE_UPLOAD => {
            walk.custom_id(check, given);
            values(check, given, 10, required);
        }
        RADIO_GROUP => {
            walk.custom_id(check, given);
            options(check, given, 2, 10);
        }
        CHECKBOX_GROUP => {
            walk.custom_id(check, given);
            options(check, given, 1, 10);
            values(check, given, 10, required);
        }
        CHECKBOX => {
            walk.custom_id(check, given);
            check.boolean(given, "default");
        }
        select => {
            walk.select(check, given, select);
            values(check, given, 25, required);
            if check.boolean(given, "disabled") == Some(true) {
                check.fail(
                    "disabled",
                    "COMPONENT_DISABLED_IN_MODAL",
                    "Components cannot be disabled in modals",
                );
            }
        }
    }
    Some(shown)
}

fn text_input(check: &mut Check, given: &Object, labelled: bool) {
    match check.integer(given, "style", 2) {
        Some(1 | 2) => {}
        Some(_) => check.fail("style", "BASE_TYPE_CHOICES", "Value must be one of {1, 2}."),
        None => check.missing("style"),
    }
    if labelled {
        if given.contains_key("label") {
            let message = "Text inputs in labels cannot have a label";
            check.fail("label", "TEXT_INPUT_LABEL_IN_LABEL", message);
        }
    } else {
        check.required_text(given, "label", 45);
    }
    let min = check.integer(given, "min_length", MAX_ENTERED).unwrap_or(0);
    let max = check
        .integer(given, "max_length", MAX_ENTERED)
        .unwrap_or(MAX_ENTERED);
    if max == 0 || min > max {
        let message = "max_length must be at least 1 and min_length";
        check.fail("max_length", "NUMBER_TYPE_MIN", message);
    }
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    check.text(given, "value", max);
    check.text(given, "placeholder", 100);
}

/// How many are chosen: at least one where something must be.
fn values(check: &mut Check, given: &Object, most: u64, required: bool) {
    let min = check.integer(given, "min_values", most).unwrap_or(1);
    let max = check.integer(given, "max_values", most).unwrap_or(most);
    if required && min == 0 {
        check.fail(
            "min_values",
            "NUMBER_TYPE_MIN",
            "int value should be greater than or equal to 1.",
        );
    } else if max == 0 || min > max {
        let message = "max_values must be at least 1 and min_values";
        check.fail("max_values", "NUMBER_TYPE_MIN", message);
    }
}

fn one_of(check: &mut Check, given: &Object, allowed: &[u64]) -> Option<u64> {
    let kind = given.get("type").and_then(Value::as_u64);
    let found = kind.filter(|kind| allowed.contains(kind));
    if found.is_none() {
        let kinds: Vec<String> = allowed.iter().map(u64::to_string).collect();
        let message = format!(
            "Value of field \"type\" must be one of ({}).",
            kinds.join(", ")
        );
        check.fail("type", "UNION_TYPE_CHOICES", message);
    }
    found
}
