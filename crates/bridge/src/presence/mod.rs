//! The bot's presence: what Discord would take, and how often.

mod pace;

pub use pace::Pace;

use serde::{Deserialize, Serialize};
use serde_json::json;

/// The longest name and state, in characters (Discord: Activity Object).
const TEXT: usize = 128;

/// The longest payload that the gateway takes, in bytes; it closes with 4002 on a longer one.
const PAYLOAD: usize = 4096;

/// Discord's Update Presence data, as far as a bot may set it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    #[serde(default)]
    since: Option<u64>,
    activities: Vec<Activity>,
    status: Status,
    #[serde(default)]
    afk: bool,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Activity {
    name: String,
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Online,
    Dnd,
    Idle,
    Invisible,
    Offline,
}

impl Presence {
    /// What a new session shows until it is told something: online, doing nothing.
    pub fn plain() -> Self {
        Self {
            since: None,
            activities: Vec::new(),
            status: Status::Online,
            afk: false,
        }
    }

    /// Holds it against Discord's limits, since the gateway does not answer: it ignores a bad presence, or closes.
    pub fn check(&self) -> Result<(), String> {
        for (index, activity) in self.activities.iter().enumerate() {
            let at = |field: &str| format!("activities[{index}].{field}");
            if activity.kind > 5 {
                return Err(format!(
                    "{}: {} is none of Discord's types, 0 to 5",
                    at("type"),
                    activity.kind
                ));
            }
            if activity.name.trim().is_empty() {
                return Err(format!("{}: it is empty", at("name")));
            }
            for (field, text) in [
                ("name", Some(&activity.name)),
                ("state", activity.state.as_ref()),
            ] {
                let length = text.map_or(0, |text| text.chars().count());
                if length > TEXT {
                    return Err(format!(
                        "{}: {length} characters, Discord takes {TEXT}",
                        at(field)
                    ));
                }
            }
        }
        match self.command().len() {
            ..=PAYLOAD => Ok(()),
            length => Err(format!(
                "it makes a payload of {length} bytes, Discord takes {PAYLOAD}"
            )),
        }
    }

    /// The gateway command, op 3.
    pub fn command(&self) -> String {
        json!({"op": 3, "d": self}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn presence(activity: Value) -> Presence {
        serde_json::from_value(json!({"activities": [activity], "status": "online"})).unwrap()
    }

    #[test]
    fn the_limits_are_discords() {
        let text = |length| "ä".repeat(length);
        let fits = json!({"name": text(128), "type": 4, "state": text(128)});
        assert_eq!(presence(fits).check(), Ok(()));
        let cases = [
            (
                json!({"name": text(129), "type": 0}),
                "activities[0].name: 129 characters, Discord takes 128",
            ),
            (
                json!({"name": "a", "type": 0, "state": text(129)}),
                "activities[0].state: 129 characters, Discord takes 128",
            ),
            (
                json!({"name": " ", "type": 0}),
                "activities[0].name: it is empty",
            ),
            (
                json!({"name": "a", "type": 6}),
                "activities[0].type: 6 is none of Discord's types, 0 to 5",
            ),
        ];
        for (activity, reason) in cases {
            assert_eq!(presence(activity).check(), Err(reason.into()));
        }
        let many = json!({"activities": vec![json!({"name": text(128), "type": 0}); 20], "status": "idle"});
        let many: Presence = serde_json::from_value(many).unwrap();
        assert!(many.check().unwrap_err().ends_with("Discord takes 4096"));
    }

    #[test]
    fn the_command_is_as_discord_documents_it() {
        let command: Value = serde_json::from_str(
            &presence(json!({"name": "Uro", "type": 4, "state": "hi"})).command(),
        )
        .unwrap();
        let data = json!({"since": null, "activities": [{"name": "Uro", "type": 4, "state": "hi"}], "status": "online", "afk": false});
        assert_eq!(command, json!({"op": 3, "d": data}));
    }
}
