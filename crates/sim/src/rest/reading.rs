//! Routes that show users, the guild and its channels.

use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    ApiError, Caller, FormErrors,
    acting::own_guild,
    body,
    query::{self, Query},
};
use crate::{
    app::App,
    gateway::intents,
    id::Id,
    oauth::{self, Access},
    state::{Channel, ChannelKind, Guild, permissions, seed},
};

pub type Answer = Result<Json<Value>, ApiError>;

/// An id in a path.
pub fn path_id(name: &str, text: &str) -> Result<Id, ApiError> {
    text.parse().map_err(|_| {
        let message = format!("Value \"{text}\" is not snowflake.");
        ApiError::invalid_form(FormErrors::one(&[name], "NUMBER_TYPE_COERCE", message))
    })
}

pub async fn gateway(State(app): State<App>) -> Json<Value> {
    Json(json!({"url": app.addresses().gateway}))
}

pub async fn gateway_bot(State(app): State<App>, Caller(user): Caller) -> Json<Value> {
    let mut state = app.state();
    let state = &mut *state;
    let (remaining, reset) = state.gateway.identifies.left(user, &state.settings);
    Json(json!({
        "url": app.addresses().gateway,
        "shards": state.settings.recommended_shards,
        "session_start_limit": {
            "total": state.settings.identify_budget,
            "remaining": remaining,
            "reset_after": u64::try_from(reset.as_millis()).unwrap_or(u64::MAX),
            "max_concurrency": state.settings.max_concurrency,
        },
    }))
}

/// The application of the bot that asks.
pub async fn application(State(app): State<App>, Caller(caller): Caller) -> Answer {
    let state = app.state();
    let bot = state
        .user(caller)
        .filter(|user| user.bot)
        .ok_or_else(ApiError::unauthorized)?;
    let owner = state.user(seed::DEVELOPER).map(|user| user.json());
    Ok(Json(json!({
        "id": bot.id,
        "name": bot.display,
        "icon": null,
        "description": "",
        "type": null,
        "bot": bot.json(),
        "bot_public": true,
        "bot_require_code_grant": false,
        "verify_key": app.public_key(),
        "owner": owner,
        "team": null,
        "flags": application_flags(state.settings.privileged_intents),
        "summary": "",
        "hook": true,
        "tags": [],
        "rpc_origins": [],
        "redirect_uris": state.settings.redirect_uris,
        "interactions_endpoint_url": state.interactions.endpoint,
        "event_webhooks_url": state.interactions.events_endpoint,
        // Enabled, or disabled by the developer.
        "event_webhooks_status": if state.interactions.events_endpoint.is_some() { 2 } else { 1 },
        "event_webhooks_types": state.interactions.events_endpoint.as_ref().map_or(
            &[][..],
            |_| &["APPLICATION_AUTHORIZED", "APPLICATION_DEAUTHORIZED"][..],
        ),
        "role_connections_verification_url": null,
        "integration_types_config": {},
        "approximate_guild_count": 1,
        "approximate_user_install_count": 0,
    })))
}

/// The flags of an application that say which privileged intents it has, as one that is in few guilds.
fn application_flags(privileged: u64) -> u64 {
    let limited = [
        (intents::GUILD_PRESENCES, 1 << 13),
        (intents::GUILD_MEMBERS, 1 << 15),
        (intents::MESSAGE_CONTENT, 1 << 19),
    ];
    let granted = limited
        .iter()
        .filter(|(intent, _)| privileged & intent != 0);
    granted.fold(0, |flags, (_, flag)| flags | flag)
}

pub async fn own_user(
    State(app): State<App>,
    Caller(caller): Caller,
    access: Option<Extension<Access>>,
) -> Answer {
    let state = app.state();
    let user = state.user(caller).ok_or_else(ApiError::unknown_user)?;
    Ok(Json(match access {
        Some(Extension(access)) => oauth::user(user, &access),
        None => state.own_json(user),
    }))
}

pub async fn own_guilds(State(app): State<App>, Caller(caller): Caller, query: Query) -> Answer {
    let limit = query::limit(&query, 200, 200)?;
    let before = query::snowflake(&query, "before")?;
    let after = query::snowflake(&query, "after")?;
    let state = app.state();
    let guilds = state.guilds.iter().filter(|guild| {
        guild.has(caller)
            && before.is_none_or(|before| guild.id < before)
            && after.is_none_or(|after| guild.id > after)
    });
    let guilds: Vec<&Guild> = guilds.collect();
    // The last ones before it, but in ascending order all the same.
    let skipped = match (before, after) {
        (Some(_), None) => guilds.len().saturating_sub(limit),
        _ => 0,
    };
    let shown = guilds.into_iter().skip(skipped).take(limit).map(|guild| {
        json!({
            "id": guild.id,
            "name": guild.name,
            "icon": null,
            "banner": null,
            "owner": guild.owner == caller,
            "permissions": guild.base_permissions(caller).to_string(),
            "features": [],
        })
    });
    Ok(Json(shown.collect()))
}

pub async fn user(State(app): State<App>, Path(user): Path<String>) -> Answer {
    let user = path_id("user_id", &user)?;
    app.state()
        .user(user)
        .map(|user| Json(user.json()))
        .ok_or_else(ApiError::unknown_user)
}

/// Opens a direct channel with another user, or finds the one there is.
pub async fn open_direct(
    State(app): State<App>,
    Caller(caller): Caller,
    form: body::Form,
) -> Answer {
    let text = match form.json.get("recipient_id") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let recipient = path_id("recipient_id", &text)?;
    let mut state = app.state();
    let (me, other) = (state.user(caller), state.user(recipient));
    let other = other.ok_or_else(ApiError::unknown_user)?;
    // Bots have no direct channels with bots, nor has anybody with himself.
    if other.id == caller || (other.bot && me.is_some_and(|me| me.bot)) {
        return Err(ApiError::cannot_dm());
    }
    let open = state.directs.iter().find(|channel| {
        channel
            .recipient
            .is_some_and(|pair| pair.contains(&caller) && pair.contains(&recipient))
    });
    let channel = match open {
        Some(channel) => channel.clone(),
        None => {
            let channel = Channel {
                id: state.ids.next(),
                name: String::new(),
                guild: None,
                kind: ChannelKind::Direct,
                overwrites: Vec::new(),
                user_limit: 0,
                recipient: Some([caller, recipient]),
            };
            state.directs.push(channel.clone());
            channel
        }
    };
    Ok(Json(state.channel_json(&channel, caller)))
}

pub async fn guild(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
) -> Answer {
    Ok(Json(own_guild(&app.state(), &guild, caller)?.json()))
}

pub async fn guild_channels(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
) -> Answer {
    let state = app.state();
    let guild = own_guild(&state, &guild, caller)?;
    Ok(Json(state.guild_channels_json(guild, caller).into()))
}

pub async fn channel(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(channel): Path<String>,
) -> Answer {
    let channel = path_id("channel_id", &channel)?;
    let state = app.state();
    let channel = state
        .channel(channel)
        .ok_or_else(ApiError::unknown_channel)?;
    if state.permissions(channel, caller) & permissions::VIEW_CHANNEL == 0 {
        return Err(ApiError::missing_access());
    }
    Ok(Json(state.channel_json(channel, caller)))
}
