//! discord-sim in this process, and its control interface.

use discord_sim::{Info, Options, Sim, TlsMode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// GUILDS, GUILD_MESSAGES and MESSAGE_CONTENT.
pub const INTENTS: u64 = 1 | 1 << 9 | 1 << 15;

/// A local Discord.
pub struct Discord(Sim);

impl Discord {
    pub async fn start() -> Self {
        Self::start_with(TlsMode::Off, 0).await
    }

    /// With TLS or without, and with so many more bots.
    pub async fn start_with(tls: TlsMode, bots: u16) -> Self {
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls,
            channels: 0,
            bots,
        };
        Self(Sim::start(options).await.unwrap())
    }

    pub fn info(&self) -> &Info {
        self.0.info()
    }

    pub fn channel(&self, name: &str) -> &str {
        &self.info().channels[name]
    }

    /// The desired gateway that leads here.
    pub fn gateway(&self, events: &[&str]) -> Value {
        let Info { token, gateway, .. } = self.info();
        json!({"token": token, "intents": INTENTS, "url": gateway, "shards": 1, "sessions": [], "events": events})
    }

    pub async fn get(&self, path: &str) -> Value {
        self.control("GET", path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.control("POST", path, body).await
    }

    /// The same with so many shards, which may identify as fast as they like.
    pub async fn sharded(&self, shards: u32, events: &[&str]) -> Value {
        self.post("settings", json!({"identify_interval_ms": 0}))
            .await;
        let mut gateway = self.gateway(events);
        gateway["shards"] = json!(shards);
        gateway
    }

    /// Ends the bot's connection, in this way.
    pub async fn cut(&self, action: &str) {
        self.post("gateway", json!({"action": action, "user": "uro"}))
            .await;
    }

    /// Sends a dispatch to every session.
    pub async fn dispatch(&self, kind: &str, data: Value) {
        self.post("dispatch", json!({"type": kind, "data": data}))
            .await;
    }

    /// Waits until the bot's presence says this, or is of this status and says nothing.
    pub async fn shows(&self, wanted: &str) {
        let mut last = 0;
        loop {
            let users = self.get("presence").await;
            let mut users = users.as_array().unwrap().iter();
            let ours = users
                .find(|user| user["user_id"] == self.info().application_id)
                .unwrap();
            let text = ours["activities"][0]["state"]
                .as_str()
                .or(ours["status"].as_str());
            if text == Some(wanted) {
                return;
            }
            (last, _) = self.logged_after("presence", last).await;
        }
    }

    /// Waits for the first event of a kind in the simulator's log.
    pub async fn logged(&self, kind: &str) -> Value {
        self.logged_after(kind, 0).await.1
    }

    /// Waits for an event of a kind after that number: its own number, and the event.
    pub async fn logged_after(&self, kind: &str, after: u64) -> (u64, Value) {
        let answer = self
            .get(&format!(
                "events?types={kind}&after={after}&timeout_ms=20000"
            ))
            .await;
        let event = answer["events"][0].clone();
        assert!(event.is_object(), "no {kind} came");
        (event["number"].as_u64().unwrap(), event)
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.info().control))
            .header("content-type", "application/json")
            .body(Full::<bytes::Bytes>::from(body.to_string()))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{method} {path}: {status} {body:?}");
        serde_json::from_slice(&body).unwrap()
    }
}
