//! The relay of voice packets, and what it makes of those that break rules.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{
    Discord,
    gateway::kinds,
    soon,
    voice::{
        AES, Caller, Transport, VoiceGateway, XCHACHA, discover, header, identified, identify,
        join, shown, stage, voice_state,
    },
};
use tokio::net::UdpSocket;

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
    let mut transport = Transport::new(&gateway.next(4).await);
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
async fn noise_does_no_harm() {
    let discord = Discord::start().await;
    let (mut one, mut other) = stage(&discord, [AES, XCHACHA]).await;
    let mut random = fastrand::Rng::with_seed(1);
    for number in 0..2_000_usize {
        let mut noise = vec![0; random.usize(..200)];
        random.fill(&mut noise);
        // Some of it looks like RTP of theirs, or like RTCP, or like IP discovery.
        if noise.len() >= 12 && number % 2 == 0 {
            noise[0] = 0x80 | (noise[0] & 0x3f);
            noise[1] = if number % 4 == 0 { 0x78 } else { 200 };
            noise[8..12].copy_from_slice(&one.ssrc.to_be_bytes());
        }
        if noise.len() >= 74 && number % 5 == 0 {
            noise.truncate(74);
            noise[..4].copy_from_slice(&[0, 1, 0, 70]);
        }
        one.udp.send(&noise).await.unwrap();
        if number % 100 == 0 {
            one.speak(&[7; 20]).await;
            assert_eq!(other.hear().await, (one.ssrc, vec![7; 20]));
        }
    }
}
