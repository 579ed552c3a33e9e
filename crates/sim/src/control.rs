//! The control interface: what a test sees of the simulator, and does to it.

use std::time::{Duration, Instant};

use axum::{
    Json, Router,
    extract::{FromRequest, Query, Request, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    app::App,
    faults::{Rule, RuleError},
    gateway::Out,
    id::Id,
    state::{RequestRecord, SettingsChange, State as Discord},
};

/// The longest that `GET /events` waits.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// All under `/control`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/messages", get(messages))
        .route("/presence", get(presence))
        .route("/requests", get(requests))
        .route("/limits", get(limits))
        .route("/guild", get(guild))
        .route("/events", get(events))
        .route("/gateway", get(gateway).post(act_on_gateway))
        .route("/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/settings", get(settings).post(change_settings))
        .route("/dispatch", post(dispatch))
        .route("/reset", post(reset))
        .fallback(async || ControlError::UnknownPath)
}

/// A request to the control interface that cannot be served: 400 or 404, and `{"error": "…"}`.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("no such control; see the documentation of the crate discord-sim")]
    UnknownPath,
    #[error("no channel `{0}`")]
    UnknownChannel(String),
    #[error("no user `{0}`")]
    UnknownUser(String),
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error(transparent)]
    Json(#[from] JsonRejection),
    #[error("`{0}` is not a close code that a server may send")]
    CloseCode(u16),
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownPath | Self::UnknownChannel(_) | Self::UnknownUser(_) => {
                StatusCode::NOT_FOUND
            }
            Self::Rule(_) | Self::Json(_) | Self::CloseCode(_) => StatusCode::BAD_REQUEST,
        };
        (status, Json(json!({"error": self.to_string()}))).into_response()
    }
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

/// A channel by name or id.
fn channel_id(state: &Discord, wanted: &str) -> Result<Id, ControlError> {
    let known = state.guild.channels.iter().chain(&state.directs);
    let channel = known
        .into_iter()
        .find(|c| c.name == wanted || c.id.to_string() == wanted);
    channel
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
            .guild
            .channels
            .iter()
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
    let shown = state.users.iter().map(|user| {
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

async fn limits(State(app): State<App>) -> Json<Value> {
    let limits = &mut app.state().limits;
    Json(json!({
        "too_early": limits.too_early,
        "over_global": limits.over_global,
        "invalid_requests": limits.invalid_requests(Instant::now()),
    }))
}

async fn guild(State(app): State<App>) -> Json<Value> {
    let state = app.state();
    let mut guild = state.guild.json();
    guild["channels"] = state.guild_channels_json(state.guild.owner).into();
    guild["members"] = state.members_json(|_| true).into();
    guild["voice_states"] = state.voice.values().cloned().collect();
    Json(guild)
}

#[derive(Debug, Deserialize)]
struct EventsQuery {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    timeout_ms: u64,
    /// Kinds of events, with commas between.
    #[serde(default)]
    types: String,
}

async fn events(State(app): State<App>, Query(query): Query<EventsQuery>) -> Json<Value> {
    let kinds: Vec<&str> = query
        .types
        .split(',')
        .filter(|kind| !kind.is_empty())
        .collect();
    let wait = Duration::from_millis(query.timeout_ms).min(MAX_WAIT);
    let deadline = tokio::time::Instant::now() + wait;
    let mut last = app.state().log.last();
    loop {
        let newest = *last.borrow_and_update();
        let events = app.state().log.after(query.after, &kinds);
        let changed = if events.is_empty() {
            tokio::time::timeout_at(deadline, last.changed())
                .await
                .is_ok_and(|changed| changed.is_ok())
        } else {
            false
        };
        if !changed {
            // What came between reading `newest` and the events is in both or in the next answer.
            let newest = events
                .last()
                .map_or(newest, |event| event.number.max(newest));
            return Json(json!({"last": newest, "events": events}));
        }
    }
}

async fn gateway(State(app): State<App>) -> Json<Value> {
    let state = app.state();
    let sessions: Vec<Value> = state
        .gateway
        .sessions()
        .map(|session| {
            json!({
                "id": session.id,
                "user_id": session.user,
                "intents": session.intents,
                "shard": session.shard,
                "sequence": session.sequence(),
                "connection": session.connection,
            })
        })
        .collect();
    let connections: Vec<Value> = state
        .gateway
        .connections()
        .map(|(id, connection)| {
            json!({"id": id, "compression": connection.compression, "since": connection.since})
        })
        .collect();
    let mut answer = json!(state.gateway.counts);
    answer["sessions"] = sessions.into();
    answer["connections"] = connections.into();
    Json(answer)
}

/// What is done to the gateway's clients.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum GatewayAction {
    /// Op 7.
    Reconnect { user: Option<String> },
    /// Op 9; the session ends unless it is resumable.
    InvalidSession {
        #[serde(default)]
        resumable: bool,
        user: Option<String>,
    },
    /// A close frame with this code.
    Close { code: u16, user: Option<String> },
    /// The end of the TCP connection, with no close frame.
    Drop { user: Option<String> },
    /// Op 1: a heartbeat is wanted at once.
    Heartbeat { user: Option<String> },
}

async fn act_on_gateway(State(app): State<App>, Body(action): Body<GatewayAction>) -> Answer {
    let mut state = app.state();
    let user = match &action {
        GatewayAction::Reconnect { user }
        | GatewayAction::InvalidSession { user, .. }
        | GatewayAction::Close { user, .. }
        | GatewayAction::Drop { user }
        | GatewayAction::Heartbeat { user } => user.clone(),
    };
    let user = match user {
        None => None,
        Some(name) => {
            let known = state
                .users
                .iter()
                .find(|user| user.name == name || user.id.to_string() == name);
            Some(
                known
                    .map(|user| user.id)
                    .ok_or(ControlError::UnknownUser(name))?,
            )
        }
    };
    if let GatewayAction::Close { code, .. } = action
        && !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    {
        return Err(ControlError::CloseCode(code));
    }
    let chosen: Vec<u64> = state
        .gateway
        .sessions()
        .filter(|session| user.is_none_or(|user| session.user == user))
        .filter_map(|session| session.connection)
        .collect();
    let mut reached = 0;
    for connection in chosen {
        let out = match &action {
            GatewayAction::Reconnect { .. } => {
                Out::Send(json!({"op": 7, "d": null, "s": null, "t": null}))
            }
            GatewayAction::InvalidSession { resumable, .. } => {
                if !resumable && let Some(user) = state.gateway.end_session_of(connection) {
                    state.session_ended(user);
                }
                Out::Send(json!({"op": 9, "d": resumable, "s": null, "t": null}))
            }
            GatewayAction::Close { code, .. } => {
                Out::Close(*code, "Closed by the control interface.")
            }
            GatewayAction::Drop { .. } => Out::Drop,
            GatewayAction::Heartbeat { .. } => {
                Out::Send(json!({"op": 1, "d": null, "s": null, "t": null}))
            }
        };
        reached += u64::from(state.gateway.send(connection, out));
    }
    Ok(Json(json!({"connections": reached})))
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
    Json(json!(state.settings))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dispatch {
    #[serde(rename = "type")]
    kind: String,
    data: Value,
    /// How many times.
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

async fn dispatch(State(app): State<App>, Body(dispatch): Body<Dispatch>) -> Json<Value> {
    let mut state = app.state();
    for _ in 0..dispatch.times {
        state
            .gateway
            .dispatch(&dispatch.kind, |_| Some(dispatch.data.clone()));
    }
    Json(json!({"sessions": state.gateway.sessions().count()}))
}

async fn reset(State(app): State<App>) -> Json<Value> {
    app.state().reset();
    Json(json!({}))
}
