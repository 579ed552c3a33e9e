//! Sessions of the gateway: how they are lost, resumed and ended, and what the control interface does to them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use support::{
    Discord,
    gateway::{ALL_INTENTS, Gateway, Said, heartbeat_interval, identify, identify_freely, kinds},
};

#[tokio::test]
async fn who_sends_no_heartbeats_is_closed() {
    let discord = Discord::start().await;
    heartbeat_interval(&discord, Duration::from_millis(200)).await;
    let (mut alive, _) = Gateway::identified(&discord, "uro", 0).await;
    let (mut zombie, _) = Gateway::identified(&discord, "peer", 0).await;
    let closed = async {
        assert_eq!(zombie.close_code().await, 4009);
    };
    let beating = async {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        loop {
            beat.tick().await;
            alive.events().await;
        }
    };
    tokio::select! {
        () = closed => {}
        () = beating => {}
    }
    assert_eq!(alive.events().await.len(), 0, "still open");
    assert_eq!(
        discord.seen("/gateway").await["violations"],
        json!({"zombie": 1})
    );
}

#[tokio::test]
async fn a_session_is_resumed_with_what_was_missed() {
    let discord = Discord::start().await;
    let (mut gateway, ready) = Gateway::identified(&discord, "uro", ALL_INTENTS).await;
    let last = gateway.events().await.last().unwrap()["s"]
        .as_u64()
        .unwrap();
    let before = discord.now().await;
    gateway.close(4000).await;
    discord.wait_for(before, "disconnect").await;
    for n in 0..3 {
        discord
            .post_as("alice", "general", json!({"content": n.to_string()}))
            .await;
    }
    let token = &discord.info().token;
    let session = ready["d"]["session_id"].clone();
    let resume = |session: &Value, sequence: u64| json!({"op": 6, "d": {"token": token, "session_id": session, "seq": sequence}});
    let mut again = Gateway::open(&discord).await;
    again.send(resume(&session, last)).await;
    let missed = again.events().await;
    assert_eq!(
        kinds(&missed),
        [
            "MESSAGE_CREATE",
            "MESSAGE_CREATE",
            "MESSAGE_CREATE",
            "RESUMED"
        ]
    );
    let numbers: Vec<u64> = missed
        .iter()
        .map(|event| event["s"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [last + 1, last + 2, last + 3, last + 4]);

    // Once more from the same place, as after a crash: the end of the replay before is not in this one.
    let mut once_more = Gateway::open(&discord).await;
    once_more.send(resume(&session, last)).await;
    let missed = once_more.events().await;
    let numbers: Vec<u64> = missed
        .iter()
        .filter_map(|event| event["s"].as_u64())
        .collect();
    assert_eq!(numbers, [last + 1, last + 2, last + 3, last + 5]);
    assert_eq!(kinds(&missed)[3], "RESUMED");
    let mut again = once_more;

    // Elsewhere it cannot be had, nor in its own future.
    for (session, sequence) in [(&json!("nothing"), 1), (&session, 1_000)] {
        let mut other = Gateway::open(&discord).await;
        other.send(resume(session, sequence)).await;
        let refused = other.payload().await;
        assert_eq!((&refused["op"], &refused["d"]), (&json!(9), &json!(false)));
    }
    let mut thief = Gateway::open(&discord).await;
    thief.send(json!({"op": 6, "d": {"token": discord.info().users["peer"].token, "session_id": session, "seq": 1}})).await;
    assert_eq!(thief.payload().await["op"], 9);

    // Logging off ends it.
    let before = discord.now().await;
    again.close(1000).await;
    discord.wait_for(before, "session_end").await;
    let mut late = Gateway::open(&discord).await;
    late.send(resume(&session, last)).await;
    assert_eq!(late.payload().await["op"], 9);
    let seen = discord.seen("/gateway").await;
    assert_eq!(
        (&seen["resumes"], &seen["resumes_refused"]),
        (&json!(2), &json!(4))
    );
}

#[tokio::test]
async fn a_session_that_nobody_resumes_ends() {
    let discord = Discord::start().await;
    discord
        .tell("/settings", json!({"session_timeout_ms": 100}))
        .await;
    let (gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    drop(gateway);
    discord.wait_for(0, "session_end").await;
    assert_eq!(discord.seen("/presence").await[0]["status"], "offline");
    assert_eq!(discord.seen("/gateway").await["sessions"], json!([]));
}

#[tokio::test]
async fn control_makes_the_gateway_misbehave() {
    let discord = Discord::start().await;
    identify_freely(&discord).await;
    let act = async |action: Value| {
        assert_eq!(
            discord.tell("/gateway", action).await,
            json!({"connections": 1})
        );
    };
    let (mut gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    gateway.events().await;
    act(json!({"action": "reconnect"})).await;
    assert_eq!(gateway.payload().await["op"], 7);
    act(json!({"action": "heartbeat"})).await;
    assert_eq!(gateway.payload().await["op"], 1);
    act(json!({"action": "invalid_session", "resumable": true})).await;
    assert_eq!(gateway.payload().await["d"], true);
    act(json!({"action": "invalid_session", "user": "uro"})).await;
    assert_eq!(gateway.payload().await["d"], false);
    gateway.send(identify(&discord, "uro", 0)).await;
    gateway.event("READY").await;
    act(json!({"action": "close", "code": 4000})).await;
    assert_eq!(gateway.close_code().await, 4000);
    let (mut gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    act(json!({"action": "drop"})).await;
    assert_eq!(gateway.said().await, Said::Nothing);
    let nobody = discord
        .try_control(
            Method::POST,
            "/gateway",
            Some(json!({"action": "drop", "user": "eve"})),
        )
        .await;
    assert_eq!(
        (nobody.status.as_u16(), nobody.json()),
        (404, json!({"error": "no user `eve`"}))
    );
}

#[tokio::test]
async fn commands_fail_as_they_are_told_to() {
    let discord = Discord::start().await;
    identify_freely(&discord).await;
    discord.fault(json!({"opcode": 1, "ignore": true})).await;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    gateway.send(json!({"op": 1, "d": null})).await;
    gateway.send(json!({"op": 1, "d": null})).await;
    assert_eq!(gateway.payload().await["op"], 11);
    discord.fault(json!({"opcode": 1, "close": 4002})).await;
    gateway.send(json!({"op": 1, "d": null})).await;
    assert_eq!(gateway.close_code().await, 4002);
    discord
        .fault(json!({"opcode": 2, "drop": "before_answer"}))
        .await;
    let mut gateway = Gateway::open(&discord).await;
    gateway.send(identify(&discord, "uro", 0)).await;
    assert_eq!(gateway.said().await, Said::Nothing);
    assert_eq!(
        discord.seen("/faults").await,
        json!([]),
        "each rule applied once"
    );
}

#[tokio::test]
async fn any_event_can_be_dispatched_in_any_number() {
    let discord = Discord::start().await;
    let (mut gateway, _) = Gateway::identified(&discord, "uro", 0).await;
    gateway.events().await;
    let dispatch =
        json!({"type": "SOMETHING_NEW", "data": {"text": "x".repeat(1000)}, "times": 20_000});
    assert_eq!(
        discord.tell("/dispatch", dispatch).await,
        json!({"sessions": 1})
    );
    for n in 0..20_000_u64 {
        let event = gateway.payload().await;
        assert_eq!(
            (&event["t"], event["s"].as_u64().unwrap()),
            (&json!("SOMETHING_NEW"), n + 2)
        );
    }
}

#[tokio::test]
async fn who_does_not_read_is_dropped_or_loses_the_session() {
    let discord = Discord::start().await;
    let (mut gateway, ready) = Gateway::identified(&discord, "uro", 0).await;
    gateway.events().await;
    let flood = |bytes: usize| json!({"type": "FLOOD", "data": "x".repeat(10_000), "times": bytes / 10_000});
    // Much more than TCP holds, less than a session keeps: a connection that is stuck can still be cut.
    discord.tell("/dispatch", flood(20 << 20)).await;
    discord.tell("/gateway", json!({"action": "drop"})).await;
    discord.wait_for(0, "disconnect").await;

    let resume = json!({"op": 6, "d": {"token": discord.info().token, "session_id": ready["d"]["session_id"], "seq": 1}});
    let mut gateway = Gateway::open(&discord).await;
    gateway.send(resume.clone()).await;
    assert_eq!(gateway.event("FLOOD").await["s"], 2);
    // More than a session keeps.
    discord.tell("/dispatch", flood(40 << 20)).await;
    assert_eq!(gateway.close_code().await, 4000);
    let mut gateway = Gateway::open(&discord).await;
    gateway.send(resume).await;
    assert_eq!(gateway.payload().await["op"], 9);
}
