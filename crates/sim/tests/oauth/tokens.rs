//! Codes and tokens: who gets them, what they are good for, and when they end.

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::Full;
use hyper::{Method, Request, header};
use serde_json::{Value, json};

use crate::{
    flow::{HERE, OAuth, VERIFIER, challenge, get, text, token_error},
    support::error,
};

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
