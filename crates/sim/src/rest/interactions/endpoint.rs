//! The addresses that an application has interactions and webhook events sent to. Discord tries them before it takes them
//! (`developers/interactions/overview`, `developers/events/webhook-events`).

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    app::App,
    outgoing::{Signed, post},
    rest::{ApiError, Caller, FormErrors, body::Form, reading, validate::Check},
};

const INTERACTIONS: &str = "interactions_endpoint_url";
const EVENTS: &str = "event_webhooks_url";

/// `PATCH /applications/@me`.
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    body: Form,
) -> Result<Json<Value>, ApiError> {
    for key in [INTERACTIONS, EVENTS] {
        let Some(given) = body.json.get(key) else {
            continue;
        };
        let mut check = Check::default();
        let url = match given.as_str() {
            Some("") | None => None,
            Some(_) => check.url(&body.json, key, false),
        };
        check.errors.into_result()?;
        if let Some(url) = &url
            && let Err(why) = probe(&app, url, key).await
        {
            let code = "APPLICATION_INTERACTIONS_ENDPOINT_URL_INVALID";
            let message = format!(
                "The specified {} could not be verified.",
                key.replace('_', " ")
            );
            tracing::info!(url, why, "an endpoint was not taken");
            app.state().log.push(
                "endpoint_refused",
                json!({"field": key, "url": url, "why": why}),
            );
            return Err(ApiError::invalid_form(FormErrors::one(
                &[key],
                code,
                message,
            )));
        }
        let mut state = app.state();
        if key == INTERACTIONS {
            state.interactions.endpoint = url;
        } else {
            state.interactions.events_endpoint = url;
        }
    }
    reading::application(State(app), caller).await
}

/// A PING well signed, and one badly.
async fn probe(app: &App, url: &str, key: &str) -> Result<(), String> {
    let interactions = key == INTERACTIONS;
    let ping = if interactions {
        json!({"id": app.state().ids.next(), "application_id": crate::state::seed::APPLICATION, "type": 1,
               "token": "ping", "version": 1})
    } else {
        json!({"version": 1, "application_id": crate::state::seed::APPLICATION, "type": 0})
    };
    let well = post(app, url, &ping, Signed::Well).await?;
    if interactions {
        let pong = well.json().is_some_and(|json| json["type"] == 1);
        let json = well
            .content_type
            .as_deref()
            .is_some_and(|kind| kind.starts_with("application/json"));
        if well.status != 200 || !pong || !json {
            return Err(format!("a PING was answered with {}", well.status));
        }
    } else if well.status != 204 || !well.body.is_empty() {
        return Err(format!("a PING was answered with {}", well.status));
    }
    match post(app, url, &ping, Signed::Badly).await?.status {
        401 => Ok(()),
        status => Err(format!(
            "a bad signature was answered with {status}, not 401"
        )),
    }
}
