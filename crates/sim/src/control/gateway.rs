//! The gateway: what its clients did, and what is done to them.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, ControlError, user_id};
use crate::{app::App, gateway::End};

pub async fn show(State(app): State<App>) -> Json<Value> {
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
                "presence": {"status": session.presence.status, "activities": session.presence.activities},
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

/// Something to do to the gateway's clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    action: Kind,
    /// To the sessions of this user only.
    user: Option<String>,
    /// To the sessions of this shard only.
    shard: Option<u64>,
    /// With what code to close.
    code: Option<u16>,
    /// Whether an invalid session can be resumed.
    #[serde(default)]
    resumable: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Op 7.
    Reconnect,
    /// Op 9; the session ends unless it is resumable.
    InvalidSession,
    /// A close frame.
    Close,
    /// The end of the TCP connection, with no close frame.
    Drop,
    /// Op 1: a heartbeat is wanted at once.
    Heartbeat,
}

pub async fn act(State(app): State<App>, Body(action): Body<Action>) -> Answer {
    let mut state = app.state();
    let user = action
        .user
        .as_deref()
        .map(|wanted| user_id(&state, wanted))
        .transpose()?;
    let code = action
        .code
        .filter(|code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999));
    if matches!(action.action, Kind::Close) && code.is_none() {
        return Err(ControlError::CloseCode);
    }
    let chosen: Vec<u64> = state
        .gateway
        .sessions()
        .filter(|session| user.is_none_or(|user| session.user == user))
        .filter(|session| action.shard.is_none_or(|shard| session.shard[0] == shard))
        .filter_map(|session| session.connection)
        .collect();
    let mut reached = 0;
    for connection in chosen {
        let gateway = &mut state.gateway;
        let payload = |op: u8, data: Value| json!({"op": op, "d": data, "s": null, "t": null});
        let was_reached = match action.action {
            Kind::Reconnect => gateway.send(connection, payload(7, Value::Null)),
            Kind::InvalidSession => {
                if !action.resumable
                    && let Some(user) = gateway.end_session_of(connection)
                {
                    state.session_ended(user);
                }
                state
                    .gateway
                    .send(connection, payload(9, json!(action.resumable)))
            }
            Kind::Close => gateway.end(
                connection,
                End::Close(code.unwrap_or(4000), "Closed by the control interface."),
            ),
            Kind::Drop => gateway.end(connection, End::Drop),
            Kind::Heartbeat => gateway.send(connection, payload(1, Value::Null)),
        };
        reached += u64::from(was_reached);
    }
    Ok(Json(json!({"connections": reached})))
}
