//! The consent page: who is asked, for what, and what is refused there.

use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::json;
use url::Url;

use crate::flow::{OAuth, get, location, text};

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
