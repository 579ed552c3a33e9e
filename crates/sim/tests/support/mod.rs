//! What the tests share: a simulator, and a plain HTTP client for REST and the control interface.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub mod client;
pub mod endpoint;
pub mod gateway;
pub mod ours;
pub mod tone;
pub mod voice;
mod websocket;

use std::time::Duration;

use discord_sim::{Info, Options, Sim, TlsMode};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// A header that must be there, as text.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name} in {self:?}"))
            .to_str()
            .unwrap()
    }
}

/// A simulator and who talks to it.
pub struct Discord {
    pub sim: Sim,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Discord {
    pub async fn start() -> Self {
        Self::start_with(false, 0).await
    }

    /// With TLS or without, and with so many more bots.
    pub async fn start_with(tls: bool, bots: u16) -> Self {
        // twilight wants a process-wide provider even for ws://; that there is one already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: if tls { TlsMode::Only } else { TlsMode::Off },
            channels: 0,
            bots,
        };
        Self {
            sim: Sim::start(options).await.unwrap(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub fn info(&self) -> &Info {
        self.sim.info()
    }

    pub fn channel(&self, name: &str) -> &str {
        &self.info().channels[name]
    }

    /// A user's `Authorization`.
    pub fn authorization(&self, user: &str) -> String {
        let token = &self.info().users[user].token;
        match user {
            "uro" | "peer" => format!("Bot {token}"),
            _ => token.clone(),
        }
    }

    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Box<dyn std::error::Error>> {
        let response = self.client.request(request).await?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// A REST request of a user; `path` is under `/api/v10`.
    pub fn request(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.info().api))
            .header(header::AUTHORIZATION, self.authorization(user));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        request.body(Full::from(body)).unwrap()
    }

    pub async fn rest(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.rest_as("uro", method, path, body).await
    }

    pub async fn rest_as(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        self.send(self.request(user, method, path, body))
            .await
            .unwrap()
    }

    /// Posts a message.
    pub async fn post_as(&self, user: &str, channel: &str, body: Value) -> Answer {
        let path = format!("/channels/{}/messages", self.channel(channel));
        self.rest_as(user, Method::POST, &path, Some(body)).await
    }

    pub async fn post(&self, channel: &str, body: Value) -> Answer {
        self.post_as("uro", channel, body).await
    }

    /// `GET` of the control interface.
    pub async fn seen(&self, path: &str) -> Value {
        self.control(Method::GET, path, None).await
    }

    /// `POST` to the control interface, which must succeed.
    pub async fn tell(&self, path: &str, body: Value) -> Value {
        self.control(Method::POST, path, Some(body)).await
    }

    async fn control(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.try_control(method, path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer.json()
    }

    pub async fn try_control(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.info().control))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(
                body.map(|body| body.to_string()).unwrap_or_default(),
            ))
            .unwrap();
        self.send(request).await.unwrap()
    }

    /// Waits for the first event of this kind after number `after`; answers it.
    pub async fn wait_for(&self, after: u64, kind: &str) -> Value {
        let path = format!("/events?after={after}&types={kind}&timeout_ms=20000");
        let events = self.seen(&path).await;
        events["events"]
            .get(0)
            .cloned()
            .unwrap_or_else(|| panic!("no {kind} after event {after}"))
    }

    /// The number of the newest event.
    pub async fn now(&self) -> u64 {
        self.seen(&format!("/events?after={}", u64::MAX)).await["last"]
            .as_u64()
            .unwrap()
    }

    pub async fn fault(&self, rule: Value) {
        self.tell("/faults", json!([rule])).await;
    }
}

/// Fails when something takes longer than it ever should.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("nothing happened for 20 s")
}

/// Code 50035 and its errors.
pub fn form_errors(answer: &Answer) -> Value {
    let body = answer.json();
    assert_eq!(
        (answer.status.as_u16(), &body["code"]),
        (400, &json!(50035)),
        "{body}"
    );
    assert_eq!(body["message"], "Invalid Form Body");
    body["errors"].clone()
}

/// Status and code of another error.
pub fn error(answer: &Answer) -> (u16, u64) {
    (
        answer.status.as_u16(),
        answer.json()["code"].as_u64().unwrap(),
    )
}
