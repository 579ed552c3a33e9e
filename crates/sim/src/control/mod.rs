//! The control interface: what a test sees of the simulator, and does to it.

mod dispatch;
mod error;
mod events;
mod gateway;
mod guilds;
mod interactions;
mod members;
mod modal;
mod oauth;
mod people;
mod roles;
mod stream;
mod voice;

use std::time::Instant;

use axum::{
    Json, Router,
    extract::{FromRequest, Query, Request, State},
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use self::error::ControlError;
use crate::{
    app::App,
    faults::Rule,
    gateway::Buffer,
    id::Id,
    state::{ChannelKind, RequestRecord, SettingsChange, State as Discord},
};

/// All under `/control`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/messages", get(messages))
        .route("/presence", get(presence))
        .route("/members", get(members::list).post(members::act))
        .route("/accounts", post(people::account))
        .route("/audit-log", get(members::audit_log))
        .route("/requests", get(requests))
        .route("/requests/counts", get(request_counts))
        .route("/limits", get(limits))
        .route("/guild", get(guild).post(roles::change))
        .route("/guilds", post(guilds::add))
        .route("/events", get(events::wait))
        .route("/gateway", get(gateway::show).post(gateway::act))
        .route("/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/voice", get(voice::show).post(voice::act))
        .route(
            "/voice/network",
            get(voice::network).post(voice::set_network),
        )
        .route("/settings", get(settings).post(change_settings))
        .route("/dispatch", post(dispatch::dispatch))
        .route("/stream", post(stream::play))
        .route("/commands", get(interactions::commands))
        .route(
            "/interactions",
            get(interactions::list).post(interactions::act),
        )
        .route("/oauth", get(oauth::list).post(oauth::act))
        .route("/webhook-events", post(interactions::webhook_event))
        .route("/reset", post(reset))
        .fallback(async || ControlError::UnknownPath)
}

/// A JSON body, whose errors are ours to word.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ControlError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ControlError> {
        let Json(value) = Json::from_request(request, state).await?;
        Ok(Self(value))
    }
}

type Answer = Result<Json<Value>, ControlError>;

/// A user by name or id.
fn user_id(state: &Discord, wanted: &str) -> Result<Id, ControlError> {
    let by_id = || state.user(wanted.parse().ok()?);
    let user = state.users.named(wanted).or_else(by_id);
    user.map(|user| user.id)
        .ok_or_else(|| ControlError::UnknownUser(wanted.to_owned()))
}

/// A channel by name or id.
fn channel_id(state: &Discord, wanted: &str) -> Result<Id, ControlError> {
    let by_id = || state.channel(wanted.parse().ok()?);
    let known = state.guilds.home.channels.iter().chain(&state.directs);
    let named = known.into_iter().find(|channel| channel.name == wanted);
    named
        .or_else(by_id)
        .map(|channel| channel.id)
        .ok_or_else(|| ControlError::UnknownChannel(wanted.to_owned()))
}

#[derive(Debug, Deserialize)]
struct MessagesQuery {
    channel: Option<String>,
}

async fn messages(State(app): State<App>, Query(query): Query<MessagesQuery>) -> Answer {
    let state = app.state();
    let channels = match &query.channel {
        Some(channel) => vec![channel_id(&state, channel)?],
        None => state
            .guilds
            .iter()
            .flat_map(|guild| &guild.channels)
            .chain(&state.directs)
            .map(|channel| channel.id)
            .collect(),
    };
    let mut messages: Vec<_> = channels
        .into_iter()
        .flat_map(|channel| state.messages.of(channel))
        .collect();
    messages.sort_by_key(|message| message.id);
    let shown = messages.into_iter().map(|message| {
        let mut json = state.message_json(message);
        json["nonce"] = message.nonce.clone().unwrap_or_default();
        json
    });
    Ok(Json(shown.collect()))
}

async fn presence(State(app): State<App>) -> Json<Value> {
    let state = app.state();
    let users = state.users.iter().filter(|user| !user.token.is_empty());
    let shown = users.map(|user| {
        let presence = state.presence(user.id);
        json!({
            "user_id": user.id,
            "name": user.name,
            "bot": user.bot,
            "status": presence.status,
            "activities": presence.activities,
        })
    });
    Json(shown.collect())
}

async fn requests(State(app): State<App>) -> Json<Vec<RequestRecord>> {
    Json(app.state().requests.iter().cloned().collect())
}

/// How many requests of each route there were, and how they were answered, since the start or the last reset.
async fn request_counts(State(app): State<App>) -> Json<Value> {
    let state = app.state();
    let counts = state.requests.counts().map(|((method, route), statuses)| {
        json!({
            "method": method,
            "route": route,
            "count": statuses.values().sum::<u64>(),
            "statuses": statuses,
        })
    });
    Json(counts.collect())
}

async fn limits(State(app): State<App>) -> Json<Value> {
    let limits = &mut app.state().limits;
    Json(json!({
        "too_early": limits.too_early,
        "over_global": limits.over_global,
        "invalid_requests": limits.invalid_requests(Instant::now()),
    }))
}

#[derive(Debug, Deserialize)]
struct GuildQuery {
    id: Option<u64>,
}

async fn guild(State(app): State<App>, Query(query): Query<GuildQuery>) -> Answer {
    let state = app.state();
    let home = &state.guilds.home;
    let shown = match query.id {
        Some(id) => state
            .guilds
            .get(Id(id))
            .ok_or(ControlError::UnknownGuild(Id(id)))?,
        None => home,
    };
    let mut guild = shown.json();
    guild["channels"] = state.guild_channels_json(shown, shown.owner).into();
    for channel in guild["channels"].as_array_mut().into_iter().flatten() {
        if channel["type"] == ChannelKind::Voice as u8 {
            let id = channel["id"].as_str().and_then(|id| id.parse().ok());
            let status = id.and_then(|id: Id| state.voice_statuses.get(&id));
            channel["status"] = json!(status);
        }
    }
    guild["members"] = state.members_json(shown, Id(0), |_, _| true).collect();
    guild["voice_states"] = state.voice_states(shown.id).cloned().collect();
    Ok(Json(guild))
}

async fn faults(State(app): State<App>) -> Json<Value> {
    Json(json!(app.state().faults.rules()))
}

async fn add_faults(State(app): State<App>, Body(rules): Body<Vec<Rule>>) -> Answer {
    let mut state = app.state();
    state.faults.add(rules)?;
    Ok(Json(json!(state.faults.rules())))
}

async fn clear_faults(State(app): State<App>) -> Json<Value> {
    app.state().faults.clear();
    Json(json!([]))
}

async fn settings(State(app): State<App>) -> Json<Value> {
    Json(json!(app.state().settings))
}

async fn change_settings(
    State(app): State<App>,
    Body(change): Body<SettingsChange>,
) -> Json<Value> {
    let mut state = app.state();
    state.settings.change(change);
    state.gateway.buffer = Buffer {
        events: state.settings.session_events,
        bytes: state.settings.session_bytes,
    };
    Json(json!(state.settings))
}

async fn reset(State(app): State<App>) -> Json<Value> {
    app.state().reset();
    Json(json!({}))
}
