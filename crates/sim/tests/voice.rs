//! The voice gateway, and how the gateway leads to it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{
    Discord,
    gateway::kinds,
    voice::{
        AES, Caller, Said, VoiceGateway, XCHACHA, identified, identify, join, resume, shown, stage,
        ticket, voice_state,
    },
};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn those_in_a_call_learn_of_each_other() {
    let discord = Discord::start().await;
    let (mut one, mut other) = stage(&discord, [AES, XCHACHA]).await;
    assert_eq!(
        one.gateway.next(11).await["user_ids"],
        json!([other.ticket.user])
    );
    assert_eq!(
        one.gateway.next(5).await,
        json!({"user_id": other.ticket.user, "ssrc": other.ssrc, "speaking": 1})
    );
    let third = Caller::join(&discord, "alice", "stage", AES).await;
    assert_eq!(
        other.gateway.next(11).await["user_ids"],
        json!([third.ticket.user])
    );
    one.main.send(voice_state(&discord, None)).await;
    assert_eq!(one.gateway.close_code().await, 4014);
    assert_eq!(
        other.gateway.next(13).await,
        json!({"user_id": one.ticket.user})
    );
    assert_eq!(shown(&discord, "stage", "uro").await, Value::Null);
}

#[tokio::test]
async fn who_cannot_join_gets_no_answer() {
    let discord = Discord::start().await;
    let mut gateway = identified(&discord, "uro").await;
    gateway.events().await;
    for channel in ["office", "general"] {
        gateway.send(voice_state(&discord, Some(channel))).await;
        assert_eq!(
            kinds(&gateway.events().await),
            Vec::<&str>::new(),
            "{channel}"
        );
    }
    let full = json!({"action": "user_limit", "channel": "lobby", "limit": 1});
    discord.tell("/voice", full).await;
    assert_eq!(gateway.event("CHANNEL_UPDATE").await["d"]["user_limit"], 1);
    let mut peer = identified(&discord, "peer").await;
    join(&discord, &mut peer, "lobby").await;
    gateway.event("VOICE_STATE_UPDATE").await;
    gateway.send(voice_state(&discord, Some("lobby"))).await;
    assert_eq!(kinds(&gateway.events().await), Vec::<&str>::new());
    // The owner has MOVE_MEMBERS, and CONNECT everywhere.
    let mut alice = identified(&discord, "alice").await;
    join(&discord, &mut alice, "lobby").await;
    join(&discord, &mut alice, "office").await;
}

#[tokio::test]
async fn a_person_comes_and_goes_by_the_control_interface() {
    let discord = Discord::start().await;
    let mut gateway = identified(&discord, "uro").await;
    let alice = discord.info().users["alice"].id.clone();
    for channel in ["world", "lobby"] {
        let come = json!({"action": "join", "user": "alice", "channel": channel});
        assert_eq!(
            discord.tell("/voice", come).await,
            json!({"users": [alice]})
        );
        let told = gateway.event("VOICE_STATE_UPDATE").await["d"].clone();
        assert_eq!(told["user_id"], json!(alice));
        assert_eq!(told["channel_id"], json!(discord.channel(channel)));
        assert_eq!(told["member"]["user"]["username"], "alice");
        assert_eq!(shown(&discord, channel, "alice").await["session"], false);
    }
    let go = json!({"action": "disconnect", "user": "alice"});
    discord.tell("/voice", go).await;
    let told = gateway.event("VOICE_STATE_UPDATE").await["d"].clone();
    assert_eq!(
        (&told["user_id"], &told["channel_id"]),
        (&json!(alice), &Value::Null)
    );
    for (missing, action) in [
        ("user", json!({"action": "join", "channel": "world"})),
        ("channel", json!({"action": "join", "user": "alice"})),
    ] {
        let answer = discord
            .try_control(hyper::Method::POST, "/voice", Some(action))
            .await;
        assert_eq!(
            answer.json()["error"],
            format!("this action needs `{missing}`")
        );
    }
}

#[tokio::test]
async fn a_move_makes_a_new_session() {
    let discord = Discord::start().await;
    let mut caller = Caller::join(&discord, "uro", "stage", AES).await;
    let move_ = json!({"action": "move", "user": "uro", "channel": "world"});
    discord.tell("/voice", move_).await;
    let moved = ticket(&mut caller.main).await;
    assert_ne!(moved.token, caller.ticket.token);
    assert_eq!(caller.gateway.close_code().await, 4014);
    let mut gateway = VoiceGateway::open(&discord, &moved.endpoint).await;
    gateway
        .send(7, resume(&discord, &caller.ticket, json!(-1)))
        .await;
    assert_eq!(gateway.close_code().await, 4006);
    let mut gateway = VoiceGateway::open(&discord, &moved.endpoint).await;
    gateway.send(0, identify(&discord, &moved, 1)).await;
    assert_ne!(gateway.next(2).await["ssrc"], caller.ssrc);

    let again = join(&discord, &mut caller.main, "stage").await;
    assert_ne!(again.token, moved.token);
    assert_eq!(gateway.close_code().await, 4014);
}

#[tokio::test]
async fn another_voice_server_is_announced_when_there_is_one() {
    let discord = Discord::start().await;
    let mut caller = Caller::join(&discord, "uro", "stage", AES).await;
    discord
        .tell(
            "/voice",
            json!({"action": "server_change", "channel": "stage"}),
        )
        .await;
    let none = caller.main.event("VOICE_SERVER_UPDATE").await["d"].clone();
    assert_eq!(none["endpoint"], Value::Null);
    let some = caller.main.event("VOICE_SERVER_UPDATE").await["d"].clone();
    assert_eq!(some["endpoint"], caller.ticket.endpoint);
    assert_ne!(some["token"], caller.ticket.token);
    assert_eq!(caller.gateway.close_code().await, 4022);
}

#[tokio::test]
async fn who_is_thrown_out_is_disconnected() {
    let discord = Discord::start().await;
    let mut caller = Caller::join(&discord, "uro", "stage", AES).await;
    discord
        .tell("/voice", json!({"action": "disconnect", "user": "uro"}))
        .await;
    let state = caller.main.event("VOICE_STATE_UPDATE").await;
    assert_eq!(state["d"]["channel_id"], Value::Null);
    assert_eq!(caller.gateway.close_code().await, 4014);
    let mut gateway = VoiceGateway::open(&discord, &caller.ticket.endpoint).await;
    gateway.send(0, identify(&discord, &caller.ticket, 1)).await;
    assert_eq!(gateway.close_code().await, 4006);
}

#[tokio::test]
async fn who_logs_off_leaves_voice() {
    let discord = Discord::start().await;
    let mut caller = Caller::join(&discord, "uro", "stage", AES).await;
    caller.main.close(1000).await;
    assert_eq!(caller.gateway.close_code().await, 4014);
    assert_eq!(discord.seen("/guild").await["voice_states"], json!([]));
}

#[tokio::test]
async fn identify_is_judged() {
    let discord = Discord::start().await;
    let mut main = identified(&discord, "uro").await;
    let ticket = join(&discord, &mut main, "world").await;
    let with = |key: &str, value: Value| {
        let mut data = identify(&discord, &ticket, 1);
        data[key] = value;
        data
    };
    let cases = [
        (with("token", json!("other")), 4004),
        (with("session_id", json!("other")), 4006),
        (with("user_id", json!("1")), 4006),
        (with("server_id", json!("1")), 4011),
        (with("server_id", Value::Null), 4002),
        (with("max_dave_protocol_version", json!(0)), 4017),
        (with("max_dave_protocol_version", Value::Null), 4017),
    ];
    for (data, code) in cases {
        let mut gateway = VoiceGateway::open(&discord, &ticket.endpoint).await;
        gateway.send(0, data.clone()).await;
        assert_eq!(gateway.close_code().await, code, "{data}");
    }
    discord
        .tell("/settings", json!({"dave_required": false}))
        .await;
    let mut gateway = VoiceGateway::open(&discord, &ticket.endpoint).await;
    gateway.send(0, identify(&discord, &ticket, 0)).await;
    gateway.next(2).await;
    gateway.send(0, identify(&discord, &ticket, 0)).await;
    assert_eq!(gateway.close_code().await, 4005);
}

#[tokio::test]
async fn the_voice_gateway_is_strict() {
    let discord = Discord::start().await;
    let mut main = identified(&discord, "uro").await;
    let endpoint = join(&discord, &mut main, "world").await.endpoint;
    let text = |text: &str| Message::Text(text.into());
    let cases = [
        (text("{"), 4002),
        (text("[]"), 4002),
        (text(r#"{"op": 99, "d": {}}"#), 4001),
        (text(r#"{"op": 1, "d": {}}"#), 4003),
        (text(r#"{"op": 5, "d": {}}"#), 4003),
        (text(r#"{"op": 23, "d": {}}"#), 4003),
        (text(r#"{"op": 3, "d": 5}"#), 4002),
        (text(r#"{"op": 7, "d": {}}"#), 4002),
        (Message::Binary(vec![].into()), 4002),
        (Message::Binary(vec![26, 1].into()), 4003),
        (Message::Binary(vec![99].into()), 4001),
    ];
    for (message, code) in cases {
        let mut gateway = VoiceGateway::open(&discord, &endpoint).await;
        gateway.send_raw(message.clone()).await;
        assert_eq!(gateway.close_code().await, code, "{message:?}");
    }
    for query in ["", "?v=3", "?v=x"] {
        let mut gateway = VoiceGateway::connect(&discord, &endpoint, query).await;
        assert_eq!(gateway.close_code().await, 4012, "{query}");
    }
    let mut gateway = VoiceGateway::open(&discord, &endpoint).await;
    for number in 0..120 {
        gateway.send(3, json!({"t": number})).await;
        assert_eq!(gateway.next(6).await["t"], number);
    }
    gateway.send(3, json!({"t": 120})).await;
    assert_eq!(gateway.close_code().await, 4021);
}

#[tokio::test]
async fn select_protocol_is_judged() {
    let discord = Discord::start().await;
    let mut main = identified(&discord, "uro").await;
    let udp = |mode: &str| json!({"protocol": "udp", "data": {"address": "127.0.0.1", "port": 5, "mode": mode}});
    discord.tell("/settings", json!({"voice_aes": false})).await;
    let cases = [
        (udp("xsalsa20_poly1305"), 4016),
        (udp(AES), 4016),
        (json!({"protocol": "webrtc", "data": "v=0"}), 4012),
        (json!({"protocol": "udp", "data": {"mode": XCHACHA}}), 4020),
    ];
    for (data, code) in cases {
        let ticket = join(&discord, &mut main, "world").await;
        let mut gateway = VoiceGateway::open(&discord, &ticket.endpoint).await;
        gateway.send(0, identify(&discord, &ticket, 1)).await;
        assert_eq!(gateway.next(2).await["modes"], json!([XCHACHA]));
        gateway.send(1, data.clone()).await;
        assert_eq!(gateway.close_code().await, code, "{data}");
        discord.wait_for(0, "voice_end").await;
    }
}

#[tokio::test]
async fn a_silent_client_is_disconnected() {
    let discord = Discord::start().await;
    discord
        .tell("/settings", json!({"voice_heartbeat_interval_ms": 100}))
        .await;
    let mut main = identified(&discord, "uro").await;
    let ticket = join(&discord, &mut main, "world").await;
    let mut gateway = VoiceGateway::open(&discord, &ticket.endpoint).await;
    gateway.send(0, identify(&discord, &ticket, 1)).await;
    assert_eq!(gateway.close_code().await, 4009);
}

#[tokio::test]
async fn what_was_missed_comes_with_a_resume() {
    let discord = Discord::start().await;
    let (mut one, mut other) = stage(&discord, [AES, XCHACHA]).await;
    one.gateway.so_far().await;
    let seen = one.gateway.sequence.unwrap();
    discord
        .tell("/voice", json!({"action": "drop", "user": "uro"}))
        .await;
    while one.gateway.said().await != Said::Nothing {}
    for flags in [2, 1] {
        let data = json!({"speaking": flags, "delay": 0, "ssrc": other.ssrc});
        other.gateway.send(5, data).await;
    }
    other.gateway.so_far().await;
    let mut gateway = VoiceGateway::open(&discord, &one.ticket.endpoint).await;
    gateway
        .send(7, resume(&discord, &one.ticket, json!(seen)))
        .await;
    assert_eq!(gateway.json().await, json!({"op": 9, "d": null}));
    for (step, flags) in [(1, 2), (2, 1)] {
        let missed = gateway.json().await;
        assert_eq!(
            (&missed["op"], &missed["seq"]),
            (&json!(5), &json!(seen + step))
        );
        assert_eq!(missed["d"]["speaking"], flags);
    }
    // Key, SSRC and address are the same.
    one.speak(b"still here").await;
    assert_eq!(other.hear().await, (one.ssrc, b"still here".to_vec()));
    other.speak(b"so am I").await;
    assert_eq!(one.hear().await, (other.ssrc, b"so am I".to_vec()));
    let voice = discord.seen("/voice").await;
    assert_eq!(
        (&voice["resumes"], &voice["resumes_refused"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn a_session_is_not_resumed_for_ever() {
    let discord = Discord::start().await;
    let caller = Caller::join(&discord, "uro", "stage", AES).await;
    let seen = caller.gateway.sequence.unwrap();
    for data in [
        resume(&discord, &caller.ticket, json!(seen + 1)),
        json!({"server_id": "1", "session_id": "x", "token": "x", "seq_ack": 1}),
    ] {
        let mut gateway = VoiceGateway::open(&discord, &caller.ticket.endpoint).await;
        gateway.send(7, data).await;
        assert_eq!(gateway.close_code().await, 4006);
    }
    discord
        .tell("/settings", json!({"voice_session_timeout_ms": 50}))
        .await;
    discord.tell("/voice", json!({"action": "drop"})).await;
    discord.wait_for(0, "voice_end").await;
    let mut gateway = VoiceGateway::open(&discord, &caller.ticket.endpoint).await;
    gateway
        .send(7, resume(&discord, &caller.ticket, json!(seen)))
        .await;
    assert_eq!(gateway.close_code().await, 4006);
    drop(caller.gateway);
}

#[tokio::test]
async fn close_codes_decide_what_can_be_resumed() {
    for (code, resumable) in [(4015, true), (1001, true), (4006, false), (4014, false)] {
        let discord = Discord::start().await;
        let mut caller = Caller::join(&discord, "uro", "stage", AES).await;
        discord
            .tell("/voice", json!({"action": "close", "code": code}))
            .await;
        assert_eq!(caller.gateway.close_code().await, code);
        discord.wait_for(0, "voice_disconnect").await;
        let mut gateway = VoiceGateway::open(&discord, &caller.ticket.endpoint).await;
        gateway
            .send(7, resume(&discord, &caller.ticket, json!(-1)))
            .await;
        if resumable {
            assert_eq!(gateway.json().await["op"], 9);
        } else {
            assert_eq!(gateway.close_code().await, 4006);
        }
    }
}

#[tokio::test]
async fn faults_apply_to_the_voice_gateway() {
    let discord = Discord::start().await;
    let mut caller = Caller::join(&discord, "uro", "stage", AES).await;
    discord
        .fault(json!({"voice_opcode": 3, "ignore": true}))
        .await;
    caller.gateway.send(3, json!({"t": 1, "seq_ack": 2})).await;
    caller.gateway.send(3, json!({"t": 2, "seq_ack": 2})).await;
    assert_eq!(caller.gateway.next(6).await["t"], 2);
    discord
        .fault(json!({"voice_opcode": 5, "close": 4015}))
        .await;
    caller.gateway.send(5, json!({"speaking": 1})).await;
    assert_eq!(caller.gateway.close_code().await, 4015);
}

#[tokio::test]
async fn a_token_is_good_for_one_identify() {
    let discord = Discord::start().await;
    let mut caller = Caller::join(&discord, "uro", "stage", AES).await;
    let mut gateway = VoiceGateway::open(&discord, &caller.ticket.endpoint).await;
    gateway.send(0, identify(&discord, &caller.ticket, 1)).await;
    assert_eq!(gateway.close_code().await, 4006);
    assert_eq!(caller.gateway.close_code().await, 4006);
    let again = join(&discord, &mut caller.main, "stage").await;
    assert_ne!(again.token, caller.ticket.token);
    let mut gateway = VoiceGateway::open(&discord, &again.endpoint).await;
    gateway.send(0, identify(&discord, &again, 1)).await;
    gateway.next(2).await;
}

#[tokio::test]
async fn who_joins_again_keeps_the_session_that_he_may_resume() {
    let discord = Discord::start().await;
    let mut caller = Caller::join(&discord, "uro", "stage", AES).await;
    let joined = voice_state(&discord, Some("stage"));
    caller.main.send(joined.clone()).await;
    let events = caller.main.events().await;
    assert_eq!(kinds(&events).last(), Some(&"VOICE_STATE_UPDATE"));

    discord.tell("/voice", json!({"action": "drop"})).await;
    discord.wait_for(0, "voice_disconnect").await;
    caller.main.send(joined).await;
    let again = ticket(&mut caller.main).await;
    assert_eq!(again.token, caller.ticket.token);
    let mut gateway = VoiceGateway::open(&discord, &again.endpoint).await;
    gateway.send(7, resume(&discord, &again, json!(-1))).await;
    assert_eq!(gateway.json().await["op"], 9);
}

#[tokio::test]
async fn control_of_calls_says_what_is_wrong() {
    let discord = Discord::start().await;
    for (action, status, reason) in [
        (
            json!({"action": "close", "code": 4006}),
            404,
            "no user is in a call",
        ),
        (
            json!({"action": "move", "user": "nobody"}),
            404,
            "no user `nobody`",
        ),
        (
            json!({"action": "move", "channel": "general"}),
            400,
            "`general` is not a voice channel",
        ),
        (
            json!({"action": "user_limit", "channel": "lobby"}),
            400,
            "needs `limit`",
        ),
        (
            json!({"action": "recreate_group", "channel": "lobby"}),
            404,
            "no user is in a call",
        ),
        (json!({"action": "dance"}), 400, "unknown variant"),
    ] {
        let answer = discord
            .try_control(hyper::Method::POST, "/voice", Some(action))
            .await;
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, status, "{error}");
        assert!(error.contains(reason), "{error}");
    }
    let _caller = Caller::join(&discord, "uro", "stage", AES).await;
    for action in [json!({"action": "close"}), json!({"action": "move"})] {
        let answer = discord
            .try_control(hyper::Method::POST, "/voice", Some(action))
            .await;
        assert_eq!(answer.status, 400);
    }
}
