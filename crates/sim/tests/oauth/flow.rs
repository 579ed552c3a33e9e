//! A browser and an application.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_body_util::Full;
use hyper::{Method, Request, body::Bytes, header};
use ring::digest;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::support::{Answer, Discord};

pub const HERE: &str = "http://127.0.0.1:9/callback?from=discord";

pub const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

/// A browser and an application.
pub struct OAuth {
    pub discord: Discord,
}

impl OAuth {
    pub async fn start() -> Self {
        let discord = Discord::start().await;
        let much = json!({"rate_limit_factor": 100});
        discord.tell("/settings", much).await;
        Self { discord }
    }

    pub fn id(&self) -> &str {
        &self.discord.info().application_id
    }

    pub fn query(&self, scope: &str, more: &[(&str, &str)]) -> String {
        let given = [
            ("client_id", self.id()),
            ("response_type", "code"),
            ("scope", scope),
            ("redirect_uri", HERE),
            ("state", "the state"),
        ];
        let given = given
            .into_iter()
            .filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(given);
        query.extend_pairs(more.iter().filter(|(_, value)| !value.is_empty()));
        query.finish()
    }

    async fn send(
        &self,
        method: Method,
        url: String,
        body: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(body.into()))
            .unwrap();
        self.discord.send(request).await.unwrap()
    }

    pub async fn page(
        &self,
        method: Method,
        query: &str,
        body: &'static str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let url = format!("{}?{query}", self.discord.info().oauth);
        self.send(method, url, body, headers).await
    }

    pub async fn show(&self, query: &str) -> Answer {
        self.page(Method::GET, query, "", &[]).await
    }

    /// The user's answer; where he is sent with it.
    pub async fn answer(&self, query: &str, body: &'static str) -> Vec<(String, String)> {
        location(&self.page(Method::POST, query, body, &[]).await)
    }

    /// A code for what somebody allows.
    pub async fn code(&self, user: &str, scope: &str, more: &[(&str, &str)]) -> String {
        let more: Vec<_> = more.iter().copied().chain([("as", user)]).collect();
        let sent = self
            .answer(&self.query(scope, &more), "authorize=true")
            .await;
        get(&sent, "code")
    }

    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let credentials = format!("{}:{}", self.id(), self.discord.info().client_secret);
        let basic = format!("Basic {}", STANDARD.encode(credentials));
        self.form_with(path, fields, &[("authorization", &basic)])
            .await
    }

    pub async fn form_with(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let url = format!("{}{path}", self.discord.info().api);
        self.send(Method::POST, url, body, headers).await
    }

    pub async fn exchange(&self, code: &str, more: &[(&str, &str)]) -> Answer {
        let given = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", HERE),
        ];
        let given = given
            .into_iter()
            .filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
        let fields: Vec<_> = given.chain(more.iter().copied()).collect();
        self.form("/oauth2/token", &fields).await
    }

    /// Tokens for what somebody allows.
    pub async fn tokens(&self, user: &str, scope: &str) -> Value {
        let code = self.code(user, scope, &[]).await;
        let answer = self.exchange(&code, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }

    pub async fn as_bearer(
        &self,
        token: &Value,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.discord.info().api))
            .header(
                "authorization",
                format!("Bearer {}", token.as_str().unwrap()),
            )
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(
                body.map(|body| body.to_string()).unwrap_or_default(),
            ))
            .unwrap();
        self.discord.send(request).await.unwrap()
    }

    pub async fn get(&self, tokens: &Value, path: &str) -> Answer {
        self.as_bearer(&tokens["access_token"], Method::GET, path, None)
            .await
    }
}

/// The query of a redirect to the application, without what the application itself put there.
pub fn location(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 303, "{answer:?}");
    let url = answer.header("location");
    assert!(url.starts_with(HERE), "{url}");
    let pairs = Url::parse(url)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect::<Vec<_>>();
    pairs.into_iter().skip(1).collect()
}

pub fn get(pairs: &[(String, String)], name: &str) -> String {
    let found = pairs.iter().find(|(key, _)| key == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {pairs:?}"))
        .1
        .clone()
}

pub fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// Status and `error` of the token endpoint.
pub fn token_error(answer: &Answer) -> (u16, String) {
    (
        answer.status.as_u16(),
        answer.json()["error"].as_str().unwrap().to_owned(),
    )
}

pub fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()))
}
