//! What an interaction's token is good for after the first response.

use std::{collections::HashMap, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::Value;

use super::callback::{empty, placed, store};
use crate::{
    app::App,
    id::unix_ms,
    rest::{ApiError, body::Form, messages::change, reading::path_id, validate::MessageForm},
    state::{
        Message, State as Discord, flags,
        interactions::{Interaction, Original, TokenError},
    },
};

type Answer = Result<Json<Value>, ApiError>;

/// The interaction of the token in the path, which has been responded to.
fn interaction(
    state: &mut Discord,
    path: &HashMap<String, String>,
) -> Result<Interaction, ApiError> {
    let application = path_id("webhook_id", &path["application_id"])?;
    let lifetime = Duration::from_millis(state.settings.interaction_token_ms);
    let found = state
        .interactions
        .by_token(application, &path["token"], lifetime)
        .map_err(|error| match error {
            TokenError::Unknown => ApiError::unknown_webhook(),
            TokenError::Expired => ApiError::invalid_webhook_token(),
        })?;
    if found.response.is_none() {
        return Err(ApiError::unknown_webhook());
    }
    Ok(found.clone())
}

/// The message that the path names. Of other messages than the original only those of the channel can be named.
fn find(
    state: &Discord,
    interaction: &Interaction,
    path: &HashMap<String, String>,
) -> Result<Message, ApiError> {
    let message = match path["message_id"].as_str() {
        "@original" => state.original(interaction),
        id => {
            let id = path_id("message_id", id)?;
            state
                .messages
                .get(interaction.channel, id)
                .filter(|message| message.author == interaction.application)
                .cloned()
        }
    };
    message.ok_or_else(ApiError::unknown_message)
}

pub async fn get(State(app): State<App>, Path(path): Path<HashMap<String, String>>) -> Answer {
    let mut state = app.state();
    let interaction = interaction(&mut state, &path)?;
    let message = find(&state, &interaction, &path)?;
    Ok(Json(state.message_json(&message)))
}

pub async fn edit(
    State(app): State<App>,
    Path(path): Path<HashMap<String, String>>,
    body: Form,
) -> Answer {
    let mut state = app.state();
    let interaction = interaction(&mut state, &path)?;
    let mut message = find(&state, &interaction, &path)?;
    let form = MessageForm::parse(&body.json, message.flags & flags::IS_COMPONENTS_V2 != 0)?;
    // What was thought about is there, which is no edit.
    let answered = message.flags & flags::LOADING != 0;
    message.flags &= !flags::LOADING;
    change(&mut state, &app, &mut message, form, body.files, true)?;
    message.edited_ms = (!answered).then(unix_ms);
    if message.flags & flags::EPHEMERAL == 0 {
        store(&mut state, &message);
    } else if let Some(response) = state
        .interactions
        .get_mut(interaction.id)
        .and_then(|kept| kept.response.as_mut())
    {
        response.original = Original::Private(Box::new(message.clone()));
    }
    state.interaction_changed("interaction_edit", interaction.id);
    Ok(Json(state.message_json(&message)))
}

pub async fn delete(
    State(app): State<App>,
    Path(path): Path<HashMap<String, String>>,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let interaction = interaction(&mut state, &path)?;
    let message = find(&state, &interaction, &path)?;
    if message.flags & flags::EPHEMERAL == 0 {
        state.messages.remove(message.channel, message.id);
        state.message_deleted(&message);
    }
    if path["message_id"] == "@original"
        && let Some(response) = state
            .interactions
            .get_mut(interaction.id)
            .and_then(|kept| kept.response.as_mut())
    {
        response.original = Original::None;
    }
    state.interaction_changed("interaction_edit", interaction.id);
    Ok(StatusCode::NO_CONTENT)
}

pub async fn follow_up(
    State(app): State<App>,
    Path(path): Path<HashMap<String, String>>,
    body: Form,
) -> Answer {
    let mut state = app.state();
    let interaction = interaction(&mut state, &path)?;
    let form = MessageForm::parse(&body.json, false)?;
    let private = form.is_ephemeral();
    let mut message = empty(&mut state, &interaction, private);
    change(&mut state, &app, &mut message, form, body.files, false)?;
    let answer = state.message_json(&message);
    if let Original::Private(message) = placed(&mut state, message)
        && let Some(kept) = state.interactions.get_mut(interaction.id)
    {
        kept.followups.push(*message);
    }
    state.interaction_changed("interaction_edit", interaction.id);
    Ok(Json(answer))
}
