//! The first response to an interaction.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response as HttpResponse},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    id::Id,
    rest::{
        ApiError, FormErrors,
        body::{File, Form},
        messages::change,
        reading::path_id,
        validate::{Check, MessageForm, modal},
    },
    state::{
        Message, State as Discord, flags,
        interactions::{DEADLINE, Interaction, Original, Response, kind},
    },
};

const MESSAGE: u64 = 4;
const DEFERRED_MESSAGE: u64 = 5;
const DEFERRED_UPDATE: u64 = 6;
const UPDATE: u64 = 7;
const CHOICES: u64 = 8;
const MODAL: u64 = 9;
const LAUNCH_ACTIVITY: u64 = 12;

const MAX_CHOICES: usize = 25;
const MAX_CHOICE: usize = 100;

#[derive(Debug, Deserialize)]
pub struct CallbackQuery {
    with_response: Option<bool>,
}

pub async fn create(
    State(app): State<App>,
    Path(path): Path<HashMap<String, String>>,
    Query(query): Query<CallbackQuery>,
    body: Form,
) -> Result<HttpResponse, ApiError> {
    let mut state = app.state();
    let id = path_id("interaction_id", &path["interaction_id"])?;
    let known = state
        .interactions
        .get_mut(id)
        .is_some_and(|interaction| interaction.token == path["token"]);
    if !known {
        return Err(ApiError::unknown_interaction());
    }
    respond(&mut state, &app, id, &body.json, body.files)?;
    if query.with_response != Some(true) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let interaction = state.interactions.get_mut(id).cloned();
    let shown = interaction.map(|interaction| state.interaction_json(&interaction));
    let message = shown.map_or(Value::Null, |mut shown| shown["response"]["message"].take());
    Ok(Json(json!({"interaction": {"id": id}, "resource": {"message": message}})).into_response())
}

/// Takes a response, from wherever it came.
pub fn respond(
    state: &mut Discord,
    app: &App,
    id: Id,
    form: &Map<String, Value>,
    files: Vec<File>,
) -> Result<(), ApiError> {
    let interaction = state
        .interactions
        .get_mut(id)
        .cloned()
        .ok_or_else(ApiError::unknown_interaction)?;
    if interaction.response.is_some() {
        return Err(ApiError::already_acknowledged());
    }
    let after = interaction.created.elapsed();
    if after > DEADLINE {
        return Err(ApiError::unknown_interaction());
    }
    let kind = response_kind(&interaction, form)?;
    let none = Map::new();
    let data = form.get("data").and_then(Value::as_object).unwrap_or(&none);
    let mut shown = Value::Null;
    let original = match kind {
        MESSAGE => new_message(state, app, &interaction, data, files)?,
        DEFERRED_MESSAGE => deferred(state, &interaction, data)?,
        UPDATE => updated(state, app, &interaction, data, files)?,
        DEFERRED_UPDATE => interaction.on.map_or(Original::None, Original::InChannel),
        CHOICES => {
            choices(data)?;
            shown = Value::Object(data.clone());
            Original::None
        }
        MODAL => {
            let mut check = Check::default();
            shown = check.at("data", |check| modal(check, data));
            check.errors.into_result()?;
            Original::None
        }
        _ => Original::None,
    };
    if let Some(interaction) = state.interactions.get_mut(id) {
        interaction.response = Some(Response {
            kind,
            after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            data: shown,
            original,
        });
    }
    state.interaction_changed("interaction_response", id);
    Ok(())
}

/// The response's type, which must be one that this interaction can have.
fn response_kind(interaction: &Interaction, form: &Map<String, Value>) -> Result<u64, ApiError> {
    let mut check = Check::default();
    let given = check.integer(form, "type", 255);
    check.errors.into_result()?;
    let allowed: &[u64] = match interaction.kind {
        kind::AUTOCOMPLETE => &[CHOICES],
        kind::COMPONENT => &[
            MESSAGE,
            DEFERRED_MESSAGE,
            DEFERRED_UPDATE,
            UPDATE,
            MODAL,
            LAUNCH_ACTIVITY,
        ],
        kind::MODAL if interaction.on.is_some() => &[
            MESSAGE,
            DEFERRED_MESSAGE,
            DEFERRED_UPDATE,
            UPDATE,
            LAUNCH_ACTIVITY,
        ],
        kind::MODAL => &[MESSAGE, DEFERRED_MESSAGE, LAUNCH_ACTIVITY],
        _ => &[MESSAGE, DEFERRED_MESSAGE, MODAL, LAUNCH_ACTIVITY],
    };
    match given {
        None => Err(ApiError::invalid_form(FormErrors::one(
            &["type"],
            "BASE_TYPE_REQUIRED",
            "This field is required",
        ))),
        Some(kind) if allowed.contains(&kind) => Ok(kind),
        Some(_) => {
            let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let message = format!("Value must be one of {{{}}}.", allowed.join(", "));
            Err(ApiError::invalid_form(FormErrors::one(
                &["type"],
                "BASE_TYPE_CHOICES",
                message,
            )))
        }
    }
}

/// Errors in the `data` of a response are shown below it.
pub fn message_form(data: &Map<String, Value>, v2: bool) -> Result<MessageForm, ApiError> {
    MessageForm::parse(data, v2).map_err(|error| error.below("data"))
}

fn new_message(
    state: &mut Discord,
    app: &App,
    interaction: &Interaction,
    data: &Map<String, Value>,
    files: Vec<File>,
) -> Result<Original, ApiError> {
    let form = message_form(data, false)?;
    let private = form.is_ephemeral();
    let mut message = empty(state, interaction, private);
    change(state, app, &mut message, form, files, false)?;
    Ok(placed(state, message))
}

/// "… is thinking": of the flags only EPHEMERAL counts.
fn deferred(
    state: &mut Discord,
    interaction: &Interaction,
    data: &Map<String, Value>,
) -> Result<Original, ApiError> {
    let form = message_form(data, false)?;
    let private = form.is_ephemeral();
    let mut message = empty(state, interaction, private);
    message.flags |= flags::LOADING;
    Ok(placed(state, message))
}

fn updated(
    state: &mut Discord,
    app: &App,
    interaction: &Interaction,
    data: &Map<String, Value>,
    files: Vec<File>,
) -> Result<Original, ApiError> {
    let message = interaction
        .on
        .and_then(|id| state.messages.get(interaction.channel, id).cloned());
    let mut message = message.ok_or_else(ApiError::unknown_message)?;
    let form = message_form(data, message.flags & flags::IS_COMPONENTS_V2 != 0)?;
    change(state, app, &mut message, form, files, true)?;
    store(state, &message);
    Ok(Original::InChannel(message.id))
}

fn choices(data: &Map<String, Value>) -> Result<(), ApiError> {
    let mut check = Check::default();
    check.at("data", |check| {
        let listed = check.list(data, "choices", MAX_CHOICES).unwrap_or_default();
        check.at("choices", |check| {
            for (index, choice) in listed.iter().enumerate() {
                check.at(&index.to_string(), |check| match choice.as_object() {
                    Some(choice) => {
                        check.text_between(choice, "name", 1, MAX_CHOICE);
                        if choice.get("value").is_some_and(Value::is_string) {
                            check.text_between(choice, "value", 1, MAX_CHOICE);
                        } else if !choice.get("value").is_some_and(Value::is_number) {
                            check.missing("value");
                        }
                    }
                    None => check.fail_here("MODEL_TYPE_CONVERT", "Only dictionaries may be used."),
                });
            }
        });
    });
    check.errors.into_result()
}

/// A message of the application that answers an interaction.
pub fn empty(state: &mut Discord, interaction: &Interaction, private: bool) -> Message {
    Message {
        id: state.ids.next(),
        channel: interaction.channel,
        author: interaction.application,
        content: String::new(),
        edited_ms: None,
        tts: false,
        mentions: Default::default(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        components: Vec::new(),
        flags: if private { flags::EPHEMERAL } else { 0 },
        nonce: None,
        reply_to: None,
    }
}

/// Puts a new message where it is seen.
pub fn placed(state: &mut Discord, message: Message) -> Original {
    if message.flags & flags::EPHEMERAL != 0 {
        return Original::Private(Box::new(message));
    }
    state.messages.push(message.clone());
    state.message_created(&message);
    Original::InChannel(message.id)
}

/// Puts a changed message in the place of the old one.
pub fn store(state: &mut Discord, message: &Message) {
    if let Some(stored) = state.messages.get_mut(message.channel, message.id) {
        *stored = message.clone();
    }
    state.message_updated(message);
}
