//! What the client does about Discord's answers.

mod support;

use std::time::{Duration, Instant};

use support::{Act, Server, answer, limited, ok};
use uro_discord_rest::rate_limit::Scope;
use uro_discord_rest::{Auth, Client, Config, Error, Request, Retry, Route};

fn webhook(token: &str) -> Route<'_> {
    Route::ExecuteWebhook {
        thread_id: None,
        token,
        wait: None,
        with_components: None,
        webhook_id: 1,
    }
}

fn callback(interaction_token: &str) -> Route<'_> {
    Route::InteractionCallback {
        interaction_id: 1,
        interaction_token,
        with_response: false,
    }
}

fn post() -> Request {
    Request {
        retry: Retry::Never,
        ..Request::new(&Route::CreateMessage { channel_id: 1 }).json("{}")
    }
}

#[tokio::test]
async fn a_429_of_any_scope_is_waited_for() {
    for scope in ["user", "shared", "global", ""] {
        let server = Server::start([Act::Answer(limited(scope, 0.3))]).await;
        let client = server.client();
        client.send(post()).await.unwrap();
        let seen = server.seen();
        assert_eq!(seen.len(), 2, "scope {scope:?}");
        assert!(
            seen[1].at - seen[0].at >= Duration::from_millis(300),
            "scope {scope:?}"
        );
        assert_eq!(client.status().rejected, u32::from(scope != "shared"));
    }
}

#[tokio::test]
async fn the_longest_wait_counts() {
    let body = r#"{"retry_after": 1163.0, "code": 20028}"#;
    let headers = "x-ratelimit-scope: shared\r\nretry-after: 1\r\n";
    let server = Server::start([Act::Answer(answer("429 Too Many Requests", headers, body))]).await;
    let client = server.client();
    for _ in 0..2 {
        let started = Instant::now();
        let error = client.send(post()).await.unwrap_err();
        let Error::RateLimited {
            retry_after,
            scope: Scope::Shared,
        } = error
        else {
            panic!("{error}")
        };
        assert!(retry_after > Duration::from_secs(1160));
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "it says so at once"
        );
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn too_many_edits_of_an_old_message_hold_up_no_other() {
    let old = |seconds: f64| {
        let body = format!(
            r#"{{"message": "Maximum number of edits to messages older than 1 hour reached.", "code": 30046, "retry_after": {seconds}}}"#
        );
        Act::Answer(answer("429 Too Many Requests", "", &body))
    };
    let edit = |message_id| {
        Request::new(&Route::UpdateMessage {
            channel_id: 1,
            message_id,
        })
        .json("{}")
    };
    let server = Server::start([old(600.0), Act::Answer(ok()), old(0.3), Act::Answer(ok())]).await;
    let client = server.client();
    let error = client.send(edit(2)).await.unwrap_err();
    let Error::RateLimited {
        retry_after,
        scope: Scope::Message,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(retry_after, Duration::from_secs(600));
    // Of the same bucket.
    client.send(edit(3)).await.unwrap();
    // What is soon over is waited for.
    client.send(edit(2)).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen[1].at - seen[0].at < Duration::from_secs(5));
    assert!(seen[3].at - seen[2].at >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_page_from_the_edge_stops_everything() {
    let page = answer(
        "429 Too Many Requests",
        "content-type: text/html\r\nretry-after: 3600\r\n",
        "<html>1015</html>",
    );
    let server = Server::start([Act::Answer(page)]).await;
    let client = server.client();
    for route in [
        Route::CreateMessage { channel_id: 1 },
        Route::CreateMessage { channel_id: 2 },
        webhook("token"),
    ] {
        let error = client.send(Request::new(&route)).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::RateLimited {
                    scope: Scope::Address,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(server.seen().len(), 1);
    assert!(client.status().paused_for.is_some());
}

#[tokio::test]
async fn endless_429s_end() {
    let server = Server::start(vec![Act::Answer(limited("user", 0.01)); 20]).await;
    let error = server.client().send(post()).await.unwrap_err();
    assert!(
        matches!(error, Error::Attempts { attempts: 5, .. }),
        "{error}"
    );
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn an_invalid_token_stops_the_bot() {
    let unauthorized = answer(
        "401 Unauthorized",
        "",
        r#"{"message": "401: Unauthorized", "code": 0}"#,
    );
    let server = Server::start([Act::Answer(unauthorized)]).await;
    let client = server.client();
    for _ in 0..3 {
        let error = client.send(post()).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        assert!(error.retry_after().is_some());
    }
    assert_eq!(server.seen().len(), 1);
    assert!(client.status().unauthorized);
    client.send(Request::new(&webhook("token"))).await.unwrap();
}

#[tokio::test]
async fn a_users_invalid_token_does_not() {
    let body = r#"{"message": "401: Unauthorized", "code": 0}"#;
    let unauthorized = answer("401 Unauthorized", "", body);
    let server = Server::start([Act::Answer(unauthorized)]).await;
    let client = server.client();
    let auth = Auth::Bearer("user-t0ken".into());
    let error = client
        .send(Request {
            auth,
            ..Request::new(&Route::GetCurrentUser)
        })
        .await
        .unwrap_err();
    assert_eq!(error.status(), Some(401));
    client.send(post()).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].head.contains("authorization: Bearer user-t0ken"));
    assert!(seen[1].head.contains("authorization: Bot s3cret-t0ken"));
}

#[tokio::test]
async fn too_many_rejections_open_the_breaker() {
    let forbidden = answer(
        "403 Forbidden",
        "",
        r#"{"message": "Missing Access", "code": 50001}"#,
    );
    let server = Server::start(vec![Act::Answer(forbidden); 5]).await;
    let client = Client::new(Config {
        max_rejected: 3,
        ..server.config()
    })
    .unwrap();
    for _ in 0..3 {
        let error = client.send(post()).await.unwrap_err();
        assert_eq!(error.api().unwrap().code, Some(50001));
    }
    let error = client.send(post()).await.unwrap_err();
    assert!(matches!(error, Error::Breaker { .. }), "{error}");
    assert_eq!(server.seen().len(), 3);
    assert!(client.status().breaker_open_for.is_some());
}

#[tokio::test]
async fn discords_words_are_passed_on() {
    let body = r#"{"code": 50035, "message": "Invalid Form Body", "errors": {"content": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH"}]}}}"#;
    let oauth = r#"{"error": "invalid_grant", "error_description": "Invalid \"code\""}"#;
    let server = Server::start([
        Act::Answer(answer("400 Bad Request", "", body)),
        Act::Answer(answer("400 Bad Request", "", oauth)),
    ])
    .await;
    let client = server.client();
    let error = client.send(post()).await.unwrap_err();
    let api = error.api().unwrap();
    assert_eq!(
        (api.status, api.code, api.message.as_str()),
        (400, Some(50035), "Invalid Form Body")
    );
    assert!(
        api.errors
            .as_ref()
            .unwrap()
            .get()
            .contains("BASE_TYPE_MAX_LENGTH")
    );
    let error = client.send(post()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Discord answered 400: invalid_grant: Invalid \"code\""
    );
}

#[tokio::test]
async fn what_is_not_discords_own_says_nothing_about_the_request() {
    let network = r#"{"message": "internal network error", "code": 40333}"#;
    for (status, body) in [
        ("403 Forbidden", "<html>Cloudflare</html>"),
        ("302 Found", ""),
        ("400 Bad Request", r#"{"message": "bad gateway token"}"#),
        ("401 Unauthorized", "<html>a proxy</html>"),
        ("401 Unauthorized", "{}"),
        ("404 Not Found", "[1]"),
        ("408 Request Timeout", ""),
        ("421 Misdirected Request", ""),
        ("403 Forbidden", network),
        ("502 Bad Gateway", "{}"),
    ] {
        // It passes, where a second time does no harm.
        let act = || Act::Answer(answer(status, "", body));
        let server = Server::start([act(), act()]).await;
        let client = server.client();
        let safe = Request {
            retry: Retry::Safe,
            ..post()
        };
        client.send(safe).await.unwrap();
        assert_eq!(server.seen().len(), 3, "{status} {body}");
        assert!(!client.status().unauthorized, "{status} {body}");
        // And is told apart, where it might.
        let server = Server::start([act()]).await;
        let error = server.client().send(post()).await.unwrap_err();
        assert!(matches!(error, Error::Weather(_)), "{error}");
        assert_eq!(error.status(), status[..3].parse().ok());
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn errors_do_not_tell_secrets() {
    let server = Server::start([
        Act::Answer(answer("404 Not Found", "", "{}")),
        Act::AnswerAndReset(String::new()),
        Act::Answer(answer("401 Unauthorized", "", "{}")),
    ])
    .await;
    let client = server.client();
    for route in [
        webhook("s3cret-path"),
        webhook("s3cret-path"),
        Route::UpdateCurrentUser,
        callback("s3cret path"),
    ] {
        let error = client.send(Request::new(&route)).await.unwrap_err();
        let shown = format!("{error} {error:?} {client:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_bucket_waits_for_its_reset() {
    let headers = "x-ratelimit-bucket: b\r\nx-ratelimit-limit: 1\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset-after: 0.4\r\n";
    let server = Server::start(vec![Act::Answer(answer("200 OK", headers, "{}")); 3]).await;
    let client = server.client();
    let calls = (0..3).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.send(post()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    let seen = server.seen();
    assert!(
        seen.windows(2)
            .all(|pair| pair[1].at - pair[0].at >= Duration::from_millis(400))
    );
}

#[tokio::test]
async fn a_callback_does_not_wait_behind_others() {
    let server = Server::start([Act::Stall, Act::Answer(ok())]).await;
    let client = server.client();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        calls.spawn(async move { client.send(post()).await });
    }
    server.saw(1).await;
    client.send(Request::new(&callback("token"))).await.unwrap();
    assert!(
        server.seen()[1]
            .head
            .starts_with("POST /api/v10/interactions/1/token/callback")
    );
}
