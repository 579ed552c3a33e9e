//! Modals: people submit them through here, as far as Discord's client lets them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ControlError;
use crate::{
    id::{Id, from_json},
    state::State as Discord,
};

/// The type of the response that shows a modal.
const MODAL: u64 = 9;

const ROW: u64 = 1;
const TEXT_INPUT: u64 = 4;
const TEXT: u64 = 10;
const RADIO_GROUP: u64 = 21;
const CHECKBOX_GROUP: u64 = 22;
const CHECKBOX: u64 = 23;
const STRING_SELECT: u64 = 3;

/// What somebody enters into a modal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// The interaction of his that was answered with the modal.
    answer_to: Value,
    /// What is entered, by the `custom_id` of its field. What is not named stays as it was shown.
    #[serde(default)]
    values: Map<String, Value>,
}

/// The interaction's data, and the message of the component that opened the modal, if one did.
pub fn submitted(
    state: &Discord,
    user: Id,
    channel: Id,
    given: &Submission,
) -> Result<(Value, Option<Id>), ControlError> {
    let unknown = || ControlError::UnknownModal(given.answer_to.to_string());
    let id = from_json(&given.answer_to).ok_or_else(unknown)?;
    let opener = state
        .interactions
        .iter()
        .find(|one| one.id == id && one.user == user && one.channel == channel)
        .ok_or_else(unknown)?;
    let modal = opener
        .response
        .as_ref()
        .filter(|response| response.kind == MODAL)
        .map(|response| &response.data)
        .ok_or_else(unknown)?;
    let mut left = given.values.clone();
    let components = modal["components"].as_array().into_iter().flatten();
    let components = components
        .map(|component| shown(component, &mut left))
        .collect::<Result<Vec<Value>, ControlError>>()?;
    if let Some(key) = left.keys().next() {
        return Err(ControlError::Entered(format!("it has no field `{key}`")));
    }
    let data = json!({"custom_id": modal["custom_id"], "components": components});
    Ok((data, opener.on))
}

/// A component of the modal, as the application gets it back.
fn shown(component: &Value, values: &mut Map<String, Value>) -> Result<Value, ControlError> {
    let (kind, id) = (&component["type"], &component["id"]);
    Ok(match kind.as_u64() {
        Some(TEXT) => json!({"type": kind, "id": id}),
        Some(ROW) => {
            json!({"type": kind, "id": id, "components": [field(&component["components"][0], values)?]})
        }
        _ => {
            json!({"type": kind, "id": id, "component": field(&component["component"], values)?})
        }
    })
}

fn field(field: &Value, values: &mut Map<String, Value>) -> Result<Value, ControlError> {
    let name = field["custom_id"].as_str().unwrap_or_default();
    let wrong = |why: String| ControlError::Entered(format!("`{name}` {why}"));
    let required = field["required"].as_bool().unwrap_or(true);
    let mut shown =
        json!({"type": field["type"], "id": field["id"], "custom_id": field["custom_id"]});
    let entered = values.remove(name);
    match field["type"].as_u64().unwrap_or_default() {
        TEXT_INPUT => {
            let text =
                entered.unwrap_or_else(|| json!(field["value"].as_str().unwrap_or_default()));
            let text = text
                .as_str()
                .ok_or_else(|| wrong("takes a text".to_owned()))?;
            let length = text.chars().count() as u64;
            let min = field["min_length"].as_u64().unwrap_or(0);
            let max = field["max_length"].as_u64().unwrap_or(4_000);
            if length == 0 && required {
                return Err(wrong("is required".to_owned()));
            }
            if length > 0 && !(min..=max).contains(&length) {
                return Err(wrong(format!(
                    "takes {min} to {max} characters, not {length}"
                )));
            }
            shown["value"] = json!(text);
        }
        CHECKBOX => {
            let default = || json!(field["default"].as_bool().unwrap_or(false));
            let checked = entered.unwrap_or_else(default);
            if !checked.is_boolean() {
                return Err(wrong("takes true or false".to_owned()));
            }
            shown["value"] = checked;
        }
        RADIO_GROUP => {
            let chosen = entered.unwrap_or_else(|| json!(defaults(field).first()));
            if chosen.is_null() && required {
                return Err(wrong("is required".to_owned()));
            }
            if !chosen.is_null() && !offered(field, &chosen) {
                return Err(wrong(format!("does not offer {chosen}")));
            }
            shown["value"] = chosen;
        }
        kind => {
            let chosen = entered.unwrap_or_else(|| json!(defaults(field)));
            let Value::Array(chosen) = chosen else {
                return Err(wrong("takes a list".to_owned()));
            };
            let all = field["options"].as_array().map_or(1, Vec::len) as u64;
            let most = if kind == CHECKBOX_GROUP { all } else { 1 };
            let min = field["min_values"].as_u64().unwrap_or(1);
            let max = field["max_values"].as_u64().unwrap_or(most);
            let count = chosen.len() as u64;
            if (count > 0 || required) && !(min..=max).contains(&count) {
                return Err(wrong(format!("takes {min} to {max}, not {count}")));
            }
            let listed = matches!(kind, STRING_SELECT | CHECKBOX_GROUP);
            if let Some(other) = chosen.iter().find(|one| listed && !offered(field, one)) {
                return Err(wrong(format!("does not offer {other}")));
            }
            shown["values"] = chosen.into();
        }
    }
    Ok(shown)
}

fn options(field: &Value) -> impl Iterator<Item = &Value> {
    field["options"].as_array().into_iter().flatten()
}

fn offered(field: &Value, value: &Value) -> bool {
    options(field).any(|option| option["value"] == *value)
}

fn defaults(field: &Value) -> Vec<&Value> {
    options(field)
        .filter(|option| option["default"] == true)
        .map(|option| &option["value"])
        .collect()
}
