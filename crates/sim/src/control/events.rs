//! Waiting for what happens.

use std::time::Duration;

use axum::{
    Json,
    extract::{Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;

/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize)]
pub struct EventsQuery {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    timeout_ms: u64,
    /// Kinds of events, with commas between.
    #[serde(default)]
    types: String,
}

pub async fn wait(State(app): State<App>, Query(query): Query<EventsQuery>) -> Json<Value> {
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
