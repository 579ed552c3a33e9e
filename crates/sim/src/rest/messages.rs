//! Messages: create, read, edit, delete, publish.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{
    ApiError, Caller, FormErrors,
    acting::need_at,
    attachments::attach,
    body::{File, Form},
    query::{self, Query},
    reading::path_id,
    validate::{AllowedMentions, MessageForm},
};
use crate::{
    app::App,
    id::{Id, unix_ms},
    state::{Channel, ChannelKind, Message, State as Discord, flags, permissions as p},
};

type Answer = Result<Json<Value>, ApiError>;

/// A channel that the caller sees.
pub fn seen(state: &Discord, channel: &str, caller: Id) -> Result<(Channel, u64), ApiError> {
    let channel = path_id("channel_id", channel)?;
    let channel = state
        .channel(channel)
        .ok_or_else(ApiError::unknown_channel)?;
    let permissions = state.permissions(channel, caller);
    if permissions & p::VIEW_CHANNEL == 0 {
        return Err(ApiError::missing_access());
    }
    Ok((channel.clone(), permissions))
}

pub fn need(permissions: u64, needed: u64) -> Result<(), ApiError> {
    if permissions & needed == needed {
        Ok(())
    } else {
        Err(ApiError::missing_permissions())
    }
}

pub async fn create(
    State(app): State<App>,
    Caller(author): Caller,
    Path(channel): Path<String>,
    body: Form,
) -> Answer {
    let mut state = app.state();
    let (channel, permissions) = seen(&state, &channel, author)?;
    need(permissions, p::SEND_MESSAGES)?;
    let form = MessageForm::parse(&body.json, false)?;
    if !body.files.is_empty() {
        need(permissions, p::ATTACH_FILES)?;
    }
    if let Some(nonce) = form.nonce.as_ref().filter(|_| form.enforce_nonce)
        && let Some(earlier) =
            state
                .messages
                .by_nonce(author, nonce, state.settings.nonce_memory_ms)
    {
        let mut answer = state.message_json(earlier);
        answer["nonce"] = nonce.clone();
        return Ok(Json(answer));
    }
    if let Some((original, true)) = form.reply_to
        && state.messages.get(channel.id, original).is_none()
    {
        let errors = FormErrors::one(
            &["message_reference"],
            "REPLIES_UNKNOWN_MESSAGE",
            "Unknown message",
        );
        return Err(ApiError::invalid_form(errors));
    }
    let content = form.content.unwrap_or_default().trim().to_owned();
    let may_mention_all = permissions & p::MENTION_EVERYONE != 0;
    let kept_flags =
        flags::SUPPRESS_EMBEDS | flags::SUPPRESS_NOTIFICATIONS | flags::IS_COMPONENTS_V2;
    let message = Message {
        id: state.ids.next(),
        channel: channel.id,
        author,
        mentions: AllowedMentions::mentions(
            form.allowed_mentions.as_ref(),
            &content,
            may_mention_all,
        ),
        content,
        edited_ms: None,
        tts: form.tts,
        attachments: attach(
            &mut state,
            &app,
            channel.id,
            body.files,
            form.attachments.as_deref(),
        ),
        embeds: form.embeds.unwrap_or_default(),
        components: form.components.unwrap_or_default(),
        flags: form.flags.unwrap_or(0) & kept_flags,
        nonce: form.nonce,
        reply_to: form.reply_to.map(|(original, _)| original),
    };
    not_empty(&message)?;
    state.messages.push(message.clone());
    state.message_created(&message);
    let mut answer = state.message_json(&message);
    if let Some(nonce) = message.nonce {
        answer["nonce"] = nonce;
    }
    Ok(Json(answer))
}

fn not_empty(message: &Message) -> Result<(), ApiError> {
    let empty = message.content.is_empty()
        && message.embeds.is_empty()
        && message.attachments.is_empty()
        && message.components.is_empty();
    if empty {
        Err(ApiError::empty_message())
    } else {
        Ok(())
    }
}

/// Newest first.
pub async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(channel): Path<String>,
    query: Query,
) -> Answer {
    let state = app.state();
    let (channel, permissions) = seen(&state, &channel, caller)?;
    let limit = query::limit(&query, 50, 100)?;
    let before = query::snowflake(&query, "before")?;
    let after = query::snowflake(&query, "after")?;
    let around = query::snowflake(&query, "around")?;
    // Without the permission there is no history to see.
    if permissions & p::READ_MESSAGE_HISTORY == 0 {
        return Ok(Json(json!([])));
    }
    let all: Vec<&Message> = state.messages.of(channel.id).collect();
    let from = match (before, after, around) {
        (Some(before), ..) => all.partition_point(|m| m.id < before).saturating_sub(limit),
        (None, Some(after), _) => all.partition_point(|m| m.id <= after),
        (None, None, Some(around)) => all
            .partition_point(|m| m.id < around)
            .saturating_sub(limit / 2),
        (None, None, None) => all.len().saturating_sub(limit),
    };
    let to = match before {
        Some(before) => all.partition_point(|m| m.id < before),
        None => all.len().min(from + limit),
    };
    let chosen = all.get(from..to).unwrap_or_default();
    Ok(Json(
        chosen
            .iter()
            .rev()
            .map(|message| state.message_json(message))
            .collect(),
    ))
}

/// A message that the caller sees, its channel, and his permissions there.
fn find(
    state: &Discord,
    path: &HashMap<String, String>,
    caller: Id,
) -> Result<(Message, Channel, u64), ApiError> {
    let part = |name: &str| path.get(name).map_or("", String::as_str);
    let (channel, permissions) = seen(state, part("channel_id"), caller)?;
    let message = path_id("message_id", part("message_id"))?;
    let message = state
        .messages
        .get(channel.id, message)
        .cloned()
        .ok_or_else(ApiError::unknown_message)?;
    Ok((message, channel, permissions))
}

pub async fn get(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(path): Path<HashMap<String, String>>,
) -> Answer {
    let state = app.state();
    let (message, _, permissions) = find(&state, &path, caller)?;
    need(permissions, p::READ_MESSAGE_HISTORY)?;
    Ok(Json(state.message_json(&message)))
}

pub async fn edit(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(path): Path<HashMap<String, String>>,
    body: Form,
) -> Answer {
    let mut state = app.state();
    let (mut message, channel, permissions) = find(&state, &path, caller)?;
    let v2 = message.flags & flags::IS_COMPONENTS_V2 != 0;
    let form = MessageForm::parse(&body.json, v2)?;
    if message.author != caller {
        // Others may only hide embeds, with the permission to.
        let only_flags = body.json.keys().all(|key| key == "flags") && body.files.is_empty();
        if !only_flags {
            return Err(ApiError::not_the_author());
        }
        need_at(&state, &channel, caller, p::MANAGE_MESSAGES)?;
    }
    if !body.files.is_empty() {
        need(permissions, p::ATTACH_FILES)?;
    }
    let may_mention_all = permissions & p::MENTION_EVERYONE != 0;
    change(
        &mut state,
        &app,
        &mut message,
        form,
        body.files,
        may_mention_all,
    )?;
    message.edited_ms = Some(unix_ms());
    if let Some(stored) = state.messages.get_mut(channel.id, message.id) {
        *stored = message.clone();
    }
    state.message_updated(&message);
    Ok(Json(state.message_json(&message)))
}

/// Changes what a form names of a message.
pub fn change(
    state: &mut Discord,
    app: &App,
    message: &mut Message,
    form: MessageForm,
    files: Vec<File>,
    may_mention_all: bool,
) -> Result<(), ApiError> {
    if let Some(content) = form.content {
        message.content = content.trim().to_owned();
        message.mentions = AllowedMentions::mentions(
            form.allowed_mentions.as_ref(),
            &message.content,
            may_mention_all,
        );
    }
    if let Some(embeds) = form.embeds {
        message.embeds = embeds;
    }
    if let Some(components) = form.components {
        message.components = components;
    }
    if let Some(new) = form.flags {
        // IS_COMPONENTS_V2 can be set and never unset.
        let kept = message.flags & !flags::SUPPRESS_EMBEDS;
        message.flags = kept | (new & (flags::SUPPRESS_EMBEDS | flags::IS_COMPONENTS_V2));
        if message.flags & flags::IS_COMPONENTS_V2 != 0
            && !(message.content.is_empty() && message.embeds.is_empty())
        {
            let text =
                "The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2";
            let code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2";
            return Err(ApiError::invalid_form(FormErrors::one(
                &["content"],
                code,
                text,
            )));
        }
    }
    if let Some(listed) = &form.attachments {
        message.attachments.retain(|attachment| {
            listed
                .iter()
                .any(|kept| attachment["id"] == json!(kept.id.to_string()))
        });
    }
    if !files.is_empty() {
        message.attachments.extend(attach(
            state,
            app,
            message.channel,
            files,
            form.attachments.as_deref(),
        ));
    }
    not_empty(message)
}

pub async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(path): Path<HashMap<String, String>>,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let (message, channel, _) = find(&state, &path, caller)?;
    if message.author != caller {
        need_at(&state, &channel, caller, p::MANAGE_MESSAGES)?;
    }
    state.messages.remove(channel.id, message.id);
    state.message_deleted(&message);
    Ok(StatusCode::NO_CONTENT)
}

/// Publishes a message of an announcement channel.
pub async fn crosspost(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(path): Path<HashMap<String, String>>,
) -> Answer {
    let mut state = app.state();
    let (mut message, channel, _) = find(&state, &path, caller)?;
    if channel.kind != ChannelKind::Announcement {
        return Err(ApiError::wrong_channel_type());
    }
    let needed = if message.author == caller {
        p::SEND_MESSAGES
    } else {
        p::MANAGE_MESSAGES
    };
    need_at(&state, &channel, caller, needed)?;
    if message.flags & flags::CROSSPOSTED != 0 {
        return Err(ApiError::already_crossposted());
    }
    message.flags |= flags::CROSSPOSTED;
    if let Some(stored) = state.messages.get_mut(channel.id, message.id) {
        *stored = message.clone();
    }
    state.message_updated(&message);
    Ok(Json(state.message_json(&message)))
}

pub async fn typing(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(channel): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let (channel, permissions) = seen(&state, &channel, caller)?;
    need(permissions, p::SEND_MESSAGES)?;
    state.typing_started(&channel, caller);
    Ok(StatusCode::NO_CONTENT)
}
