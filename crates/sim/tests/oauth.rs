//! OAuth2 over sockets: what the consent page, the token endpoint and tokens do, and what they refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_body_util::Full;
use hyper::{Method, Request, header};
use ring::digest;
use serde_json::{Value, json};
use support::{Answer, Discord, endpoint::Endpoint, error, form_errors};
use url::{Url, form_urlencoded};

const HERE: &str = "http://127.0.0.1:9/callback?from=discord";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

/// A browser and an application.
struct OAuth {
    discord: Discord,
}

impl OAuth {
    async fn start() -> Self {
        let discord = Discord::start().await;
        let much = json!({"rate_limit_factor": 100});
        discord.tell("/settings", much).await;
        Self { discord }
    }

    fn id(&self) -> &str {
        &self.discord.info().application_id
    }

    fn query(&self, scope: &str, more: &[(&str, &str)]) -> String {
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

    async fn page(
        &self,
        method: Method,
        query: &str,
        body: &'static str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let url = format!("{}?{query}", self.discord.info().oauth);
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(body))
            .unwrap();
        self.discord.send(request).await.unwrap()
    }

    async fn show(&self, query: &str) -> Answer {
        self.page(Method::GET, query, "", &[]).await
    }

    /// The user's answer; where he is sent with it.
    async fn answer(&self, query: &str, body: &'static str) -> Vec<(String, String)> {
        location(&self.page(Method::POST, query, body, &[]).await)
    }

    /// A code for what somebody allows.
    async fn code(&self, user: &str, scope: &str, more: &[(&str, &str)]) -> String {
        let more: Vec<_> = more.iter().copied().chain([("as", user)]).collect();
        let sent = self
            .answer(&self.query(scope, &more), "authorize=true")
            .await;
        get(&sent, "code")
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let credentials = format!("{}:{}", self.id(), self.discord.info().client_secret);
        let basic = format!("Basic {}", STANDARD.encode(credentials));
        self.form_with(path, fields, &[("authorization", &basic)])
            .await
    }

    async fn form_with(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut request = Request::post(format!("{}{path}", self.discord.info().api));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(body))
            .unwrap();
        self.discord.send(request).await.unwrap()
    }

    async fn exchange(&self, code: &str, more: &[(&str, &str)]) -> Answer {
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
    async fn tokens(&self, user: &str, scope: &str) -> Value {
        let code = self.code(user, scope, &[]).await;
        let answer = self.exchange(&code, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }

    async fn as_bearer(
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

    async fn get(&self, tokens: &Value, path: &str) -> Answer {
        self.as_bearer(&tokens["access_token"], Method::GET, path, None)
            .await
    }
}

/// The query of a redirect to the application, without what the application itself put there.
fn location(answer: &Answer) -> Vec<(String, String)> {
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

fn get(pairs: &[(String, String)], name: &str) -> String {
    let found = pairs.iter().find(|(key, _)| key == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {pairs:?}"))
        .1
        .clone()
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// Status and `error` of the token endpoint.
fn token_error(answer: &Answer) -> (u16, String) {
    (
        answer.status.as_u16(),
        answer.json()["error"].as_str().unwrap().to_owned(),
    )
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()))
}

#[tokio::test]
async fn a_user_allows_something_and_the_application_has_it() {
    let oauth = OAuth::start().await;
    let challenge = challenge();
    let pkce = [
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("as", "bob"),
    ];
    let query = oauth.query("identify guilds.join", &pkce);
    let page = oauth.show(&query).await;
    assert_eq!(page.status, 200);
    for told in [
        "Uro wants to access your Discord account",
        "Join servers for you",
        "http://127.0.0.1:9<",
        "<b id=user>bob</b>",
    ] {
        assert!(text(&page).contains(told), "{told}");
    }
    assert!(
        page.header("content-security-policy")
            .contains("frame-ancestors 'none'")
    );
    assert_eq!(
        page.header("set-cookie"),
        "as=bob; Path=/; HttpOnly; SameSite=Lax"
    );

    let sent = oauth.answer(&query, "authorize=true").await;
    assert_eq!(get(&sent, "state"), "the state");
    let code = get(&sent, "code");
    let answer = oauth.exchange(&code, &[("code_verifier", VERIFIER)]).await;
    let tokens = answer.json();
    assert_eq!(
        (
            &tokens["token_type"],
            &tokens["expires_in"],
            &tokens["scope"]
        ),
        (
            &json!("Bearer"),
            &json!(604_800),
            &json!("identify guilds.join")
        )
    );

    let me = oauth.get(&tokens, "/users/@me").await.json();
    assert_eq!(me["id"], oauth.discord.info().users["bob"].id);
    assert_eq!(
        (&me["username"], &me["discriminator"], &me["global_name"]),
        (&json!("bob"), &json!("0"), &json!("Bob"))
    );
    assert!(me.get("email").is_none());
    let about = oauth.get(&tokens, "/oauth2/@me").await.json();
    assert_eq!(about["application"]["id"], oauth.id());
    assert_eq!(about["scopes"], json!(["identify", "guilds.join"]));
    assert_eq!(about["user"]["username"], "bob");

    let listed = oauth.discord.seen("/oauth").await;
    assert_eq!(
        (&listed[0]["name"], &listed[0]["tokens"]),
        (&json!("bob"), &json!(1))
    );
    // Neither the log of events nor that of requests has a secret.
    let logs = format!(
        "{}{}",
        oauth.discord.seen("/events").await,
        oauth.discord.seen("/requests").await
    );
    for secret in [
        &code,
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
        VERIFIER,
    ] {
        assert!(!logs.contains(secret));
    }
}

#[tokio::test]
async fn a_code_is_good_once_where_it_belongs_and_for_a_while() {
    let oauth = OAuth::start().await;
    let challenge = challenge();
    let pkce = [
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    let code = oauth.code("bob", "identify", &pkce).await;
    for (more, refused, why) in [
        (vec![], "invalid_request", "Code verifier required."),
        (
            vec![("code_verifier", "wrong")],
            "invalid_grant",
            "Invalid \"code_verifier\" in request.",
        ),
        (
            vec![("redirect_uri", "http://127.0.0.1:9/callback")],
            "invalid_grant",
            "Invalid \"redirect_uri\" in request.",
        ),
        (
            vec![("redirect_uri", "")],
            "invalid_request",
            "Missing \"redirect_uri\" in request.",
        ),
        (
            vec![("code", "")],
            "invalid_request",
            "Missing \"code\" in request.",
        ),
        (
            vec![("code", "guessed")],
            "invalid_grant",
            "Invalid \"code\" in request.",
        ),
        (
            vec![("state", "1"), ("state", "2")],
            "invalid_request",
            "\"state\" is there more than once.",
        ),
    ] {
        let answer = oauth.exchange(&code, &more).await;
        assert_eq!(token_error(&answer), (400, refused.to_owned()), "{more:?}");
        assert_eq!(answer.json()["error_description"], why);
    }
    let verifier = [("code_verifier", VERIFIER)];
    assert_eq!(oauth.exchange(&code, &verifier).await.status, 200);
    let replayed = oauth.exchange(&code, &verifier).await;
    assert_eq!(token_error(&replayed), (400, "invalid_grant".to_owned()));

    let late = oauth.code("bob", "identify", &[]).await;
    oauth
        .discord
        .tell("/settings", json!({"oauth_code_ms": 0}))
        .await;
    let answer = oauth.exchange(&late, &[]).await;
    assert_eq!(token_error(&answer), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn an_application_says_who_it_is_by_a_form() {
    let oauth = OAuth::start().await;
    let info = oauth.discord.info();
    let (id, secret) = (info.application_id.as_str(), info.client_secret.as_str());
    let posted = async |more: &[(&str, &str)], headers: &[(&str, &str)]| {
        let code = oauth.code("bob", "identify", &[]).await;
        let given = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", HERE),
        ];
        let fields: Vec<_> = given.into_iter().chain(more.iter().copied()).collect();
        oauth.form_with("/oauth2/token", &fields, headers).await
    };
    assert_eq!(
        posted(&[("client_id", id), ("client_secret", secret)], &[])
            .await
            .status,
        200
    );
    let basic = |user: &str, password: &str| {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    };
    let good = basic(id, secret);
    let header = [("authorization", good.as_str())];
    assert_eq!(posted(&[("client_id", id)], &header).await.status, 200);
    let wrong = basic(id, "wrong");
    let peer = info.users["peer"].id.as_str();
    for (more, headers) in [
        (vec![], vec![]),
        (vec![("client_id", id)], vec![]),
        (vec![("client_id", id), ("client_secret", "wrong")], vec![]),
        (vec![("client_id", "x"), ("client_secret", secret)], vec![]),
        (vec![("client_id", peer), ("client_secret", secret)], vec![]),
        (
            vec![("client_id", id), ("client_secret", secret)],
            vec![("authorization", wrong.as_str())],
        ),
        (
            vec![("client_id", peer)],
            vec![("authorization", good.as_str())],
        ),
        (vec![], vec![("authorization", "Basic !!")]),
    ] {
        let answer = posted(&more, &headers).await;
        assert_eq!(
            token_error(&answer),
            (401, "invalid_client".to_owned()),
            "{more:?} {headers:?}"
        );
        assert!(answer.header("www-authenticate").starts_with("Basic"));
        let revoked = oauth
            .form_with("/oauth2/token/revoke", &more, &headers)
            .await;
        assert_eq!(token_error(&revoked), (401, "invalid_client".to_owned()));
    }
    // JSON is no form, and what is in it is not seen.
    let body =
        json!({"grant_type": "authorization_code", "client_id": id, "client_secret": secret});
    let request = Request::post(format!("{}/oauth2/token", info.api))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_string()))
        .unwrap();
    let answer = oauth.discord.send(request).await.unwrap();
    assert_eq!(
        token_error(&answer),
        (400, "unsupported_grant_type".to_owned())
    );
    assert_eq!(
        answer.json()["error_description"],
        "Grant type None is not supported"
    );
}

#[tokio::test]
async fn a_refresh_gives_other_tokens() {
    let oauth = OAuth::start().await;
    let first = oauth.tokens("bob", "identify").await;
    let refresh = async |tokens: &Value| {
        let token = tokens["refresh_token"].as_str().unwrap();
        oauth
            .form(
                "/oauth2/token",
                &[("grant_type", "refresh_token"), ("refresh_token", token)],
            )
            .await
    };
    let second = refresh(&first).await.json();
    assert_ne!(second["access_token"], first["access_token"]);
    assert_eq!(second["scope"], "identify");
    assert_eq!(error(&oauth.get(&first, "/users/@me").await), (401, 0));
    assert_eq!(oauth.get(&second, "/users/@me").await.status, 200);
    let used_up = refresh(&first).await;
    assert_eq!(used_up.json(), json!({"error": "invalid_grant"}));

    // The access token ends and the refresh token stays.
    oauth
        .discord
        .tell("/oauth", json!({"user": "bob", "action": "expire"}))
        .await;
    assert_eq!(error(&oauth.get(&second, "/users/@me").await), (401, 0));
    let third = refresh(&second).await.json();
    assert_eq!(oauth.get(&third, "/users/@me").await.status, 200);
    oauth
        .discord
        .tell("/settings", json!({"oauth_token_ms": 0}))
        .await;
    assert_eq!(error(&oauth.get(&third, "/users/@me").await), (401, 0));
}

#[tokio::test]
async fn a_revocation_ends_all_of_an_authorization() {
    let oauth = OAuth::start().await;
    let (one, other) = (
        oauth.tokens("bob", "identify").await,
        oauth.tokens("bob", "identify").await,
    );
    let alice = oauth.tokens("alice", "identify").await;
    let unknown = oauth
        .form("/oauth2/token/revoke", &[("token", "unknown")])
        .await;
    assert_eq!((unknown.status.as_u16(), unknown.json()), (200, json!({})));
    assert_eq!(oauth.get(&one, "/users/@me").await.status, 200);
    let token = one["refresh_token"].as_str().unwrap();
    assert_eq!(
        oauth
            .form("/oauth2/token/revoke", &[("token", token)])
            .await
            .status,
        200
    );
    for tokens in [&one, &other] {
        assert_eq!(error(&oauth.get(tokens, "/users/@me").await), (401, 0));
    }
    let refresh = other["refresh_token"].as_str().unwrap();
    let refreshed = oauth
        .form(
            "/oauth2/token",
            &[("grant_type", "refresh_token"), ("refresh_token", refresh)],
        )
        .await;
    assert_eq!(token_error(&refreshed), (400, "invalid_grant".to_owned()));
    assert_eq!(oauth.get(&alice, "/users/@me").await.status, 200);
    let listed = oauth.discord.seen("/oauth").await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["name"], "alice");
}

#[tokio::test]
async fn each_route_wants_its_scope() {
    let oauth = OAuth::start().await;
    let little = oauth.tokens("alice", "guilds.join").await;
    let much = oauth
        .tokens(
            "alice",
            "identify email guilds guilds.members.read connections role_connections.write",
        )
        .await;
    let guild = oauth.discord.info().guild_id.clone();
    let app = oauth.id().to_owned();
    for (path, refused) in [
        ("/users/@me".to_owned(), (401, 0)),
        ("/users/@me/guilds".to_owned(), (401, 0)),
        ("/users/@me/connections".to_owned(), (401, 0)),
        (format!("/users/@me/guilds/{guild}/member"), (403, 50026)),
        (
            format!("/users/@me/applications/{app}/role-connection"),
            (403, 50026),
        ),
    ] {
        assert_eq!(error(&oauth.get(&little, &path).await), refused, "{path}");
        assert_eq!(oauth.get(&much, &path).await.status, 200, "{path}");
    }
    assert!(
        oauth
            .get(&little, "/oauth2/@me")
            .await
            .json()
            .get("user")
            .is_none()
    );
    assert_eq!(
        oauth.get(&much, "/users/@me").await.json()["email"],
        "alice@discord-sim.example"
    );
    // What is for bots is not for tokens of users, and the other way round.
    for path in [
        format!("/guilds/{guild}"),
        format!("/guilds/{guild}/members"),
        "/gateway/bot".to_owned(),
    ] {
        assert_eq!(error(&oauth.get(&much, &path).await), (401, 0), "{path}");
    }
    assert_eq!(
        error(&oauth.discord.rest(Method::GET, "/oauth2/@me", None).await),
        (401, 0)
    );
    for path in [
        "/users/@me/connections".to_owned(),
        format!("/users/@me/guilds/{guild}/member"),
    ] {
        for user in ["uro", "alice"] {
            let answer = oauth.discord.rest_as(user, Method::GET, &path, None).await;
            assert_eq!(error(&answer), (401, 0), "{user} {path}");
        }
    }
    let patched = oauth
        .as_bearer(
            &much["access_token"],
            Method::PATCH,
            "/applications/@me",
            Some(json!({})),
        )
        .await;
    assert_eq!(error(&patched), (401, 0));
    // The token of a user is none of OAuth2's.
    let own = json!({"access_token": oauth.discord.info().users["alice"].token});
    assert_eq!(error(&oauth.get(&own, "/users/@me").await), (401, 0));
}

#[tokio::test]
async fn a_user_is_asked_again_unless_he_has_allowed_as_much() {
    let oauth = OAuth::start().await;
    let quietly = |scope| oauth.query(scope, &[("prompt", "none"), ("as", "bob")]);
    assert_eq!(oauth.show(&quietly("identify")).await.status, 200);
    oauth.code("bob", "identify guilds", &[]).await;
    let sent = location(&oauth.show(&quietly("identify")).await);
    let code = get(&sent, "code");
    assert_eq!(oauth.exchange(&code, &[]).await.json()["scope"], "identify");
    assert_eq!(
        oauth.show(&quietly("identify guilds.join")).await.status,
        200,
        "that is more"
    );
    assert_eq!(
        oauth
            .show(&oauth.query("identify", &[("as", "bob")]))
            .await
            .status,
        200,
        "he is to be asked"
    );
    let alice = oauth.query("identify", &[("prompt", "none"), ("as", "alice")]);
    assert_eq!(oauth.show(&alice).await.status, 200);
}

#[tokio::test]
async fn who_is_asked_is_who_is_logged_in() {
    let oauth = OAuth::start().await;
    let query = oauth.query("identify", &[]);
    let login = oauth.show(&query).await;
    assert!(text(&login).contains("Who are you?") && !text(&login).contains("authorize"));
    let cookie = [("cookie", "a=b; as=bob")];
    let page = oauth.page(Method::GET, &query, "", &cookie).await;
    assert!(text(&page).contains("<b id=user>bob</b>"));
    let other = oauth.query("identify", &[("as", "alice")]);
    let page = oauth.page(Method::GET, &other, "", &cookie).await;
    assert!(
        text(&page).contains("<b id=user>alice</b>"),
        "the query is newer than the cookie"
    );
    for nobody in ["nobody", "uro"] {
        let query = oauth.query("identify", &[("as", nobody)]);
        assert!(
            text(&oauth.show(&query).await).contains("Who are you?"),
            "{nobody}"
        );
        assert_eq!(
            oauth
                .page(Method::POST, &query, "authorize=true", &[])
                .await
                .status,
            401
        );
    }
    // What would be HTML is text.
    let query = oauth.query("identify", &[("state", "\"><script>"), ("as", "bob")]);
    let page = oauth.show(&query).await;
    assert!(text(&page).contains("&quot;&gt;&lt;script&gt;") && !text(&page).contains("<script"));
}

#[tokio::test]
async fn an_answer_comes_from_our_own_page() {
    let oauth = OAuth::start().await;
    let query = oauth.query("identify", &[("as", "bob")]);
    let address = Url::parse(&oauth.discord.info().oauth).unwrap();
    let own = address.origin().ascii_serialization();
    for (origin, status) in [
        (own.as_str(), 303),
        ("http://127.0.0.1:9", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ] {
        let answer = oauth
            .page(
                Method::POST,
                &query,
                "authorize=true",
                &[("origin", origin)],
            )
            .await;
        assert_eq!(answer.status, status, "{origin}");
    }
    for body in ["", "authorize=yes"] {
        assert_eq!(
            oauth.page(Method::POST, &query, body, &[]).await.status,
            400
        );
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let oauth = OAuth::start().await;
    let shown = async |more: &[(&str, &str)]| {
        let page = oauth.show(&oauth.query("identify", more)).await;
        assert_eq!(page.status, 400, "{more:?}");
        text(&page).to_owned()
    };
    assert!(
        shown(&[("client_id", "1")])
            .await
            .contains("Unknown Application")
    );
    let bob = oauth.discord.info().users["bob"].id.clone();
    assert!(
        shown(&[("client_id", &bob)])
            .await
            .contains("Unknown Application")
    );
    for uri in ["", "https://uro.example/cb"] {
        assert!(
            shown(&[("redirect_uri", uri)])
                .await
                .contains("Invalid OAuth2 redirect_uri"),
            "{uri}"
        );
    }
    let registered = json!({"redirect_uris": ["https://uro.example/cb"]});
    oauth.discord.tell("/settings", registered).await;
    assert!(shown(&[]).await.contains("Invalid OAuth2 redirect_uri"));
    let about = oauth
        .discord
        .rest(Method::GET, "/applications/@me", None)
        .await
        .json();
    assert_eq!(about["redirect_uris"], json!(["https://uro.example/cb"]));
    oauth
        .discord
        .tell("/settings", json!({"redirect_uris": []}))
        .await;

    for (more, refused) in [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "identify everything"), "invalid_scope"),
        (("code_challenge", "x"), "invalid_request"),
    ] {
        let sent = location(&oauth.show(&oauth.query("identify", &[more])).await);
        assert_eq!(
            (get(&sent, "error"), get(&sent, "state")),
            (refused.to_owned(), "the state".to_owned())
        );
    }
    let query = oauth.query("identify", &[("as", "bob")]);
    let sent = oauth.answer(&query, "authorize=false").await;
    assert_eq!(get(&sent, "error"), "access_denied");
    assert_eq!(
        get(&sent, "error_description"),
        "The resource owner or authorization server denied the request"
    );
    assert_eq!(get(&sent, "state"), "the state");
    assert_eq!(oauth.discord.seen("/oauth").await, json!([]));
}

#[tokio::test]
async fn the_owner_of_an_application_needs_no_page() {
    let oauth = OAuth::start().await;
    let owner = [("grant_type", "client_credentials"), ("scope", "identify")];
    let tokens = oauth.form("/oauth2/token", &owner).await.json();
    assert!(tokens.get("refresh_token").is_none());
    assert_eq!(
        oauth.get(&tokens, "/users/@me").await.json()["username"],
        "alice"
    );
    let nothing = oauth.form("/oauth2/token", &owner[..1]).await;
    assert_eq!(token_error(&nothing), (400, "invalid_scope".to_owned()));
}

#[tokio::test]
async fn linked_roles_have_limits() {
    let oauth = OAuth::start().await;
    let app = oauth.id().to_owned();
    let metadata = format!("/applications/{app}/role-connections/metadata");
    let put = async |records: Value| {
        oauth
            .discord
            .rest(Method::PUT, &metadata, Some(records))
            .await
    };
    let record = |key: &str, kind: u64| json!({"key": key, "name": "A name", "description": "Says what it is", "type": kind});
    let good = json!([record("worlds", 2), record("since", 6), record("member", 7)]);
    assert_eq!(put(good.clone()).await.json(), good);
    assert_eq!(
        oauth
            .discord
            .rest(Method::GET, &metadata, None)
            .await
            .json(),
        good
    );
    for (records, at) in [
        (json!(vec![record("a", 1); 6]), "/_errors/0/code"),
        (json!([record("Worlds", 2)]), "/0/key/_errors/0/code"),
        (json!([record("", 2)]), "/0/key/_errors/0/code"),
        (json!([record(&"a".repeat(51), 2)]), "/0/key/_errors/0/code"),
        (json!([record("a", 0)]), "/0/type/_errors/0/code"),
        (json!([record("a", 9)]), "/0/type/_errors/0/code"),
        (
            json!([record("a", 1), record("a", 2)]),
            "/1/key/_errors/0/code",
        ),
        (json!([{"key": "a"}]), "/0/description/_errors/0/code"),
    ] {
        let errors = form_errors(&put(records.clone()).await);
        assert!(errors.pointer(at).is_some(), "{records}: {errors}");
    }
    let peer = oauth
        .discord
        .rest_as("peer", Method::PUT, &metadata, Some(good))
        .await;
    assert_eq!(error(&peer), (403, 50001));

    let tokens = oauth.tokens("bob", "role_connections.write").await;
    let path = format!("/users/@me/applications/{app}/role-connection");
    let put = async |body: Value| {
        oauth
            .as_bearer(&tokens["access_token"], Method::PUT, &path, Some(body))
            .await
    };
    let said = json!({
        "platform_name": "V-Sekai",
        "platform_username": "bob",
        "metadata": {"worlds": 3, "since": "2026-01-31", "member": "1", "unknown": "is left out"},
    });
    let kept = json!({
        "platform_name": "V-Sekai",
        "platform_username": "bob",
        "metadata": {"worlds": "3", "since": "2026-01-31", "member": "1"},
    });
    assert_eq!(put(said).await.json(), kept);
    assert_eq!(oauth.get(&tokens, &path).await.json(), kept);
    assert_eq!(oauth.discord.seen("/oauth").await[0]["connection"], kept);
    for (body, at) in [
        (
            json!({"platform_name": "n".repeat(51)}),
            "/platform_name/_errors",
        ),
        (
            json!({"platform_username": "n".repeat(101)}),
            "/platform_username/_errors",
        ),
        (
            json!({"metadata": {"worlds": "many"}}),
            "/metadata/worlds/_errors",
        ),
        (
            json!({"metadata": {"worlds": "1".repeat(101)}}),
            "/metadata/worlds/_errors",
        ),
        (
            json!({"metadata": {"since": "yesterday"}}),
            "/metadata/since/_errors",
        ),
        (
            json!({"metadata": {"member": true, "worlds": [1]}}),
            "/metadata/worlds/_errors",
        ),
        (json!({"metadata": []}), "/metadata/_errors"),
    ] {
        let errors = form_errors(&put(body.clone()).await);
        assert!(errors.pointer(at).is_some(), "{body}: {errors}");
    }
    let other = path.replace(&app, &oauth.discord.info().users["peer"].id);
    assert_eq!(error(&oauth.get(&tokens, &other).await), (403, 50001));
    assert_eq!(
        error(&oauth.discord.rest(Method::GET, &path, None).await),
        (401, 0)
    );
}

/// Invites our bot; where the user lands.
async fn invite(oauth: &OAuth, user: &str, more: &str, body: &'static str) -> Answer {
    let query = format!(
        "client_id={}&scope=bot+applications.commands&as={user}{more}",
        oauth.id()
    );
    oauth.page(Method::POST, &query, body, &[]).await
}

#[tokio::test]
async fn a_bot_comes_to_a_guild_with_its_role() {
    let oauth = OAuth::start().await;
    let discord = &oauth.discord;
    let guild = discord.info().guild_id.clone();
    let own = async || {
        let guild = discord.seen("/guild").await;
        let mut roles = guild["roles"].as_array().unwrap().iter();
        let own = roles.find(|role| role["tags"]["bot_id"] == oauth.id());
        own.cloned().unwrap_or_default()
    };
    // One that is there gets other permissions.
    let here = format!("&permissions=3&guild_id={guild}");
    assert_eq!(
        invite(&oauth, "alice", &here, "authorize=true")
            .await
            .status,
        200
    );
    let first = own().await;
    assert_eq!(
        (&first["permissions"], &first["position"]),
        (&json!("3"), &json!(2))
    );

    discord
        .tell("/members", json!({"action": "kick", "user": "uro"}))
        .await;
    assert_eq!(own().await, Value::Null);
    let before = discord.now().await;
    let answer = invite(&oauth, "alice", "&permissions=268435456", "authorize=true").await;
    assert_eq!(answer.status, 403, "no guild was chosen");
    for (user, more, status) in [
        ("bob", here.as_str(), 403),
        ("alice", "&guild_id=1", 403),
        ("alice", &here, 200),
    ] {
        assert_eq!(
            invite(&oauth, user, more, "authorize=true").await.status,
            status,
            "{user} {more}"
        );
    }
    let joined = discord.wait_for(before, "member_add").await;
    assert_eq!(
        (&joined["user_id"], &joined["guild_id"]),
        (&json!(oauth.id()), &json!(guild))
    );
    // The role is another one, and below those that there are.
    let second = own().await;
    assert_ne!(second["id"], first["id"]);
    assert_eq!(
        (&second["permissions"], &second["position"]),
        (&json!("3"), &json!(1))
    );
    assert_eq!(joined["roles"], json!([second["id"]]));
    let log = discord.seen("/audit-log").await;
    let added = log.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&added["action_type"], &added["target_id"]),
        (&json!(28), &json!(oauth.id()))
    );
    assert_eq!(added["user_id"], discord.info().users["alice"].id);

    discord
        .tell("/members", json!({"action": "ban", "user": "uro"}))
        .await;
    let banned = invite(&oauth, "alice", &here, "authorize=true").await;
    assert!(text(&banned).contains("is banned"), "{banned:?}");
    discord
        .tell("/members", json!({"action": "unban", "user": "uro"}))
        .await;
    discord.tell("/guild", json!({"mfa": true})).await;
    let unsafe_owner = invite(&oauth, "alice", &here, "authorize=true").await;
    assert!(
        text(&unsafe_owner).contains("two-factor"),
        "{unsafe_owner:?}"
    );
    // The permissions that moderators have, and one that others have.
    for (bit, refused) in [(30, true), (34, true), (41, true), (13, true), (11, false)] {
        let more = format!("&permissions={}&guild_id={guild}", 1_u64 << bit);
        let answer = invite(&oauth, "alice", &more, "authorize=true").await;
        assert_eq!(answer.status == 403, refused, "{bit}");
    }
    discord
        .tell("/members", json!({"action": "kick", "user": "uro"}))
        .await;
    discord
        .tell("/accounts", json!({"user": "alice", "mfa": true}))
        .await;
    assert_eq!(
        invite(&oauth, "alice", &here, "authorize=true")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_bot_without_room_for_its_role_does_not_come() {
    let oauth = OAuth::start().await;
    let discord = &oauth.discord;
    discord
        .tell("/members", json!({"action": "kick", "user": "uro"}))
        .await;
    let more: Vec<Value> = (0..248).map(|n| json!({"role": format!("r{n}")})).collect();
    discord.tell("/guild", json!({"roles": more})).await;
    let here = format!("&guild_id={}", discord.info().guild_id);
    let full = invite(
        &oauth,
        "alice",
        &format!("{here}&permissions=2"),
        "authorize=true",
    )
    .await;
    assert_eq!(full.status, 403);
    assert!(text(&full).contains("Maximum number of server roles"));
    assert_eq!(discord.seen("/members?user=uro").await, json!([]));
    // Without permissions it needs none.
    let plain = invite(&oauth, "alice", &here, "authorize=true").await;
    assert_eq!(plain.status, 200);
    let member = &discord.seen("/members?user=uro").await[0];
    assert_eq!(member["roles"], json!([]));
}

#[tokio::test]
async fn an_invitation_can_be_a_login_too() {
    let oauth = OAuth::start().await;
    let guild = oauth.discord.info().guild_id.clone();
    let bot = [
        ("permissions", "2"),
        ("guild_id", guild.as_str()),
        ("disable_guild_select", "true"),
        ("as", "alice"),
    ];
    let query = oauth.query("bot identify", &bot);
    let elsewhere = oauth
        .page(Method::POST, &query, "authorize=true&guild_id=1", &[])
        .await;
    assert_eq!(elsewhere.status, 403, "the guild was given");
    let sent = oauth.answer(&query, "authorize=true").await;
    assert_eq!(
        (get(&sent, "guild_id"), get(&sent, "permissions")),
        (guild.clone(), "2".to_owned())
    );
    let tokens = oauth.exchange(&get(&sent, "code"), &[]).await.json();
    assert_eq!(
        (&tokens["guild"]["id"], &tokens["scope"]),
        (&json!(guild), &json!("bot identify"))
    );
    assert_eq!(oauth.get(&tokens, "/users/@me").await.status, 200);
    // With nowhere to go, the user stays.
    let query = format!(
        "client_id={}&scope=bot&guild_id={guild}&as=alice",
        oauth.id()
    );
    let answer = oauth
        .page(Method::POST, &query, "authorize=false", &[])
        .await;
    assert!(text(&answer).contains("Nothing was authorized"));
}

#[tokio::test]
async fn the_application_is_told_who_allows_and_who_takes_it_back() {
    let oauth = OAuth::start().await;
    let discord = &oauth.discord;
    let (endpoint, url) = Endpoint::start(discord, true).await;
    let set = json!({"event_webhooks_url": url});
    let set = discord
        .rest(Method::PATCH, "/applications/@me", Some(set))
        .await
        .json();
    assert_eq!(set["event_webhooks_status"], 2);
    let answers = [204, 204, 204, 500].map(|status| (status, String::new()));
    endpoint.answers.lock().unwrap().extend(answers);
    let events = || std::mem::take(&mut *endpoint.seen.lock().unwrap());
    let bob = discord.info().users["bob"].id.clone();

    let tokens = oauth.tokens("bob", "identify role_connections.write").await;
    let told = events();
    assert_eq!(told[0]["event"]["type"], "APPLICATION_AUTHORIZED");
    let data = &told[0]["event"]["data"];
    assert_eq!(
        (&data["user"]["id"], &data["scopes"]),
        (&json!(bob), &json!(["identify", "role_connections.write"]))
    );
    assert!(data.get("integration_type").is_none());

    let here = format!("&guild_id={}", discord.info().guild_id);
    invite(&oauth, "alice", &here, "authorize=true").await;
    let told = events();
    let data = &told[0]["event"]["data"];
    assert_eq!(
        (&data["integration_type"], &data["guild"]["name"]),
        (&json!(0), &json!("V-Sekai"))
    );

    let path = format!("/users/@me/applications/{}/role-connection", oauth.id());
    let said = Some(json!({"platform_name": "V-Sekai"}));
    oauth
        .as_bearer(&tokens["access_token"], Method::PUT, &path, said)
        .await;
    let revoke = json!({"user": "bob", "action": "revoke", "times": 2});
    let answer = discord.tell("/oauth", revoke.clone()).await;
    assert_eq!(answer, json!({"revoked": true, "statuses": [204, 500]}));
    let told = events();
    assert_eq!(told[0]["event"]["type"], "APPLICATION_DEAUTHORIZED");
    assert_eq!(
        (&told[0]["event"]["data"]["user"]["id"], &told[0]),
        (&json!(bob), &told[1])
    );
    assert_eq!(error(&oauth.get(&tokens, "/users/@me").await), (401, 0));
    assert_eq!(
        discord.tell("/oauth", revoke).await,
        json!({"revoked": false, "statuses": []})
    );

    // What was said of him is gone too.
    endpoint
        .answers
        .lock()
        .unwrap()
        .push_back((204, String::new()));
    let again = oauth.tokens("bob", "role_connections.write").await;
    let connection = oauth.get(&again, &path).await.json();
    assert_eq!(connection["platform_name"], Value::Null);
    // The application knows what it does itself.
    events();
    let token = again["access_token"].as_str().unwrap();
    oauth
        .form("/oauth2/token/revoke", &[("token", token)])
        .await;
    assert!(events().is_empty());
}

#[tokio::test]
async fn it_says_where_everything_is() {
    let oauth = OAuth::start().await;
    let origin = Url::parse(&oauth.discord.info().oauth)
        .unwrap()
        .origin()
        .ascii_serialization();
    let url = format!("{origin}/.well-known/oauth-authorization-server");
    let request = Request::get(url).body(Full::default()).unwrap();
    let said = oauth.discord.send(request).await.unwrap().json();
    assert_eq!(said["issuer"], origin);
    assert_eq!(said["code_challenge_methods_supported"], json!(["S256"]));
    // Without a version it is the same page.
    let url = format!(
        "{}?{}",
        said["authorization_endpoint"].as_str().unwrap(),
        oauth.query("identify", &[("as", "bob")])
    );
    let request = Request::get(url).body(Full::default()).unwrap();
    let page = oauth.discord.send(request).await.unwrap();
    assert!(text(&page).contains("Access your username"));
}

#[tokio::test]
async fn who_allowed_it_is_put_into_a_guild() {
    let oauth = OAuth::start().await;
    let discord = &oauth.discord;
    let tokens = oauth.tokens("bob", "identify guilds.join").await;
    let only_identity = oauth.tokens("alice", "identify").await;
    let id = |user: &str| discord.info().users[user].id.clone();
    let path = |user: &str| format!("/guilds/{}/members/{}", discord.info().guild_id, id(user));
    let put =
        async |user: &str, body: Value| discord.rest(Method::PUT, &path(user), Some(body)).await;
    let guild = discord
        .tell("/guild", json!({"roles": [{"role": "Crew"}]}))
        .await;
    let roles = guild["roles"].as_array().unwrap();
    let role = |name: &str| roles.iter().find(|role| role["name"] == name).unwrap()["id"].clone();
    let crew = role("Crew");
    let wanted = json!({"access_token": tokens["access_token"], "nick": "Bobby", "roles": [crew]});

    // Who is there already stays as he is.
    let there = put("bob", wanted.clone()).await;
    assert_eq!((there.status.as_u16(), there.body.len()), (204, 0));
    let member = discord.rest(Method::GET, &path("bob"), None).await.json();
    assert_eq!(
        (&member["nick"], &member["roles"]),
        (&json!(null), &json!([]))
    );
    let tell = async |path: &str, body: Value| discord.tell(path, body).await;
    tell("/members", json!({"action": "ban", "user": "bob"})).await;
    assert_eq!(error(&put("bob", wanted.clone()).await), (403, 40007));
    tell("/members", json!({"action": "unban", "user": "bob"})).await;
    tell("/accounts", json!({"user": "bob", "guilds_full": true})).await;
    assert_eq!(error(&put("bob", wanted.clone()).await), (400, 30001));
    tell("/accounts", json!({"user": "bob", "guilds_full": false})).await;

    let other = &only_identity["access_token"];
    for (user, key, value, expected) in [
        ("bob", "access_token", &json!("x"), (403, 50025)),
        ("bob", "access_token", other, (403, 50025)),
        ("alice", "access_token", other, (403, 50026)),
        ("bob", "access_token", &json!(null), (400, 50035)),
        ("bob", "nick", &json!("x".repeat(33)), (400, 50035)),
        ("bob", "roles", &json!(["1"]), (404, 10011)),
        ("bob", "roles", &json!([role("Uro")]), (403, 50013)),
    ] {
        let mut body = wanted.clone();
        body[key] = value.clone();
        let answer = put(user, body).await;
        assert_eq!(error(&answer), expected, "{user} {key} {value}");
    }
    let bob = path("bob");
    let peer = discord
        .rest_as("peer", Method::PUT, &bob, Some(wanted.clone()))
        .await;
    assert_eq!(error(&peer), (403, 50013), "peer may invite nobody");
    let unknown = discord.rest(Method::GET, &path("bob"), None).await;
    assert_eq!(error(&unknown), (404, 10007), "nobody joined");

    let twice = json!([crew, guild["id"], crew]);
    let joined = put(
        "bob",
        json!({"access_token": tokens["access_token"], "nick": "Bobby", "roles": twice}),
    )
    .await;
    assert_eq!(joined.status, 201);
    let member = joined.json();
    assert_eq!(
        (
            &member["nick"],
            &member["roles"],
            &member["user"]["username"]
        ),
        (&json!("Bobby"), &json!([crew]), &json!("bob"))
    );
    tell("/members", json!({"action": "leave", "user": "bob"})).await;
    tell("/oauth", json!({"user": "bob", "action": "revoke"})).await;
    assert_eq!(error(&put("bob", wanted).await), (403, 50025));
}
