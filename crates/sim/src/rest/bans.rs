//! Bans (`developers/resources/guild`).

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{
    ApiError, Caller,
    acting::{Reason, moderated_guild},
    body::Form,
    query::{self, Query},
    reading::{Answer, path_id},
    validate::Check,
};
use crate::{
    app::App,
    id::{Id, unix_ms},
    state::{State as Discord, User, permissions as p},
};

/// Messages of at most so many seconds are deleted with a ban.
const MAX_DELETED: u64 = 604_800;

fn shown(state: &Discord, user: Id, reason: Option<&String>) -> Value {
    json!({"reason": reason, "user": state.user(user).map(User::json)})
}

pub async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
    query: Query,
) -> Answer {
    let state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::BAN_MEMBERS)?;
    let limit = query::limit(&query, 1_000, 1_000)?;
    let before = query::snowflake(&query, "before")?;
    let after = query::snowflake(&query, "after")?.unwrap_or(Id(0));
    let bans: Vec<_> = match before {
        // The last ones before it, but in ascending order all the same.
        Some(before) => {
            let mut bans: Vec<_> = guild.bans.range(..before).rev().take(limit).collect();
            bans.reverse();
            bans
        }
        None => {
            let first = Id(after.0.saturating_add(1));
            guild.bans.range(first..).take(limit).collect()
        }
    };
    let bans = bans.into_iter();
    let shown = bans.map(|(&user, reason)| shown(&state, user, reason.as_ref()));
    Ok(Json(shown.collect()))
}

pub async fn get(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((guild, user)): Path<(String, String)>,
) -> Answer {
    let state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::BAN_MEMBERS)?;
    let user = path_id("user_id", &user)?;
    let reason = guild.bans.get(&user).ok_or_else(ApiError::unknown_ban)?;
    Ok(Json(shown(&state, user, reason.as_ref())))
}

/// Bans a user, who need not be a member.
pub async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((guild, user)): Path<(String, String)>,
    reason: Reason,
    body: Form,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::BAN_MEMBERS)?;
    let user = path_id("user_id", &user)?;
    let mut check = Check::default();
    let seconds = check.integer(&body.json, "delete_message_seconds", MAX_DELETED);
    let days = check.integer(&body.json, "delete_message_days", MAX_DELETED / 86_400);
    check.errors.into_result()?;
    if state.user(user).is_none() {
        return Err(ApiError::unknown_user());
    }
    if user == caller || user == guild.owner || guild.has(user) && !guild.outranks(caller, user) {
        return Err(ApiError::missing_permissions());
    }
    let guild = guild.id;
    let seconds = seconds.or(days.map(|days| days * 86_400)).unwrap_or(0);
    if state.ban(guild, user, reason.of(caller)) && seconds > 0 {
        state.purge(guild, user, unix_ms().saturating_sub(seconds * 1_000));
    }
    Ok(StatusCode::NO_CONTENT)
}

pub async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((guild, user)): Path<(String, String)>,
    reason: Reason,
) -> Result<StatusCode, ApiError> {
    let mut state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::BAN_MEMBERS)?;
    let user = path_id("user_id", &user)?;
    let guild = guild.id;
    if state.unban(guild, user, reason.of(caller)) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::unknown_ban())
    }
}
