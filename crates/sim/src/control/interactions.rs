//! Commands, components and modals: people use them through here.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answer, Body, ControlError, channel_id,
    modal::{Submission, submitted},
    user_id,
};
use crate::{
    app::App,
    faults::once,
    id::{Id, from_json},
    outgoing::{self, Signed, post},
    rest::respond,
    state::{
        State as Discord,
        interactions::{Interaction, kind},
        seed,
    },
};

/// The commands that our application has registered.
pub async fn commands(State(app): State<App>) -> Json<Value> {
    let state = app.state();
    let all = state.interactions.commands.values().flatten().cloned();
    Json(all.collect())
}

/// All interactions with their responses.
pub async fn list(State(app): State<App>) -> Json<Value> {
    let state = app.state();
    let all = state.interactions.iter();
    Json(all.map(|one| state.interaction_json(one)).collect())
}

/// What somebody does: uses a command, types one of its options, uses a component, or submits a modal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    user: String,
    #[serde(default = "general")]
    channel: String,
    /// The command's name, and those of a group and a subcommand.
    #[serde(default)]
    command: Vec<String>,
    /// Its options by name.
    #[serde(default)]
    options: Map<String, Value>,
    /// The option that is being typed.
    focused: Option<String>,
    component: Option<Component>,
    modal: Option<Submission>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    /// The message that it is on.
    message: Value,
    custom_id: String,
    /// What was chosen in a menu.
    values: Option<Vec<String>>,
}

fn general() -> String {
    "general".to_owned()
}

/// Uses it. With an endpoint this waits for its answer, as long as Discord does.
pub async fn act(State(app): State<App>, Body(used): Body<Use>) -> Answer {
    let (id, payload, endpoint) = {
        let mut state = app.state();
        let interaction = interaction(&mut state, &used)?;
        let (id, endpoint) = (interaction.id, state.interactions.endpoint.clone());
        let payload = state.interaction_payload(&interaction);
        state.interactions.push(interaction);
        state.interaction_changed("interaction_create", id);
        if endpoint.is_none() {
            state.gateway.dispatch("INTERACTION_CREATE", |session| {
                (session.user == seed::APPLICATION).then(|| payload.clone())
            });
        }
        (id, payload, endpoint)
    };
    if let Some(url) = endpoint {
        deliver(&app, id, &url, &payload).await;
    }
    let mut state = app.state();
    let used = state.interactions.get_mut(id).cloned();
    Ok(Json(
        used.map_or(Value::Null, |used| state.interaction_json(&used)),
    ))
}

/// Posts it to the endpoint, and takes what that answers.
async fn deliver(app: &App, id: Id, url: &str, payload: &Value) {
    let answered = post(app, url, payload, Signed::Well).await;
    let mut state = app.state();
    let failure = match answered {
        // It answers, or has answered, through the callback.
        Ok(answer) if answer.status == 202 => None,
        Ok(answer) if answer.status == 200 => match answer.json() {
            Some(Value::Object(form)) => respond(&mut state, app, id, &form, Vec::new())
                .err()
                .map(|error| error.to_string()),
            _ => Some("the endpoint's answer is not a JSON object".to_owned()),
        },
        Ok(answer) => Some(format!("the endpoint answered with {}", answer.status)),
        Err(why) => Some(why),
    };
    if let (Some(interaction), Some(failure)) = (state.interactions.get_mut(id), failure) {
        interaction.failure = Some(failure);
        state.interaction_changed("interaction_failed", id);
    }
}

fn interaction(state: &mut Discord, used: &Use) -> Result<Interaction, ControlError> {
    let user = user_id(state, &used.user)?;
    let channel = channel_id(state, &used.channel)?;
    let (kind, data, on) = match (&used.component, &used.modal) {
        (Some(component), _) => component_data(state, channel, component)?,
        (None, Some(modal)) => {
            let (data, on) = submitted(state, user, channel, modal)?;
            (kind::MODAL, data, on)
        }
        (None, None) => {
            let data = command_data(state, user, channel, used)?;
            let kind = if used.focused.is_some() {
                kind::AUTOCOMPLETE
            } else {
                kind::COMMAND
            };
            (kind, data, None)
        }
    };
    let via = if state.interactions.endpoint.is_some() {
        "http"
    } else {
        "gateway"
    };
    let token = seed::secret(120)?;
    Ok(Interaction {
        id: state.ids.next(),
        token,
        application: seed::APPLICATION,
        kind,
        via,
        user,
        channel,
        data,
        on,
        created: std::time::Instant::now(),
        response: None,
        failure: None,
        followups: Vec::new(),
    })
}

/// A component that is on the message and is not disabled.
fn component_data(
    state: &Discord,
    channel: Id,
    used: &Component,
) -> Result<(u64, Value, Option<Id>), ControlError> {
    let unknown = || ControlError::UnknownComponent(used.custom_id.clone());
    let id = from_json(&used.message).ok_or_else(unknown)?;
    let message = state.messages.get(channel, id).ok_or_else(unknown)?;
    let component = find_component(&message.components, &used.custom_id).ok_or_else(unknown)?;
    let mut data = json!({
        "custom_id": used.custom_id,
        "component_type": component["type"],
        "id": component["id"].as_u64().unwrap_or(1),
    });
    if let Some(values) = &used.values {
        data["values"] = json!(values);
    }
    Ok((kind::COMPONENT, data, Some(id)))
}

fn find_component<'c>(components: &'c [Value], custom_id: &str) -> Option<&'c Value> {
    components.iter().find_map(|component| {
        if component["custom_id"] == custom_id && component["disabled"] != true {
            return Some(component);
        }
        let inside = component["components"].as_array();
        find_component(inside.map_or(&[], Vec::as_slice), custom_id).or_else(|| {
            find_component(std::slice::from_ref(component.get("accessory")?), custom_id)
        })
    })
}

/// The data of a command, which must be registered and allowed to the user.
fn command_data(state: &Discord, user: Id, channel: Id, used: &Use) -> Result<Value, ControlError> {
    let name = used.command.first().map_or("", String::as_str);
    let unknown = || ControlError::UnknownCommand(used.command.join(" "));
    let command = state
        .interactions
        .command(seed::APPLICATION, name)
        .ok_or_else(unknown)?;
    let needed: u64 = command["default_member_permissions"]
        .as_str()
        .and_then(|bits| bits.parse().ok())
        .unwrap_or(0);
    let permissions = state
        .channel(channel)
        .map_or(0, |channel| state.permissions(channel, user));
    if permissions & needed != needed {
        return Err(ControlError::MayNot(name.to_owned()));
    }
    let mut data = json!({"id": command["id"], "name": name, "type": command["type"]});
    let options = nested(command, &used.command[1..], used).ok_or_else(unknown)?;
    if !options.is_empty() {
        data["options"] = options.into();
    }
    Ok(data)
}

/// The options below a command, a group or a subcommand; `None`: there is no such one.
fn nested(within: &Value, path: &[String], used: &Use) -> Option<Vec<Value>> {
    let empty = Vec::new();
    let defined = within["options"].as_array().unwrap_or(&empty);
    let of_name = |name: &str| defined.iter().find(|option| option["name"] == name);
    let Some((first, rest)) = path.split_first() else {
        let given = used.options.iter().map(|(name, value)| {
            let defined = of_name(name)?;
            let mut option = json!({"name": name, "type": defined["type"], "value": value});
            if used.focused.as_ref() == Some(name) {
                option["focused"] = json!(true);
            }
            Some(option)
        });
        return given.collect();
    };
    let inner = of_name(first)?;
    let options = nested(inner, rest, used)?;
    Some(vec![
        json!({"name": first, "type": inner["type"], "options": options}),
    ])
}

/// What Discord tells an application about itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEvent {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
    /// How many times it is sent, as Discord does when it has not seen the answer.
    #[serde(default = "once")]
    times: u32,
}

/// Sends it to the endpoint; answers the statuses.
pub async fn webhook_event(State(app): State<App>, Body(event): Body<WebhookEvent>) -> Answer {
    if app.state().interactions.events_endpoint.is_none() {
        return Err(ControlError::NoEventsEndpoint);
    }
    let statuses = outgoing::event(&app, &event.kind, event.data, event.times).await;
    Ok(Json(json!({"statuses": statuses})))
}
