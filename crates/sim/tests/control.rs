//! The control interface: faults of REST, waiting for events, and a fresh start.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use support::{
    Discord,
    gateway::{ALL_INTENTS, Gateway},
};

#[tokio::test]
async fn a_false_answer_is_given_as_often_as_told() {
    let discord = Discord::start().await;
    let rule = json!({
        "method": "POST", "route": "/channels/{id}/messages", "status": 503, "times": 2,
        "headers": {"retry-after": "7", "x-ratelimit-bucket": null}, "body": "<html>",
    });
    discord.fault(rule).await;
    assert_eq!(discord.seen("/faults").await[0]["times"], 2);
    let say = json!({"content": "x"});
    for _ in 0..2 {
        let answer = discord.post("status", say.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, "7")
        );
        assert_eq!(
            (answer.header("content-type"), &answer.body[..]),
            ("text/html", &b"<html>"[..])
        );
        assert!(answer.headers.get("x-ratelimit-bucket").is_none());
    }
    assert_eq!(discord.post("status", say).await.status, 200);
    assert_eq!(discord.seen("/messages").await.as_array().unwrap().len(), 1);
    assert_eq!(discord.seen("/requests").await[0]["status"], 503);
}

#[tokio::test]
async fn a_connection_is_cut_before_or_within_the_answer() {
    let discord = Discord::start().await;
    let path = format!("/channels/{}/messages", discord.channel("status"));
    let post = async || {
        let body = json!({"content": "x", "nonce": "n", "enforce_nonce": true});
        discord
            .send(discord.request("uro", Method::POST, &path, Some(body)))
            .await
    };
    let messages = async || {
        discord
            .seen("/messages?channel=status")
            .await
            .as_array()
            .unwrap()
            .len()
    };
    discord
        .fault(json!({"route": &path, "drop": "before_answer"}))
        .await;
    assert!(post().await.is_err());
    assert_eq!(messages().await, 0, "it was not carried out");
    discord
        .fault(json!({"route": &path, "drop": "before_answer", "apply": true}))
        .await;
    assert!(post().await.is_err());
    assert_eq!(messages().await, 1, "it was, and nobody was told");
    discord
        .fault(json!({"route": &path, "drop": "mid_answer"}))
        .await;
    let error = post().await.expect_err("half an answer");
    assert!(
        format!("{error:?}").contains("Body"),
        "the head came: {error:?}"
    );
    assert_eq!(post().await.unwrap().status, 200);
    assert_eq!(messages().await, 1, "all with one nonce");
    let statuses: Vec<Value> = discord
        .seen("/requests")
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["status"].clone())
        .collect();
    assert_eq!(statuses, [json!(null), json!(null), json!(200), json!(200)]);
}

#[tokio::test]
async fn an_answer_is_late_as_told() {
    let discord = Discord::start().await;
    discord
        .fault(json!({"route": "/users/@me", "delay_ms": 300}))
        .await;
    let start = Instant::now();
    assert_eq!(
        discord.rest(Method::GET, "/users/@me", None).await.status,
        200
    );
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_request_is_carried_out_long_before_its_answer() {
    let discord = Discord::start().await;
    let path = format!("/channels/{}/messages", discord.channel("status"));
    discord
        .fault(json!({"route": &path, "answer_delay_ms": 60_000}))
        .await;
    tokio::select! {
        answer = discord.post("status", json!({"content": "done"})) => panic!("{answer:?}"),
        _ = discord.wait_for(0, "message_create") => {}
    }
    // Who asked has gone; that he had asked is known all the same.
    let logged = async || discord.seen("/requests").await[0].clone();
    while logged().await.is_null() {
        tokio::task::yield_now().await;
    }
    assert_eq!(logged().await["status"], json!(null));
}

#[tokio::test]
async fn bad_rules_are_refused_with_a_reason() {
    let discord = Discord::start().await;
    for (rules, reason) in [
        (
            json!([{"status": 500}]),
            "a rule needs `route`, `opcode` or `voice_opcode`",
        ),
        (
            json!([{"route": "/x", "stat": 500}]),
            "unknown field `stat`",
        ),
        (
            json!({"route": "/x"}),
            "invalid type: map, expected a sequence",
        ),
    ] {
        let answer = discord
            .try_control(Method::POST, "/faults", Some(rules))
            .await;
        assert!(answer.status.is_client_error());
        assert!(
            answer.json()["error"].as_str().unwrap().contains(reason),
            "{answer:?}"
        );
    }
    assert_eq!(
        discord
            .try_control(Method::GET, "/nothing", None)
            .await
            .status,
        404
    );
    assert_eq!(
        discord
            .try_control(Method::GET, "/messages?channel=nothing", None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn events_can_be_waited_for() {
    let discord = Discord::start().await;
    let nothing = discord.seen("/events?after=0").await;
    assert_eq!(nothing, json!({"last": 0, "events": []}));
    let waiting = discord.seen("/events?after=0&types=message_update&timeout_ms=20000");
    let acting = async {
        let posted = discord
            .post("status", json!({"content": "one"}))
            .await
            .json();
        let path = format!(
            "/channels/{}/messages/{}",
            discord.channel("status"),
            posted["id"].as_str().unwrap()
        );
        discord
            .rest(Method::PATCH, &path, Some(json!({"content": "two"})))
            .await
    };
    let (seen, _) = tokio::join!(waiting, acting);
    assert_eq!(seen["last"], 2);
    assert_eq!(seen["events"].as_array().unwrap().len(), 1);
    let event = &seen["events"][0];
    assert_eq!(
        (&event["number"], &event["type"]),
        (&json!(2), &json!("message_update"))
    );
    assert_eq!(event["message"]["content"], "two");
    let start = Instant::now();
    let none = discord.seen("/events?after=2&timeout_ms=200").await;
    assert_eq!(none, json!({"last": 2, "events": []}));
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(
        discord.seen("/events").await["events"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_reset_forgets_all_but_live_sessions() {
    let discord = Discord::start().await;
    let (mut gateway, ready) = Gateway::identified(&discord, "uro", ALL_INTENTS).await;
    for _ in 0..6 {
        discord.post("status", json!({"content": "x"})).await;
    }
    discord.fault(json!({"route": "/**", "status": 500})).await;
    discord
        .tell("/settings", json!({"heartbeat_interval_ms": 1}))
        .await;
    let before = discord.now().await;
    discord.tell("/reset", json!({})).await;
    for path in ["/messages", "/faults", "/requests"] {
        assert_eq!(discord.seen(path).await, json!([]), "{path}");
    }
    assert_eq!(discord.seen("/limits").await["too_early"], 0);
    assert_eq!(
        discord.seen("/settings").await["heartbeat_interval_ms"],
        41_250
    );
    let seen = discord.seen("/gateway").await;
    assert_eq!(
        (&seen["identifies"], &seen["sessions"][0]["id"]),
        (&json!(0), &ready["d"]["session_id"])
    );
    assert_eq!(
        discord.seen("/events").await,
        json!({"last": before, "events": []})
    );
    let told = gateway.events().await;
    let of_guild = told.iter().filter(|event| event["t"] == "GUILD_CREATE");
    assert_eq!(of_guild.count(), 1, "what is as it was is not told again");
    assert_eq!(
        discord.post("status", json!({"content": "x"})).await.status,
        200
    );
    assert_eq!(gateway.events().await.len(), 1);
}

#[tokio::test]
async fn live_sessions_are_told_what_a_reset_changed() {
    let discord = Discord::start().await;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", ALL_INTENTS).await;
    gateway.events().await;
    for (path, change) in [
        ("/members", json!({"action": "kick", "user": "uro"})),
        (
            "/members",
            json!({"action": "rename", "user": "bob", "nick": "B"}),
        ),
        ("/guild", json!({"roles": [{"role": "New"}]})),
        ("/guild", json!({"owner": "bob"})),
        ("/accounts", json!({"user": "bob", "display": "Robert"})),
    ] {
        discord.tell(path, change.clone()).await;
        gateway.events().await;
        discord.tell("/reset", json!({})).await;
        let told = gateway.events().await;
        assert_eq!(told.len(), 1, "{change}: {told:?}");
        let guild = discord.seen("/guild").await;
        assert_eq!(told[0]["t"], "GUILD_CREATE", "{change}");
        for key in ["id", "owner_id", "roles", "members"] {
            assert_eq!(told[0]["d"][key], guild[key], "{change}");
        }
    }
    discord.tell("/reset", json!({})).await;
    assert!(gateway.events().await.is_empty());
    assert_eq!(discord.seen("/events").await["events"], json!([]));
}
