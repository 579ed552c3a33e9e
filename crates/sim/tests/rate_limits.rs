//! Rate limits over REST.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use hyper::Method;
use serde_json::json;
use support::{Answer, Discord};

fn number(answer: &Answer, header: &str) -> f64 {
    answer.header(header).parse().unwrap()
}

#[tokio::test]
async fn a_bucket_is_told_on_every_answer_and_enforced() {
    let discord = Discord::start().await;
    let say = json!({"content": "x"});
    for left in (0..5).rev() {
        let answer = discord.post("status", say.clone()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            (
                answer.header("x-ratelimit-limit"),
                number(&answer, "x-ratelimit-remaining")
            ),
            ("5", f64::from(left))
        );
        assert!(
            answer.headers.get("x-ratelimit-scope").is_none(),
            "only on 429"
        );
        let after = number(&answer, "x-ratelimit-reset-after");
        assert!((0.0..=5.0).contains(&after), "{after}");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!((number(&answer, "x-ratelimit-reset") - now - after).abs() < 1.0);
    }
    let limited = discord.post("status", say.clone()).await;
    assert_eq!(limited.status, 429);
    assert_eq!(limited.header("x-ratelimit-scope"), "user");
    assert!(limited.headers.get("x-ratelimit-global").is_none());
    let body = limited.json();
    assert_eq!(
        (&body["message"], &body["global"]),
        (&json!("You are being rate limited."), &json!(false))
    );
    let retry_after = body["retry_after"].as_f64().unwrap();
    assert!(retry_after > 0.0 && retry_after <= 5.0);
    assert!((number(&limited, "retry-after") - retry_after.ceil()).abs() < f64::EPSILON);

    // Another channel, another route and another user have windows of their own.
    assert_eq!(discord.post("builds", say.clone()).await.status, 200);
    assert_eq!(
        discord.post_as("alice", "status", say.clone()).await.status,
        200
    );
    let path = format!("/channels/{}/messages", discord.channel("status"));
    let read = discord.rest(Method::GET, &path, None).await;
    assert_eq!(read.status, 200);
    assert_ne!(
        read.header("x-ratelimit-bucket"),
        limited.header("x-ratelimit-bucket")
    );

    let limits = discord.seen("/limits").await;
    assert_eq!(
        limits,
        json!({"too_early": 1, "over_global": 0, "invalid_requests": 1})
    );
    tokio::time::sleep(Duration::from_secs_f64(retry_after)).await;
    assert_eq!(
        discord.post("status", say).await.status,
        200,
        "whoever waits as long as told gets through"
    );
}

#[tokio::test]
async fn fifty_requests_a_second_are_the_most() {
    let discord = Discord::start().await;
    // Each guild has a window of its own: so only the global limit is met.
    let answers = join_all((0..120).map(|n| {
        let request = discord.request("uro", Method::GET, &format!("/guilds/{n}"), None);
        discord.send(request)
    }));
    let answers: Vec<Answer> = answers.await.into_iter().map(Result::unwrap).collect();
    let (passed, limited): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 404);
    assert!(passed.len() >= 50 && !limited.is_empty());
    for answer in limited {
        assert_eq!(answer.status, 429);
        assert_eq!(
            (
                answer.header("x-ratelimit-scope"),
                answer.header("x-ratelimit-global")
            ),
            ("global", "true")
        );
        assert_eq!(answer.json()["global"], json!(true));
        assert!(answer.json()["retry_after"].as_f64().unwrap() <= 1.0);
    }
}

#[tokio::test]
async fn errors_count_too_and_carry_the_headers() {
    let discord = Discord::start().await;
    let unknown = discord.rest(Method::GET, "/nothing", None).await;
    assert_eq!(
        (
            unknown.status.as_u16(),
            unknown.header("x-ratelimit-remaining")
        ),
        (404, "9")
    );
    discord.post("staff", json!({"content": "x"})).await;
    assert_eq!(discord.seen("/limits").await["invalid_requests"], 1);
    // A limit that others use up as well is not held against a client.
    let shared = json!({"route": "/users/@me", "status": 429, "headers": {"x-ratelimit-scope": "shared"}, "body": {}});
    discord.fault(shared).await;
    assert_eq!(
        discord.rest(Method::GET, "/users/@me", None).await.status,
        429
    );
    assert_eq!(discord.seen("/limits").await["invalid_requests"], 1);

    let requests = discord.seen("/requests").await;
    let seen: Vec<_> = requests
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["route"].clone(), r["status"].clone()))
        .collect();
    let route = json!("/channels/{channel_id}/messages");
    assert_eq!(
        seen,
        [
            (json!(null), json!(404)),
            (route, json!(403)),
            (json!("/users/@me"), json!(429))
        ]
    );
    assert_eq!(requests[0]["bucket"], unknown.header("x-ratelimit-bucket"));
}
