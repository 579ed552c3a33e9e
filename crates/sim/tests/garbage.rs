//! Damaged input, from a fixed seed: every request and command is answered or refused, and nothing breaks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use http_body_util::Full;
use hyper::{Method, Request, body::Bytes, header};
use serde_json::{Value, json};
use support::{
    Answer, Discord,
    gateway::{ALL_INTENTS, Gateway, Said, identify, identify_freely},
};

/// Xorshift: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// Any JSON, some levels deep.
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(i64::try_from(self.below(1 << 40)).unwrap() - (1 << 39)),
            3 => json!(u64::MAX),
            4 => json!(-1.5),
            5 => json!(
                [
                    "",
                    "x",
                    "18446744073709551616",
                    "\u{0}\u{202e}é",
                    "https://"
                ][self.below(5)]
            ),
            6 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                json!({"type": self.value(depth - 1), "id": self.value(depth - 1), "url": self.value(0)})
            }
        }
    }

    /// Replaces or removes something in a value.
    fn damage(&mut self, value: &mut Value) {
        match value {
            Value::Object(object) if !object.is_empty() && self.below(4) > 0 => {
                let key = object.keys().nth(self.below(object.len())).unwrap().clone();
                if self.below(6) == 0 {
                    object.remove(&key);
                } else {
                    self.damage(&mut object[&key]);
                }
            }
            Value::Array(list) if !list.is_empty() && self.below(4) > 0 => {
                let at = self.below(list.len());
                self.damage(&mut list[at]);
            }
            value => *value = self.value(2),
        }
    }

    /// Changes some bytes.
    fn scramble(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            bytes[at] = u8::try_from(self.below(256)).unwrap();
        }
    }
}

fn message() -> Value {
    json!({
        "content": "x", "nonce": "n", "enforce_nonce": true, "tts": false, "flags": 0,
        "embeds": [{
            "title": "t", "url": "https://example.org", "color": 1, "timestamp": "2026-01-01T00:00:00Z",
            "footer": {"text": "f", "icon_url": "https://example.org"}, "author": {"name": "a"},
            "image": {"url": "attachment://a.png"}, "fields": [{"name": "n", "value": "v", "inline": true}],
        }],
        "components": [
            {"type": 1, "components": [{"type": 2, "style": 1, "label": "l", "custom_id": "c"}]},
            {"type": 1, "components": [{"type": 3, "custom_id": "s", "options": [{"label": "l", "value": "v"}]}]},
        ],
        "allowed_mentions": {"parse": ["users"], "roles": ["1"]},
        "attachments": [{"id": 0, "filename": "a"}],
        "message_reference": {"message_id": "1", "fail_if_not_exists": false},
    })
}

fn components() -> Value {
    json!({"flags": 1 << 15, "components": [{"type": 17, "accent_color": 1, "components": [
        {"type": 9, "components": [{"type": 10, "content": "x"}], "accessory": {"type": 11, "media": {"url": "https://example.org"}}},
        {"type": 12, "items": [{"media": {"url": "https://example.org"}}]},
        {"type": 13, "file": {"url": "attachment://a"}},
        {"type": 14, "divider": true, "spacing": 1},
    ]}]})
}

#[tokio::test]
async fn damaged_messages_are_taken_or_refused() {
    let discord = Discord::start().await;
    let mut random = Random(0x5eed);
    let path = format!(
        "{}/channels/{}/messages",
        discord.info().api,
        discord.channel("general")
    );
    for round in 0..1_500 {
        if round % 5 == 0 {
            discord.tell("/reset", json!({})).await;
        }
        let mut body = if random.below(2) == 0 {
            message()
        } else {
            components()
        };
        for _ in 0..=random.below(3) {
            random.damage(&mut body);
        }
        let mut bytes = body.to_string().into_bytes();
        if random.below(5) == 0 {
            random.scramble(&mut bytes);
        }
        let request = Request::post(&path)
            .header(header::AUTHORIZATION, discord.authorization("uro"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(Bytes::from(bytes)))
            .unwrap();
        let answer = discord.send(request).await.expect("an answer");
        assert!(
            matches!(answer.status.as_u16(), 200 | 400),
            "{answer:?} to {body}"
        );
        assert!(answer.json().is_object());
    }
}

/// Values of queries and forms, as they are written there.
const TEXTS: [&str; 14] = [
    "",
    "0",
    "-1",
    "1",
    "1000",
    "18446744073709551615",
    "18446744073709551616",
    "x",
    "%",
    "%ff",
    "%00",
    "1e3",
    "%C3%A9%E2%80%AE",
    "https%3A%2F%2F",
];

impl Random {
    fn text(&mut self) -> &'static str {
        TEXTS[self.below(TEXTS.len())]
    }

    /// JSON, damaged, and some of its bytes changed.
    fn body(&mut self, mut body: Value) -> Vec<u8> {
        for _ in 0..=self.below(3) {
            self.damage(&mut body);
        }
        let mut bytes = body.to_string().into_bytes();
        if self.below(5) == 0 {
            self.scramble(&mut bytes);
        }
        bytes
    }
}

async fn send(
    discord: &Discord,
    method: &Method,
    uri: &str,
    headers: [(&str, &str); 2],
    body: Vec<u8>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::from(Bytes::from(body))).unwrap();
    discord.send(request).await.expect("an answer")
}

/// Whether it is done, or refused with one of Discord's errors.
fn is_sane(answer: &Answer) -> bool {
    match answer.status.as_u16() {
        200 | 201 => serde_json::from_slice::<Value>(&answer.body).is_ok(),
        204 => answer.body.is_empty(),
        400 | 401 | 403 | 404 => answer.json()["code"].is_u64(),
        _ => false,
    }
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A Discord that lets our bot do everything, as often as it likes.
async fn let_do(discord: &Discord) -> Value {
    discord.tell("/reset", json!({})).await;
    let much = json!({"rate_limit_factor": 1_000_000});
    discord.tell("/settings", much).await;
    let all = json!({"roles": [{"role": "Uro", "permissions": "8"}]});
    discord.tell("/guild", all).await
}

#[tokio::test]
async fn damaged_requests_about_members_are_taken_or_refused() {
    let discord = Discord::start().await;
    let mut random = Random(0xbeef);
    let guild = let_do(&discord).await;
    let staff = guild["roles"].as_array().unwrap();
    let staff = staff.iter().find(|role| role["name"] == "Staff").unwrap()["id"].clone();
    let info = discord.info();
    let at = |rest: &str| format!("{}/guilds/{}{rest}", info.api, info.guild_id);
    let bob = &info.users["bob"].id;
    let role = json!({"name": "r", "permissions": "1", "hoist": true, "mentionable": false,
        "colors": {"primary_color": 1, "secondary_color": null}});
    let metadata = format!(
        "{}/applications/{}/role-connections/metadata",
        info.api, info.application_id
    );
    let requests = [
        (
            Method::PATCH,
            at(&format!("/members/{bob}")),
            json!({"nick": "B", "roles": [staff], "mute": false}),
        ),
        (Method::PATCH, at("/members/@me"), json!({"nick": "U"})),
        (
            Method::PUT,
            at(&format!("/members/{bob}")),
            json!({"access_token": "t", "nick": "B", "roles": [staff]}),
        ),
        (
            Method::PUT,
            at(&format!("/bans/{bob}")),
            json!({"delete_message_seconds": 1, "delete_message_days": null}),
        ),
        (Method::POST, at("/roles"), role.clone()),
        (
            Method::PATCH,
            at(&format!("/roles/{}", staff.as_str().unwrap())),
            role,
        ),
        (
            Method::PATCH,
            at("/roles"),
            json!([{"id": staff, "position": 1}]),
        ),
        (
            Method::PUT,
            metadata,
            json!([{"key": "a", "name": "n", "description": "d", "type": 1, "name_localizations": {"de": "n"}}]),
        ),
    ];
    let authorization = discord.authorization("uro");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", JSON),
    ];
    for round in 0..1_200 {
        if round % 20 == 0 {
            let_do(&discord).await;
        }
        let (method, uri, body) = &requests[random.below(requests.len())];
        let body = random.body(body.clone());
        let answer = send(&discord, method, uri, headers, body.clone()).await;
        let body = String::from_utf8_lossy(&body);
        assert!(is_sane(&answer), "{answer:?} to {method} {uri} {body}");
    }
}

#[tokio::test]
async fn damaged_queries_are_taken_or_refused() {
    let discord = Discord::start().await;
    let mut random = Random(0xcafe);
    let_do(&discord).await;
    let info = discord.info();
    let at = |rest: &str| format!("{}/guilds/{}{rest}", info.api, info.guild_id);
    let paths = [
        at("/members"),
        at("/members/search"),
        at("/bans"),
        at("/audit-logs"),
        format!("{}/users/@me/guilds", info.api),
        format!(
            "{}/channels/{}/messages",
            info.api,
            discord.channel("general")
        ),
    ];
    let names = [
        "limit",
        "before",
        "after",
        "around",
        "query",
        "user_id",
        "action_type",
    ];
    let authorization = discord.authorization("uro");
    let headers = [("authorization", authorization.as_str()), ("accept", JSON)];
    for _ in 0..800 {
        let mut uri = format!("{}?", paths[random.below(paths.len())]);
        for _ in 0..=random.below(3) {
            let name = names[random.below(names.len())];
            uri += &format!("{name}={}&", random.text());
        }
        let answer = send(&discord, &Method::GET, &uri, headers, Vec::new()).await;
        assert!(is_sane(&answer), "{answer:?} to {uri}");
    }
}

#[tokio::test]
async fn damaged_forms_and_connections_are_taken_or_refused() {
    let discord = Discord::start().await;
    let mut random = Random(0xf00d);
    let_do(&discord).await;
    let info = discord.info();
    let (id, secret) = (&info.application_id, &info.client_secret);
    let callback = "http%3A%2F%2F127.0.0.1%3A9%2Fcallback";
    let query = format!(
        "client_id={id}&response_type=code&scope=role_connections.write&redirect_uri={callback}&as=bob"
    );
    let page = format!("{}?{query}", info.oauth);
    let form = [("accept", JSON), ("content-type", FORM)];
    let allowed = send(
        &discord,
        &Method::POST,
        &page,
        form,
        b"authorize=true".into(),
    )
    .await;
    let location = url::Url::parse(allowed.header("location")).unwrap();
    let code = location.query_pairs().find(|(name, _)| name == "code");
    let code = code.unwrap().1.into_owned();
    let token_uri = format!("{}/oauth2/token", info.api);
    let exchange = format!(
        "grant_type=authorization_code&code={code}&redirect_uri={callback}&client_id={id}&client_secret={secret}"
    );
    let tokens = send(
        &discord,
        &Method::POST,
        &token_uri,
        form,
        exchange.clone().into(),
    )
    .await
    .json();

    let connection = format!("{}/users/@me/applications/{id}/role-connection", info.api);
    let described = json!([{"key": "worlds", "name": "n", "description": "d", "type": 1}]);
    let metadata = format!("/applications/{id}/role-connections/metadata");
    discord.rest(Method::PUT, &metadata, Some(described)).await;
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str()), ("content-type", JSON)];
    for _ in 0..300 {
        let said =
            json!({"platform_name": "n", "platform_username": "u", "metadata": {"worlds": "1"}});
        let body = random.body(said);
        let answer = send(&discord, &Method::PUT, &connection, headers, body.clone()).await;
        let body = String::from_utf8_lossy(&body);
        assert!(is_sane(&answer), "{answer:?} to {body}");
    }

    let revoke_uri = format!("{}/oauth2/token/revoke", info.api);
    let revoke = format!("token=x&client_id={id}&client_secret={secret}");
    for _ in 0..300 {
        let (uri, form_text) = [(&token_uri, &exchange), (&revoke_uri, &revoke)][random.below(2)];
        let mut bytes = form_text.clone().into_bytes();
        random.scramble(&mut bytes);
        let answer = send(&discord, &Method::POST, uri, form, bytes.clone()).await;
        let bytes = String::from_utf8_lossy(&bytes);
        let sane = match answer.status.as_u16() {
            200 => answer.json().is_object(),
            400 | 401 => answer.json()["error"].is_string(),
            _ => false,
        };
        assert!(sane, "{answer:?} to {uri} {bytes}");
    }

    let names = [
        "client_id",
        "response_type",
        "scope",
        "redirect_uri",
        "state",
        "prompt",
        "permissions",
        "guild_id",
        "integration_type",
        "code_challenge",
        "code_challenge_method",
        "as",
    ];
    for _ in 0..300 {
        let mut uri = format!("{}?", info.oauth);
        if random.below(3) > 0 {
            uri = format!("{page}&");
        }
        for _ in 0..=random.below(2) {
            let name = names[random.below(names.len())];
            uri += &format!("{name}={}&", random.text());
        }
        let answers = [
            "authorize=true",
            "authorize=false",
            "authorize=%ff&guild_id=x",
        ];
        let (method, body) = match random.below(2) {
            0 => (Method::GET, Vec::new()),
            _ => (Method::POST, answers[random.below(3)].into()),
        };
        let answer = send(&discord, &method, &uri, form, body).await;
        let status = answer.status.as_u16();
        assert!(
            [200, 303, 400, 401, 403].contains(&status),
            "{answer:?} to {method} {uri}"
        );
    }
}

#[tokio::test]
async fn damaged_control_of_members_is_taken_or_refused() {
    let discord = Discord::start().await;
    let mut random = Random(0xd00d);
    let requests = [
        (
            "members",
            json!({"action": "join", "users": ["bob", "carol"], "count": 2, "nick": "n", "roles": ["Staff"], "by": "alice", "reason": "r"}),
        ),
        (
            "members",
            json!({"action": "roles", "user": "bob", "add": ["Staff"], "remove": []}),
        ),
        (
            "members",
            json!({"action": "ban", "user": "uro", "guild": discord.info().guild_id}),
        ),
        (
            "accounts",
            json!({"user": "bob", "name": "robert", "display": "R", "discriminator": 7, "mfa": true, "guilds_full": true}),
        ),
        (
            "guild",
            json!({"owner": "bob", "mfa": true, "roles": [{"role": "Staff", "permissions": "8", "position": 2}, {"role": "New", "managed": true}, {"role": "New", "delete": true}]}),
        ),
        (
            "guilds",
            json!({"count": 1, "text_channels": 1, "people": 2, "roles": 2, "members": 2}),
        ),
        ("oauth", json!({"user": "bob", "action": "revoke"})),
        (
            "settings",
            json!({"oauth_code_ms": 1, "oauth_token_ms": 1, "redirect_uris": ["https://uro.example/cb"]}),
        ),
    ];
    for round in 0..800 {
        if round % 10 == 0 {
            discord.tell("/reset", json!({})).await;
        }
        let (path, body) = &requests[random.below(requests.len())];
        let body = random.body(body.clone());
        let uri = format!("{}/{path}", discord.info().control);
        let headers = [("accept", JSON), ("content-type", JSON)];
        let answer = send(&discord, &Method::POST, &uri, headers, body.clone()).await;
        let body = String::from_utf8_lossy(&body);
        let sane = match answer.status.as_u16() {
            200 => serde_json::from_slice::<Value>(&answer.body).is_ok(),
            400 | 404 => answer.json()["error"].is_string(),
            _ => false,
        };
        assert!(sane, "{answer:?} to {path} {body}");
    }
    assert_eq!(discord.seen("/guild").await["id"], discord.info().guild_id);
}

#[tokio::test]
async fn damaged_commands_are_taken_or_close_the_connection() {
    let discord = Discord::start().await;
    identify_freely(&discord).await;
    let mut random = Random(0xfeed);
    let presence = json!({"op": 3, "d": {"since": null, "status": "idle", "afk": false, "activities": [{"name": "n", "type": 4, "state": "s"}]}});
    let voice = json!({"op": 4, "d": {"guild_id": discord.info().guild_id, "channel_id": discord.channel("world"), "self_mute": true}});
    let members = json!({"op": 8, "d": {"guild_id": discord.info().guild_id, "query": "", "limit": 0, "user_ids": ["1"], "nonce": "n"}});
    let resume =
        json!({"op": 6, "d": {"token": discord.info().token, "session_id": "s", "seq": 1}});
    for round in 0..300 {
        if round % 100 == 0 {
            discord.tell("/reset", json!({})).await;
            identify_freely(&discord).await;
        }
        let mut gateway = if random.below(2) == 0 {
            Gateway::identified(&discord, "uro", ALL_INTENTS).await.0
        } else {
            Gateway::open(&discord).await
        };
        for _ in 0..5 {
            let commands = [
                &presence,
                &voice,
                &members,
                &resume,
                &identify(&discord, "uro", ALL_INTENTS),
            ];
            let mut command = commands[random.below(commands.len())].clone();
            random.damage(&mut command);
            gateway.send(command).await;
        }
        // It answers a heartbeat, or has closed with a code of its own.
        gateway.send(json!({"op": 1, "d": null})).await;
        loop {
            match gateway.said().await {
                Said::Payload(payload) if payload["op"] == 11 => break,
                Said::Payload(_) => {}
                Said::Close(code) => {
                    assert!((4001..=4014).contains(&code), "{code}");
                    break;
                }
                Said::Nothing => panic!("it broke"),
            }
        }
    }
}
