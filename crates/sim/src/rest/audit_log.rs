//! The audit log (`developers/resources/audit-log`).

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    Caller,
    acting::moderated_guild,
    query::{self, Query},
    reading::Answer,
};
use crate::{
    app::App,
    id::Id,
    state::{Entry, User, permissions as p},
};

/// Entries, newest first; with `after` oldest first.
pub async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(guild): Path<String>,
    query: Query,
) -> Answer {
    let state = app.state();
    let guild = moderated_guild(&state, &guild, caller, p::VIEW_AUDIT_LOG)?;
    let limit = query::limit(&query, 50, 100)?;
    let user = query::snowflake(&query, "user_id")?;
    let action = query::integer(&query, "action_type", 0..=u64::from(u8::MAX))?;
    let before = query::snowflake(&query, "before")?;
    let after = query::snowflake(&query, "after")?;
    let wanted = |entry: &&Entry| {
        user.is_none_or(|user| entry.by.user == user)
            && action.is_none_or(|action| u64::from(entry.action as u8) == action)
            && before.is_none_or(|before| entry.id < before)
            && after.is_none_or(|after| entry.id > after)
    };
    let entries = guild.audit_log.iter().filter(wanted);
    let entries: Vec<&Entry> = if after.is_some() && before.is_none() {
        entries.take(limit).collect()
    } else {
        entries.rev().take(limit).collect()
    };
    let people: BTreeSet<Id> = entries
        .iter()
        .flat_map(|entry| [entry.by.user, entry.target])
        .collect();
    let users = people.into_iter().filter_map(|id| state.user(id));
    Ok(Json(json!({
        "audit_log_entries": entries.iter().map(|entry| entry.json()).collect::<Vec<_>>(),
        "users": users.map(User::json).collect::<Value>(),
        "application_commands": [],
        "auto_moderation_rules": [],
        "guild_scheduled_events": [],
        "integrations": [],
        "threads": [],
        "webhooks": [],
    })))
}
