//! Calls without DAVE: the voice gateway, and the relay of packets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{
    Discord,
    gateway::{ALL_INTENTS, Gateway, identify_freely, kinds},
    soon,
    voice::{
        AES, Caller, Said, VoiceGateway, XCHACHA, discover, header, identify, join, resume, ticket,
        voice_state,
    },
};
use tokio::net::UdpSocket;
use tokio_tungstenite::tungstenite::Message;

async fn identified(discord: &Discord, user: &str) -> Gateway {
    identify_freely(discord).await;
    Gateway::identified(discord, user, ALL_INTENTS).await.0
}

/// What the control interface shows of a user in a channel.
async fn shown(discord: &Discord, channel: &str, user: &str) -> Value {
    let voice = discord.seen("/voice").await;
    let channels = voice["channels"].as_array().unwrap();
    let channel = channels.iter().find(|c| c["name"] == channel).unwrap();
    let users = channel["users"].as_array().unwrap();
    let user = users.iter().find(|u| u["name"] == user);
    user.cloned().unwrap_or(Value::Null)
}

async fn stage(discord: &Discord, modes: [&str; 2]) -> (Caller, Caller) {
    (
        Caller::join(discord, "uro", "stage", modes[0]).await,
        Caller::join(discord, "peer", "stage", modes[1]).await,
    )
}

#[tokio::test]
async fn voices_pass_between_all_modes() {
    for modes in [
        [AES, AES],
        [XCHACHA, XCHACHA],
        [AES, XCHACHA],
        [XCHACHA, AES],
    ] {
        let discord = Discord::start().await;
        let (mut one, mut other) = stage(&discord, modes).await;
        for number in 0..20 {
            one.speak(&[number; 60]).await;
            assert_eq!(other.hear().await, (one.ssrc, vec![number; 60]));
            other.speak(&[number; 70]).await;
            assert_eq!(one.hear().await, (other.ssrc, vec![number; 70]));
        }
        let seen = shown(&discord, "stage", "uro").await;
        assert_eq!(seen["mode"], modes[0]);
        assert_eq!(seen["frames"]["received"], 20);
        assert_eq!(seen["frames"]["relayed"], 20);
        assert_eq!(seen["frames"]["sent"], 20);
        assert_eq!(seen["violations"], json!({}));
        assert_eq!(one.description["dave_protocol_version"], 0);
    }
}

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
async fn audio_before_speaking_ends_the_session() {
    let discord = Discord::start().await;
    let mut main = identified(&discord, "uro").await;
    let ticket = join(&discord, &mut main, "stage").await;
    let mut gateway = VoiceGateway::open(&discord, &ticket.endpoint).await;
    gateway.send(0, identify(&discord, &ticket, 1)).await;
    let ready = gateway.next(2).await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.connect((
        "127.0.0.1",
        u16::try_from(ready["port"].as_u64().unwrap()).unwrap(),
    ))
    .await
    .unwrap();
    let ssrc = u32::try_from(ready["ssrc"].as_u64().unwrap()).unwrap();
    let address = discover(&udp, ssrc).await;
    assert_eq!(address, udp.local_addr().unwrap());
    let data = json!({"address": address.ip(), "port": address.port(), "mode": AES});
    gateway
        .send(1, json!({"protocol": "udp", "data": data}))
        .await;
    let mut transport = support::voice::Transport::new(&gateway.next(4).await);
    // Op 5 takes another way, and may be a little late.
    let speak = async {
        for sequence in 1.. {
            let header = header(sequence, u32::from(sequence) * 960, ssrc);
            udp.send(&transport.seal(&header, b"too early"))
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let code = tokio::select! {
        () = speak => None,
        code = gateway.close_code() => Some(code),
    };
    assert_eq!(code, Some(4020));
    let broken = discord.wait_for(0, "voice_violation").await;
    assert_eq!(broken["kind"], "rtp_before_speaking");
}

#[tokio::test]
async fn broken_rules_of_rtp_are_counted() {
    let discord = Discord::start().await;
    let (mut one, mut other) = stage(&discord, [AES, AES]).await;
    one.speak(b"first").await;
    other.hear().await;

    let (sequence, timestamp, ssrc) = (one.sequence, one.timestamp, one.ssrc);
    let mut payload_type = header(sequence + 1, timestamp + 960, ssrc);
    payload_type[1] = 111;
    let mut packets = vec![one.transport.seal(&payload_type, b"wrong type")];
    one.transport.nonce -= 1;
    packets.push(
        one.transport
            .seal(&header(sequence + 2, timestamp + 1_920, ssrc), b"nonce"),
    );
    packets.push(
        one.transport
            .seal(&header(sequence, timestamp, ssrc), b"again"),
    );
    packets.push(
        one.transport
            .seal(&header(sequence + 3, timestamp, ssrc), b"no time"),
    );
    packets.push(one.transport.seal(&header(1, 1, ssrc + 1), b"not mine"));
    let mut forged = one
        .transport
        .seal(&header(sequence + 5, timestamp, ssrc), b"forged");
    forged[20] ^= 1;
    packets.push(forged);
    packets.push(vec![0; 40]);
    let mut padded = header(sequence + 6, timestamp + 6 * 960, ssrc);
    padded[0] |= 0x20;
    packets.push(one.transport.seal(&padded, &[9]));
    for packet in packets {
        one.udp.send(&packet).await.unwrap();
    }
    one.sequence += 10;
    one.timestamp += 9_600;
    one.speak(b"last").await;
    while other.hear().await.1 != b"last" {}
    assert_eq!(
        shown(&discord, "stage", "uro").await["violations"],
        json!({
            "rtp_payload_type": 1, "nonce_reuse": 1, "rtp_sequence": 1, "rtp_timestamp": 1,
            "rtp_ssrc": 1, "rtp_decrypt": 1, "rtp_header": 1, "rtp_padding": 1,
        })
    );
    let logged = discord.wait_for(0, "voice_violation").await;
    assert_eq!(logged["user_id"], one.ticket.user);
}

#[tokio::test]
async fn keepalives_come_back_and_rtcp_is_taken() {
    let discord = Discord::start().await;
    let mut caller = Caller::join(&discord, "uro", "stage", XCHACHA).await;
    let mut answer = [0; 64];
    for keepalive in [&[7, 0, 0, 0, 0, 0, 0, 0][..], &caller.ssrc.to_be_bytes()] {
        caller.udp.send(keepalive).await.unwrap();
        let length = soon(caller.udp.recv(&mut answer)).await.unwrap();
        assert_eq!(&answer[..length], keepalive);
    }
    let mut clear = [0x80, 200, 0, 6, 0, 0, 0, 0];
    clear[4..].copy_from_slice(&caller.ssrc.to_be_bytes());
    let report = caller.transport.seal(&clear, &[0; 20]);
    caller.udp.send(&report).await.unwrap();
    caller.udp.send(&[0; 8]).await.unwrap();
    soon(caller.udp.recv(&mut answer)).await.unwrap();
    let seen = shown(&discord, "stage", "uro").await;
    assert_eq!(
        (&seen["frames"]["rtcp"], &seen["frames"]["keepalives"]),
        (&json!(1), &json!(3))
    );
    assert_eq!(seen["violations"], json!({}));
}

#[tokio::test]
async fn who_speaks_is_reported_to() {
    let discord = Discord::start().await;
    let mut caller = Caller::join(&discord, "uro", "stage", AES).await;
    caller.speak(b"hello").await;
    let mut report = [0; 128];
    let length = soon(caller.udp.recv(&mut report)).await.unwrap();
    assert_eq!(report[..4], [0x81, 201, 0, 7]);
    let block = caller.transport.open(&report[..length], 8).unwrap();
    assert_eq!(block[..4], caller.ssrc.to_be_bytes());
    assert_eq!(block[10..12], caller.sequence.to_be_bytes());
}

#[tokio::test]
async fn the_deaf_hear_nothing_and_padding_is_there_on_demand() {
    let discord = Discord::start().await;
    let (mut one, mut other) = stage(&discord, [AES, AES]).await;
    let mut deaf = voice_state(&discord, Some("stage"));
    deaf["d"]["self_deaf"] = json!(true);
    other.main.send(deaf).await;
    let changed = other.main.events().await;
    assert_eq!(kinds(&changed).last(), Some(&"VOICE_STATE_UPDATE"));
    one.speak(b"unheard").await;
    other.main.send(voice_state(&discord, Some("stage"))).await;
    other.main.events().await;
    discord.tell("/settings", json!({"voice_padding": 5})).await;
    one.speak(b"heard").await;
    assert_eq!(other.hear().await, (one.ssrc, b"heard".to_vec()));
}

#[tokio::test]
async fn a_bad_network_is_the_same_for_a_seed() {
    let discord = Discord::start().await;
    let (mut one, mut other) = stage(&discord, [AES, AES]).await;
    let conditions = json!({"seed": 3, "down": {"loss": 0.5, "duplicate": 0.2}});
    let mut runs = Vec::new();
    for _ in 0..2 {
        discord.tell("/voice/network", conditions.clone()).await;
        for number in 0..100 {
            one.speak(&[number; 20]).await;
        }
        // No datagram overtakes another, so the network without faults brings the last one.
        loop {
            let network = discord.seen("/voice/network").await;
            let down = &network["down"];
            if down["lost"].as_u64().unwrap() + down["passed"].as_u64().unwrap() >= 100 {
                break;
            }
        }
        discord.tell("/voice/network", json!({})).await;
        one.speak(b"the end").await;
        let mut heard = Vec::new();
        loop {
            let (_, frame) = other.hear().await;
            if frame == b"the end" {
                break;
            }
            heard.push(frame[0]);
        }
        runs.push(heard);
    }
    assert_eq!(runs[0], runs[1]);
    let mut distinct = runs[0].clone();
    distinct.dedup();
    assert!((30..70).contains(&distinct.len()), "{distinct:?}");
    assert!(runs[0].len() > distinct.len());
    let wrong = discord
        .try_control(
            hyper::Method::POST,
            "/voice/network",
            Some(json!({"up": {"loss": 2}})),
        )
        .await;
    assert_eq!(wrong.status, 400);
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
