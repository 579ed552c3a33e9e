//! Presences, as op 3 sets them.

use serde::Serialize;
use serde_json::{Value, json};

use crate::id::unix_ms;

/// Discord's limit for an activity's name and state.
const MAX_TEXT: usize = 128;

/// What a bot says about itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Presence {
    /// `online`, `idle`, `dnd` or `offline` (which `invisible` becomes).
    pub status: &'static str,
    /// Activities with what a bot may set: name, type, state, url.
    pub activities: Vec<Value>,
}

impl Presence {
    pub fn online() -> Self {
        Self {
            status: "online",
            activities: Vec::new(),
        }
    }

    pub fn offline() -> Self {
        Self {
            status: "offline",
            activities: Vec::new(),
        }
    }

    /// Reads the data of op 3, or the `presence` of Identify. `None`: it is not what Discord takes.
    pub fn parse(data: &Value) -> Option<Self> {
        let status = match data.get("status")?.as_str()? {
            "online" => "online",
            "idle" => "idle",
            "dnd" => "dnd",
            "invisible" | "offline" => "offline",
            _ => return None,
        };
        // `since` and `afk` must have the right type where they are given.
        if !data
            .get("since")
            .is_none_or(|since| since.is_null() || since.is_number())
            || !data.get("afk").is_none_or(Value::is_boolean)
        {
            return None;
        }
        let activities = match data.get("activities") {
            None | Some(Value::Null) => Vec::new(),
            Some(list) => list
                .as_array()?
                .iter()
                .map(activity)
                .collect::<Option<_>>()?,
        };
        Some(Self { status, activities })
    }
}

fn activity(given: &Value) -> Option<Value> {
    let kind = given.get("type")?.as_u64().filter(|kind| *kind <= 5)?;
    let text = |key| match given.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(text) => text
            .as_str()
            .filter(|text| text.chars().count() <= MAX_TEXT)
            .map(Some),
    };
    let name = text("name")?.filter(|name| !name.is_empty())?;
    let mut activity = json!({"name": name, "type": kind, "created_at": unix_ms()});
    if let Some(state) = text("state")? {
        activity["state"] = json!(state);
    }
    match given.get("url") {
        Some(Value::String(url)) if kind == 1 => activity["url"] = json!(url),
        None | Some(Value::Null | Value::String(_)) => {}
        Some(_) => return None,
    }
    Some(activity)
}
