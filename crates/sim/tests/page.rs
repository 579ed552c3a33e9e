//! The page for people.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::Full;
use hyper::Request;
use ring::digest;
use support::Discord;

#[tokio::test]
async fn it_is_one_page_whose_policy_lets_nothing_else_run() {
    let discord = Discord::start().await;
    let request = Request::get(&discord.info().page)
        .body(Full::default())
        .unwrap();
    let answer = discord.send(request).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let page = std::str::from_utf8(&answer.body).unwrap();
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'"));
    for (directive, tag) in [("style-src", "style"), ("script-src", "script")] {
        // As a browser does it: what is between the tags must have the hash that the policy names.
        let inside = page
            .split(&format!("<{tag}>"))
            .nth(1)
            .unwrap()
            .split(&format!("</{tag}>"))
            .next()
            .unwrap();
        assert!(inside.len() > 1_000);
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, inside.as_bytes()));
        assert!(
            policy.contains(&format!("{directive} 'sha256-{hash}'")),
            "{policy}"
        );
        assert_eq!(page.matches(&format!("<{tag}")).count(), 1);
    }
    assert!(
        !page.contains(" src=") && !page.contains("stylesheet"),
        "no assets of others"
    );
    assert!(
        !page.contains("innerHTML"),
        "nothing that a message says becomes HTML"
    );
}
