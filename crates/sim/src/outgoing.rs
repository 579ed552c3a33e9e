//! What Discord posts to an application's endpoints, signed.

use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use crate::{
    app::App,
    id::{iso8601, unix_ms},
    state::seed,
};

/// Discord waits for so long.
const TIMEOUT: Duration = Duration::from_secs(3);
/// More than any answer that Discord takes.
const MAX_ANSWER: usize = 1 << 20;

/// An endpoint's answer.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Bytes,
}

impl Answered {
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Whether to sign as Discord does, or as it does to find out who does not check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    Well,
    Badly,
}

/// Posts JSON to an endpoint; the error says in words why there is no answer.
pub async fn post(app: &App, url: &str, body: &Value, signed: Signed) -> Result<Answered, String> {
    let body = body.to_string();
    let timestamp = (unix_ms() / 1_000).to_string();
    let mut message = format!("{timestamp}{body}");
    if signed == Signed::Badly {
        message.push('!');
    }
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(
            header::USER_AGENT,
            "Discord-Interactions/1.0 (+https://discord.com)",
        )
        .header("x-signature-timestamp", timestamp)
        .header("x-signature-ed25519", app.sign(message.as_bytes()))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| format!("the URL cannot be used: {error}"))?;
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let exchange = async {
        let response = client
            .request(request)
            .await
            .map_err(|error| format!("the endpoint cannot be reached: {error}"))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| format!("the endpoint's answer did not come whole: {error}"))?;
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        Ok(Answered {
            status: parts.status.as_u16(),
            content_type: content_type
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            body: body.to_bytes(),
        })
    };
    tokio::time::timeout(TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| Err("the endpoint did not answer within 3 s".to_owned()))
}

/// Tells our application something, if it has an endpoint for that, so many times as Discord does when it has not seen the answer.
/// Answers the statuses; `None` where there was no answer.
pub async fn event(app: &App, kind: &str, data: Value, times: u32) -> Vec<Option<u16>> {
    let Some(url) = app.state().interactions.events_endpoint.clone() else {
        return Vec::new();
    };
    let body = json!({
        "version": 1,
        "application_id": seed::APPLICATION,
        "type": 1,
        "event": {"type": kind, "timestamp": iso8601(unix_ms()), "data": data},
    });
    let mut statuses = Vec::new();
    for _ in 0..times {
        let answered = post(app, &url, &body, Signed::Well).await;
        if let Err(why) = &answered {
            tracing::info!(kind, why, "a webhook event was not taken");
        }
        statuses.push(answered.ok().map(|answer| answer.status));
    }
    statuses
}
