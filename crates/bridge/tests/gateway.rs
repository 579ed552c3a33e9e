//! The gateway, against discord-sim.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::time::Duration;
use support::Bridge;
use support::sim::Discord;
use uro_discord_wire::{FromBridge, GatewayState};

fn presence(state: &str) -> Value {
    json!({"since": null, "activities": [{"name": "Uro", "type": 4, "state": state}], "status": "online", "afk": false})
}

fn active(state: GatewayState) -> uro_discord_wire::Active {
    match state {
        GatewayState::Active(active) => active,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connects_identifies_and_shows_the_presence() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&[]), "presence": presence("7 players")}))
        .await;
    assert_eq!(bridge.state().await, GatewayState::Connecting);
    assert_eq!(bridge.state().await, GatewayState::Identifying);
    let ready = active(bridge.state().await);
    assert!(!ready.resumed);
    assert_eq!(ready.user_id.as_ref(), Some(&discord.info().application_id));
    assert_eq!(ready.resume_url.as_ref(), Some(&discord.info().gateway));
    assert_eq!(bridge.presence().await, "7 players");
    discord.shows("7 players").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_presences_keeps_discords_limit_and_ends_with_the_last() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&[]), "presence": presence("0")}))
        .await;
    assert_eq!(bridge.presence().await, "0");
    // Three at once, a second apart; then one every 5 s, and the last one.
    let storm = std::time::Instant::now();
    for state in 1..=600 {
        bridge
            .desire(json!({"presence": presence(&state.to_string())}))
            .await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while bridge.presence().await != "600" {}
    let most = 4 + storm.elapsed().as_secs() / 5;
    discord.shows("600").await;
    let gateway = discord.get("gateway").await;
    assert_eq!(gateway["violations"], json!({}));
    let sent = gateway["commands"]["3"].as_u64().unwrap();
    assert!((4..=most).contains(&sent), "{sent} presences were sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_events_cross_and_the_names_change_in_place() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge.credit(1_000).await;
    let events = ["MESSAGE_CREATE", "SOMETHING_THAT_NOBODY_KNOWS_YET"];
    bridge
        .desire(json!({"gateway": discord.gateway(&events), "presence": null}))
        .await;
    let session = bridge.active().await;

    let told = json!({"text": "naïve 日本語 🎮", "n": [0, 1.5, -3, null, true], "id": "1", "big": u64::MAX});
    for kind in [
        "TYPING_START",
        "MESSAGE_CREATE",
        "GUILD_UPDATE",
        "SOMETHING_THAT_NOBODY_KNOWS_YET",
    ] {
        discord.dispatch(kind, told.clone()).await;
    }
    let whose = |message: FromBridge<'_>| match message {
        FromBridge::Event { session, .. } => Some(session.into_owned()),
        _ => None,
    };
    assert_eq!(bridge.until(whose).await, session);
    let (_, kind, data) = bridge.event().await;
    assert_eq!((kind.as_str(), data), (events[1], told));

    bridge
        .desire(json!({"gateway": discord.gateway(&["TYPING_START"])}))
        .await;
    // The change is known to be in place when a ping sent after it is answered; the gateway hears of it by then or a moment later.
    bridge.no_event_before_pong().await;
    let deaf = async {
        loop {
            discord.dispatch("MESSAGE_CREATE", json!({})).await;
            discord.dispatch("TYPING_START", json!({})).await;
            if bridge.event().await.1 == "TYPING_START" {
                break;
            }
        }
    };
    support::patiently("the change of events", deaf).await;
    discord.dispatch("MESSAGE_CREATE", json!({})).await;
    discord.dispatch("TYPING_START", json!({})).await;
    assert_eq!(bridge.event().await.1, "TYPING_START");
    assert_eq!(discord.get("gateway").await["identifies"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credit_nothing_crosses_and_nothing_is_lost() {
    let discord = Discord::start().await;
    // Discord gives up on the silent bridge while it waits.
    discord
        .post("settings", json!({"heartbeat_interval_ms": 1_000}))
        .await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&["MESSAGE_CREATE"]), "presence": null}))
        .await;
    bridge.active().await;

    // 24 MiB, of which 8 find room in the bridge.
    let text = "x".repeat(12 * 1024);
    for number in 0..2_000 {
        discord
            .dispatch("MESSAGE_CREATE", json!({"number": number, "text": text}))
            .await;
    }
    let violation = discord.logged("violation").await;
    assert_eq!(violation["kind"], "zombie");
    bridge.no_event_before_pong().await;
    let memory = bridge.peak_memory();
    assert!(memory < 32 << 20, "{memory} bytes");

    let mut number = 0;
    for granted in [10, 1, 10_000] {
        bridge.credit(granted).await;
        for _ in 0..granted {
            // How far the session is costs a credit too.
            if let Some((_, data)) = bridge.paid().await.event {
                assert_eq!(data["number"], number);
                number += 1;
            }
            if number == 2_000 {
                break;
            }
        }
        if number < 2_000 {
            bridge.no_event_before_pong().await;
        }
    }
    assert_eq!(number, 2_000);
    let gateway = discord.get("gateway").await;
    assert_eq!(gateway["identifies"], 1);
    assert!(gateway["resumes"].as_u64() >= Some(1), "{gateway}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_reconnect_is_followed_by_a_resume() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge.credit(10).await;
    bridge
        .desire(
            json!({"gateway": discord.gateway(&["MESSAGE_CREATE"]), "presence": presence("here")}),
        )
        .await;
    let session = bridge.active().await;
    assert_eq!(bridge.presence().await, "here");

    discord
        .post("gateway", json!({"action": "reconnect"}))
        .await;
    assert!(
        matches!(bridge.state().await, GatewayState::Disconnected(closed) if closed.reason == "Discord asked to reconnect")
    );
    discord
        .dispatch("MESSAGE_CREATE", json!({"missed": true}))
        .await;
    assert_eq!(bridge.state().await, GatewayState::Connecting);
    assert_eq!(bridge.state().await, GatewayState::Resuming);
    let (missed, resumed) = bridge.event_and_active().await;
    assert_eq!(missed, json!({"missed": true}));
    assert!(resumed.resumed);
    assert_eq!(resumed.session_id, session);
    assert_eq!(
        resumed.user_id.as_ref(),
        Some(&discord.info().application_id)
    );
    // It was sent so shortly before that it might have been lost.
    assert_eq!(bridge.presence().await, "here");

    for action in [
        json!({"action": "drop"}),
        json!({"action": "close", "code": 4000}),
        json!({"action": "invalid_session", "resumable": true}),
    ] {
        discord.post("gateway", action).await;
        assert_eq!(bridge.active().await, session);
    }
    let gateway = discord.get("gateway").await;
    assert_eq!(
        (&gateway["identifies"], &gateway["resumes"]),
        (&json!(1), &json!(4))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_elixir_knows_is_resumed_by_the_next_bridge() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge.credit(10).await;
    bridge
        .desire(json!({"gateway": discord.gateway(&["MESSAGE_CREATE"]), "presence": null}))
        .await;
    let session = bridge.active().await;
    discord.dispatch("MESSAGE_CREATE", json!({"n": 1})).await;
    let (sequence, ..) = bridge.event().await;
    bridge.kill().await;
    discord.logged("disconnect").await;
    discord.dispatch("MESSAGE_CREATE", json!({"n": 2})).await;

    let mut bridge = Bridge::greeted().await;
    bridge.credit(10).await;
    let mut gateway = discord.gateway(&["MESSAGE_CREATE"]);
    gateway["sessions"] = json!([{"shard": 0, "id": session, "sequence": sequence, "resume_url": discord.info().gateway}]);
    bridge
        .desire(json!({"gateway": gateway, "presence": presence("back")}))
        .await;
    let (missed, resumed) = bridge.event_and_active().await;
    assert_eq!(missed, json!({"n": 2}));
    assert_eq!((resumed.resumed, resumed.session_id), (true, session));
    assert_eq!(resumed.user_id, None);
    assert_eq!(bridge.presence().await, "back");
    let gateway = discord.get("gateway").await;
    assert_eq!(
        (&gateway["identifies"], &gateway["resumes"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_not_used_to_resume() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&[]), "presence": null}))
        .await;
    let session = bridge.active().await;
    for url in ["no address", "https://example.com"] {
        let ready = json!({"session_id": session, "resume_gateway_url": url, "user": {"id": "1"}});
        discord.dispatch("READY", ready).await;
        let named = active(bridge.state().await);
        assert_eq!(
            (named.resume_url, named.session_id.as_ref()),
            (None, session.as_str())
        );
        match bridge.state().await {
            GatewayState::Disconnected(closed) => {
                assert_eq!(closed.reason, "Discord named an address that is none");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bridge.active().await, session);
        discord
            .post("gateway", json!({"action": "reconnect"}))
            .await;
        assert_eq!(bridge.active().await, session);
    }
    assert_eq!(discord.get("gateway").await["identifies"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_answers_a_resume_goes_to_where_sessions_begin() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ws://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let gateway = discord.gateway(&[]);
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    let session = bridge.active().await;
    bridge.kill().await;

    let mut bridge = Bridge::greeted().await;
    let mut gateway = discord.gateway(&[]);
    gateway["sessions"] =
        json!([{"shard": 0, "id": session, "sequence": 1, "resume_url": address}]);
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    assert_eq!(bridge.state().await, GatewayState::Connecting);
    assert!(
        matches!(bridge.state().await, GatewayState::Disconnected(closed) if closed.reason.contains("refused"))
    );
    for state in [GatewayState::Connecting, GatewayState::Resuming] {
        assert_eq!(bridge.state().await, state);
    }
    let resumed = active(bridge.state().await);
    assert_eq!(
        (resumed.session_id, resumed.resume_url),
        (session, Some(address))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_discord_forgot_is_followed_by_a_new_one_with_its_presence() {
    let discord = Discord::start().await;
    discord
        .post("settings", json!({"identify_interval_ms": 0}))
        .await;
    let mut bridge = Bridge::greeted().await;
    let mut gateway = discord.gateway(&[]);
    gateway["sessions"] = json!([{"shard": 0, "id": "gone", "sequence": 7, "resume_url": null}]);
    bridge
        .desire(json!({"gateway": gateway, "presence": presence("new")}))
        .await;
    for state in [GatewayState::Connecting, GatewayState::Resuming] {
        assert_eq!(bridge.state().await, state);
    }
    assert!(
        matches!(bridge.state().await, GatewayState::Disconnected(closed) if closed.reason == "Discord found the session invalid")
    );
    for state in [GatewayState::Connecting, GatewayState::Identifying] {
        assert_eq!(bridge.state().await, state);
    }
    let first = active(bridge.state().await);
    assert!(!first.resumed);
    assert_eq!(bridge.presence().await, "new");

    // Invalid from the side of Discord, in the middle of a session.
    discord
        .post("gateway", json!({"action": "invalid_session"}))
        .await;
    let second = bridge.active().await;
    assert_ne!(second, first.session_id);
    assert_eq!(bridge.presence().await, "new");
    discord.shows("new").await;
    let gateway = discord.get("gateway").await;
    assert_eq!(
        (&gateway["identifies"], &gateway["violations"]),
        (&json!(2), &json!({}))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_close_is_not_retried_until_another_gateway_is_desired() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let mut gateway = discord.gateway(&[]);
    gateway["token"] = json!("bm9ib2R5.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb");
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    for state in [GatewayState::Connecting, GatewayState::Identifying] {
        assert_eq!(bridge.state().await, state);
    }
    assert!(
        matches!(bridge.state().await, GatewayState::Fatal(closed) if closed.code == Some(4004))
    );
    // Another presence is no other gateway. A first retry would come at once.
    bridge
        .desire(json!({"presence": presence("anybody?")}))
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    bridge.no_event_before_pong().await;
    assert_eq!(
        discord.get("events?types=connect").await["events"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    bridge
        .desire(json!({"gateway": discord.gateway(&[])}))
        .await;
    bridge.active().await;
    assert_eq!(bridge.presence().await, "anybody?");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_no_longer_wanted_is_left_and_can_be_wanted_again() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&[]), "presence": presence("on")}))
        .await;
    let first = bridge.active().await;
    discord.shows("on").await;

    bridge.desire(json!({"gateway": null})).await;
    assert_eq!(discord.logged("disconnect").await["code"], 4000);

    let mut other = discord.gateway(&[]);
    other["intents"] = json!(1);
    bridge
        .desire(json!({"gateway": discord.gateway(&[])}))
        .await;
    let second = bridge.active().await;
    bridge.desire(json!({"gateway": other})).await;
    let third = bridge.active().await;
    assert!(first != second && second != third);
    // The first one can still be resumed, the second has ended.
    let sessions = discord.get("gateway").await["sessions"].clone();
    let mut sessions: Vec<_> = sessions
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["id"].as_str().unwrap())
        .collect();
    sessions.sort_by_key(|&session| session != first);
    assert_eq!(sessions, [first, third]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_refused_and_changes_nothing() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(json!({"gateway": discord.gateway(&[]), "presence": presence("good")}))
        .await;
    assert_eq!(bridge.presence().await, "good");
    let mut gateway = discord.gateway(&[]);
    gateway["url"] = json!("http://127.0.0.1:1");
    let parts = [
        (
            "presence",
            presence(&"x".repeat(129)),
            "activities[0].state: 129 characters, Discord takes 128",
        ),
        (
            "presence",
            json!({"activities": [], "status": "asleep"}),
            "status: expected one of",
        ),
        ("gateway", gateway, "url: expected ws:// or wss://"),
        ("video", json!({}), "there is no such part"),
    ];
    for (part, value, reason) in parts {
        bridge.desire(json!({part: value})).await;
        let (refused, why) = bridge
            .until(|message| match message {
                FromBridge::Refused { part, reason } => {
                    Some((part.into_owned(), reason.into_owned()))
                }
                _ => None,
            })
            .await;
        assert_eq!(refused, part);
        assert!(why.starts_with(reason), "{why}");
    }
    discord.shows("good").await;
    assert_eq!(discord.get("gateway").await["identifies"], 1);
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_tried_again() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let mut bridge = Bridge::greeted().await;
    let gateway =
        json!({"token": "t", "intents": 0, "shards": 1, "url": format!("ws://{address}")});
    bridge
        .desire(json!({"gateway": gateway, "presence": null}))
        .await;
    for _ in 0..3 {
        assert_eq!(bridge.state().await, GatewayState::Connecting);
        match bridge.state().await {
            GatewayState::Disconnected(closed) => {
                assert!(closed.reason.contains("refused"), "{closed:?}")
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bridge.close().await.code(), Some(0));
}
