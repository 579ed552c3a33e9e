//! A guild in which our bot may do much.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Discord};

const KICK_BAN_AUDIT: u64 = 1 << 1 | 1 << 2 | 1 << 7;

/// What our bot's role has: see state/seed.rs.
pub const BOT: u64 = 1 | 1 << 4 | 1 << 22 | 1 << 27 | 1 << 28 | 1 << 29;

/// A simulator with rate limits wide enough, whose bot may do all that is here, and the role `Crew` below it.
pub struct Place {
    pub discord: Discord,
    pub guild: String,
    pub crew: String,
}

impl Place {
    pub async fn new() -> Self {
        let discord = Discord::start().await;
        discord
            .tell("/settings", json!({"rate_limit_factor": 100}))
            .await;
        let all = (BOT | KICK_BAN_AUDIT).to_string();
        let roles = json!([{"role": "Crew"}, {"role": "Boosters", "managed": true},
            {"role": "Above", "position": 9}, {"role": "Uro", "permissions": all}]);
        let guild = discord.tell("/guild", json!({"roles": roles})).await;
        Self {
            guild: guild["id"].as_str().unwrap().to_owned(),
            crew: role(&guild, "Crew"),
            discord,
        }
    }

    pub fn id(&self, user: &str) -> &str {
        &self.discord.info().users[user].id
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/guilds/{}{rest}", self.guild)
    }

    pub fn member(&self, user: &str) -> String {
        self.path(&format!("/members/{}", self.id(user)))
    }

    pub async fn roles(&self) -> Value {
        self.discord.seen("/guild").await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.discord.rest(Method::PATCH, path, Some(body)).await
    }

    pub async fn put(&self, path: &str) -> Answer {
        self.discord.rest(Method::PUT, path, None).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.discord.rest(Method::DELETE, path, None).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.discord.rest(Method::GET, path, None).await
    }

    pub async fn control(&self, body: Value) -> Value {
        self.discord.tell("/members", body).await
    }

    /// A request with a reason, under a prefix of ours.
    pub async fn with_reason(
        &self,
        method: Method,
        path: &str,
        reason: &str,
        body: Value,
    ) -> Answer {
        let mut request = self.discord.request("uro", method, path, Some(body));
        request
            .headers_mut()
            .insert("x-audit-log-reason", reason.parse().unwrap());
        self.discord.send(request).await.unwrap()
    }
}

pub fn role(guild: &Value, name: &str) -> String {
    let roles = guild["roles"].as_array().unwrap();
    let role = roles.iter().find(|role| role["name"] == name).unwrap();
    role["id"].as_str().unwrap().to_owned()
}

/// Those of these types.
pub fn of<'a>(events: &'a [Value], prefix: &str) -> Vec<&'a Value> {
    let of_kind = |event: &&Value| event["t"].as_str().unwrap().starts_with(prefix);
    events.iter().filter(of_kind).collect()
}
