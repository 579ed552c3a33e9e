//! Any event, to any sessions, in any number.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, ControlError, user_id};
use crate::{app::App, faults::once, gateway::Session, id::Id};

/// How many are sent before others have a turn.
const AT_ONCE: u64 = 500;
/// How often a paced dispatch sends what has come due.
const TICK: Duration = Duration::from_millis(5);

/// An event for sessions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    #[serde(rename = "type")]
    kind: String,
    data: Value,
    /// How many times.
    #[serde(default = "once")]
    times: u64,
    /// Adds `number` to the data: 0 in the first, 1 in the second and so on.
    #[serde(default)]
    numbered: bool,
    /// How many in a second; without it, all at once.
    per_second: Option<NonZeroU32>,
    /// For the sessions of this user only.
    user: Option<String>,
    /// For the sessions of this shard only.
    shard: Option<u64>,
}

/// Answers when all are sent, or, if they are paced, when they begin.
pub async fn dispatch(State(app): State<App>, Body(dispatch): Body<Dispatch>) -> Answer {
    let (user, sessions) = {
        let state = app.state();
        let user = dispatch.user.as_deref();
        let user = user.map(|wanted| user_id(&state, wanted)).transpose()?;
        let chosen = |session: &&Session| dispatch.is_for(user, session);
        (user, state.gateway.sessions().filter(chosen).count())
    };
    if dispatch.numbered && !dispatch.data.is_object() {
        return Err(ControlError::Numbered);
    }
    match dispatch.per_second {
        None => dispatch.send(&app, user, 0..dispatch.times).await,
        Some(per_second) => {
            tokio::spawn(async move {
                tokio::select! {
                    () = app.shutdown() => {}
                    () = dispatch.pace(&app, user, per_second) => {}
                }
            });
        }
    }
    Ok(Json(json!({"sessions": sessions})))
}

impl Dispatch {
    fn is_for(&self, user: Option<Id>, session: &Session) -> bool {
        user.is_none_or(|user| user == session.user)
            && self.shard.is_none_or(|shard| shard == session.shard[0])
    }

    /// Sends those of these numbers.
    async fn send(&self, app: &App, user: Option<Id>, numbers: std::ops::Range<u64>) {
        let mut data = self.data.clone();
        for number in numbers {
            if self.numbered {
                data["number"] = number.into();
            }
            app.state().gateway.dispatch(&self.kind, |session| {
                self.is_for(user, session).then(|| data.clone())
            });
            if number % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Sends them as they come due, until a reset.
    async fn pace(&self, app: &App, user: Option<Id>, per_second: NonZeroU32) {
        let start = Instant::now();
        let era = app.state().gateway.era();
        let mut tick = tokio::time::interval(TICK);
        let mut sent = 0;
        while sent < self.times {
            tick.tick().await;
            if app.state().gateway.era() != era {
                return;
            }
            let due = start.elapsed().as_micros() * u128::from(per_second.get()) / 1_000_000;
            let due = u64::try_from(due).unwrap_or(u64::MAX).min(self.times);
            self.send(app, user, sent..due).await;
            sent = due;
        }
        let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        app.state().log.push(
            "dispatched",
            json!({"event": self.kind, "times": self.times, "took_ms": took}),
        );
    }
}
