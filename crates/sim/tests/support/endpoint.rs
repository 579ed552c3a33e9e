//! The endpoint of an application, to which Discord posts interactions and webhook events.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use super::Discord;

/// An application's endpoint: checks signatures, unless told not to, and answers with what it was given to.
#[derive(Clone)]
pub struct Endpoint {
    public_key: Vec<u8>,
    checks: bool,
    pub answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    pub seen: Arc<Mutex<Vec<Value>>>,
}

impl Endpoint {
    pub async fn start(discord: &Discord, checks: bool) -> (Self, String) {
        let hex = &discord.info().public_key;
        let endpoint = Self {
            public_key: (0..64)
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect(),
            checks,
            answers: Arc::default(),
            seen: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/interactions", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/interactions", post(Self::handle))
            .with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (endpoint, url)
    }

    async fn handle(State(endpoint): State<Self>, headers: HeaderMap, body: Bytes) -> Response {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let hex = header("x-signature-ed25519");
        let signature: Vec<u8> = (0..128)
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let message = [header("x-signature-timestamp").as_bytes(), &body].concat();
        let good = UnparsedPublicKey::new(&ED25519, &endpoint.public_key)
            .verify(&message, &signature)
            .is_ok();
        if !good && endpoint.checks {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let body: Value = serde_json::from_slice(&body).unwrap();
        if body["type"] == 1 && body.get("event").is_none() {
            return axum::Json(json!({"type": 1})).into_response();
        }
        if body["type"] == 0 {
            return StatusCode::NO_CONTENT.into_response();
        }
        endpoint.seen.lock().unwrap().push(body);
        let (status, body) = endpoint.answers.lock().unwrap().pop_front().unwrap();
        (StatusCode::from_u16(status).unwrap(), body).into_response()
    }
}
