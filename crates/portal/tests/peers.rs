//! Peers over real sockets: how they come, move, and go.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use axum::http::Method;
use common::client::{Client, Plan, Seen};
use common::{World, ask, endpoint, open, token};
use rtc::crypto::{SignatureScheme, default_provider};
use rtc::peer_connection::certificate::RTCCertificate;
use serde_json::json;
use std::time::{Duration, SystemTime};
use tokio::net::UdpSocket;
use uro_discord_portal::token::Role;
use uro_discord_portal::{Left, Limits, Options, Portals};

const LOOPBACK: &str = "127.0.0.1:0";

fn publisher<'a>(subject: &str) -> Plan<'a> {
    Plan {
        kind: "whip",
        token: token(Role::Publish, subject),
        audio: "sendonly",
        ..Plan::default()
    }
}

/// A peer with data channels that has said hello.
async fn world_peer(world: &mut World, plan: Plan<'_>) -> Client {
    let plan = Plan {
        token: token(Role::Peer, "world:1"),
        channels: true,
        ..plan
    };
    let mut client = Client::connect(&world.routes, plan).await;
    client.opened().await;
    client.say(&json!({
        "type": "hello", "proto": 1, "role": "world", "listens": "each",
        "voice": {"codec": "opus", "frame_ms": 10, "channels": 1, "rate": 48000}
    }));
    let peer = world.joined().await;
    let welcome = client.text().await;
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(welcome["portal"], "lobby");
    assert_eq!(welcome["peer"], peer.0);
    assert_eq!(welcome["voice"]["frame_ms"], 10);
    let roster = client.text().await;
    assert_eq!(roster, json!({"type": "roster", "speakers": []}));
    client
}

#[tokio::test]
async fn a_publisher_joins_and_leaves() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = Client::connect(&world.routes, publisher("user:1")).await;
    client.connected().await;
    world.joined().await;
    client.close();
    assert_eq!(world.left().await, Left::Said);
}

#[tokio::test]
async fn a_peer_does_without_a_picture_in_an_unknown_codec() {
    let mut world = open(LOOPBACK, Limits::default());
    let plan = Plan {
        kind: "peer",
        token: token(Role::Peer, "user:1"),
        audio: "sendonly",
        // The first section is refused, and the candidates are in the other one.
        video: true,
        ..Plan::default()
    };
    let mut client = Client::connect(&world.routes, plan).await;
    assert!(client.answer.contains("m=video 0 "));
    client.connected().await;
    world.joined().await;
    client.close();
    assert_eq!(world.left().await, Left::Said);
}

#[tokio::test]
async fn a_publisher_is_told_that_nobody_would_see_its_picture() {
    let world = open(LOOPBACK, Limits::default());
    let plan = Plan {
        video: true,
        ..publisher("user:1")
    };
    let (status, body) = Client::offer(&world.routes, plan).await.err().unwrap();
    assert_eq!(status, 400);
    assert!(body.contains(r#""error":"no_codec""#), "{body}");
}

#[tokio::test]
async fn a_world_says_hello_and_goodbye() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = world_peer(&mut world, Plan::default()).await;
    client.say_text(r#"{"type":"bye"}"#);
    let bye = client.text().await;
    assert_eq!(bye, json!({"type": "bye", "reason": "left"}));
    assert_eq!(world.left().await, Left::Said);
    client
        .see(|seen| matches!(seen, Seen::Over | Seen::ChannelClosed).then_some(()))
        .await;
}

#[tokio::test]
async fn channels_that_are_bundled_with_a_track_are_welcome() {
    let mut world = open(LOOPBACK, Limits::default());
    let plan = Plan {
        audio: "sendrecv",
        max_bundle: true,
        ..Plan::default()
    };
    world_peer(&mut world, plan).await.echo().await;
}

#[tokio::test]
async fn a_closed_connection_is_noticed() {
    let mut world = open(LOOPBACK, Limits::default());
    let client = world_peer(&mut world, Plan::default()).await;
    client.close();
    assert_eq!(world.left().await, Left::Said);
}

#[tokio::test]
async fn by_ipv6() {
    let mut world = open("[::1]:0", Limits::default());
    let plan = Plan {
        bind: "[::1]:0",
        ..Plan::default()
    };
    world_peer(&mut world, plan).await.echo().await;
}

#[tokio::test]
async fn each_port_has_its_loop() {
    let free = UdpSocket::bind(LOOPBACK).await.unwrap();
    let second = free.local_addr().unwrap();
    drop(free);
    let mut endpoint = endpoint(LOOPBACK, Limits::default());
    endpoint.addresses.push(second);
    let (portals, loops) = Portals::bind(endpoint).unwrap();
    assert_eq!((loops.len(), portals.addresses()[1]), (2, second));
    for each in loops {
        tokio::spawn(each);
    }
    // Rooms go to the loop that has the fewest.
    let _first = portals.open("first", Options::default()).unwrap();
    let portal = portals.open("lobby", Options::default()).unwrap();
    let mut world = World {
        routes: portals.routes(),
        portals,
        portal,
    };
    let client = world_peer(&mut world, Plan::default()).await;
    let candidate = |at: std::net::SocketAddr| format!(" {} {} typ host", at.ip(), at.port());
    assert!(client.answer.contains(&candidate(second)));
    assert!(!client.answer.contains(&candidate(world.address())));
}

/// The portal is the client of DTLS, and browsers have ECDSA; aiortc before 1.10 and others have RSA.
#[tokio::test]
async fn a_peer_with_rsa() {
    let pem = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('-'));
        let base64: String = lines.collect();
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD
            .decode(base64)
            .unwrap()
    };
    let provider = default_provider().unwrap();
    let certificate = RTCCertificate::from_pkcs8(
        provider.crypto(),
        SignatureScheme::RsaPkcs1Sha256,
        vec![pem(include_str!("fixtures/rsa-certificate.pem")).into()],
        &pem(include_str!("fixtures/rsa-key.pem")),
        SystemTime::now() + Duration::from_secs(3600),
    )
    .unwrap();
    let mut world = open(LOOPBACK, Limits::default());
    let plan = Plan {
        certificate: Some(certificate),
        ..Plan::default()
    };
    world_peer(&mut world, plan).await.echo().await;
}

#[tokio::test]
async fn a_peer_that_moves_is_followed() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = world_peer(&mut world, Plan::default()).await;
    client.echo().await;
    let before = client.address;
    client.rebind().await;
    assert_ne!(client.address, before);
    client.echo().await;
    assert_eq!(world.portals.counters().moved, 1);
}

#[tokio::test]
async fn strangers_are_not_heard() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = world_peer(&mut world, Plan::default()).await;
    let stranger = UdpSocket::bind(LOOPBACK).await.unwrap();
    let unknown = world.portals.counters().unknown;
    let (ufrag, _) = credentials(&client.answer);
    for bytes in [
        vec![0x80; 100],
        vec![22; 100],
        vec![0; 100],
        binding(&format!("nobody:{ufrag}"), b"wrong"),
    ] {
        stranger.send_to(&bytes, world.address()).await.unwrap();
    }
    let forged = binding(&format!("{ufrag}:x"), b"wrong");
    stranger.send_to(&forged, world.address()).await.unwrap();
    client.echo().await;
    let counters = world.portals.counters();
    assert_eq!(counters.unknown - unknown, 4);
    assert_eq!(counters.unsigned, 1);
    assert_eq!(counters.moved, 0);
}

/// Who has a session of its own signs a check with that, and sends it with another peer's address.
#[tokio::test]
async fn an_address_is_not_taken_from_who_uses_it() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut victim = world_peer(&mut world, Plan::default()).await;
    let attacker = Client::connect(&world.routes, publisher("evil")).await;
    let (ufrag, password) = credentials(&attacker.answer);
    let check = binding(&format!("{ufrag}:x"), password.as_bytes());
    victim.raw(world.address(), check);
    victim.echo().await;
    assert_eq!(world.portals.counters().refused, 1);
}

#[tokio::test]
async fn a_peer_that_vanishes_is_not_waited_for() {
    let limits = Limits {
        silence: Duration::from_secs(1),
        ..Limits::default()
    };
    let mut world = open(LOOPBACK, limits);
    drop(world_peer(&mut world, Plan::default()).await);
    assert_eq!(world.left().await, Left::Vanished);
}

/// Its UDP is lost on the way, as behind a port that is not open.
#[tokio::test]
async fn a_peer_of_which_nothing_comes_is_counted() {
    let limits = Limits {
        silence: Duration::from_secs(1),
        ..Limits::default()
    };
    let mut world = open(LOOPBACK, limits);
    let other = Client::connect(&world.routes, publisher("user:1")).await;
    world.joined().await;
    let bearer = format!("Bearer {}", other.token);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/sdp"),
    ];
    let path = "/portal/lobby/whip";
    let (response, _) = ask(&world.routes, Method::POST, path, &headers, &other.offer).await;
    assert_eq!(response.status(), 201);
    drop(other);
    assert_eq!(world.left().await, Left::Vanished);
    // It is in no room, so no event tells.
    let counted = async {
        while world.portals.counters().unreached == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_session_is_ended_by_its_own_subject() {
    let mut world = open(LOOPBACK, Limits::default());
    let client = Client::connect(&world.routes, publisher("user:1")).await;
    world.joined().await;
    let delete = async |subject: &str, path: &str| {
        let bearer = format!("Bearer {}", token(Role::Publish, subject));
        let headers = [("authorization", bearer.as_str())];
        let (response, body) = ask(&world.routes, Method::DELETE, path, &headers, "").await;
        (response.status().as_u16(), body)
    };
    let (status, body) = delete("user:2", &client.location).await;
    assert_eq!(status, 404);
    assert!(body.contains("no_session"), "{body}");
    let (status, _) = delete(
        "user:1",
        &client.location.replace("lobby/whip", "lobby/whip/x"),
    )
    .await;
    assert_eq!(status, 404);
    let (status, body) = delete("user:1", &client.location).await;
    assert_eq!((status, body.as_str()), (200, ""));
    let (status, _) = delete("user:1", &client.location).await;
    assert_eq!(status, 404);
    assert_eq!(world.left().await, Left::Said);
}

#[tokio::test]
async fn ice_begins_anew() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = world_peer(&mut world, Plan::default()).await;
    let offer = client.restart().await;
    let (ufrag, password) = credentials(&offer);
    let bearer = format!("Bearer {}", client.token);
    let patch = async |tag: &str, body: &str| {
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/trickle-ice-sdpfrag"),
            ("if-match", tag),
        ];
        ask(
            &world.routes,
            Method::PATCH,
            &client.location,
            &headers,
            body,
        )
        .await
    };
    let candidate = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
    let (response, _) = patch(&client.etag, candidate).await;
    assert_eq!(response.status(), 204);
    let (response, body) = patch("*", candidate).await;
    assert_eq!(response.status(), 400, "{body}");
    let fragment = format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
    // As WHIP's own examples write it.
    let (response, answer) = patch("\"*\"", &fragment).await;
    assert_eq!(response.status(), 200, "{answer}");
    let newer = response.headers()["etag"].to_str().unwrap().to_owned();
    assert_ne!(newer, client.etag);
    let (response, _) = patch(&client.etag, candidate).await;
    assert_eq!(response.status(), 412);
    let (response, _) = patch(&newer, candidate).await;
    assert_eq!(response.status(), 204);
    let (old, new) = (credentials(&client.answer), credentials(&answer));
    assert_ne!(old, new);
    assert!(answer.contains("a=candidate:1 1 udp "), "{answer}");
    let whole = client
        .answer
        .replace(&old.0, &new.0)
        .replace(&old.1, &new.1);
    client.answered(whole);
    client.echo().await;
    // By another port as well, which is what ICE is begun anew for.
    client.rebind().await;
    client.echo().await;
}

#[tokio::test]
async fn a_portal_that_closes_says_goodbye() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = world_peer(&mut world, Plan::default()).await;
    let World {
        portals, portal, ..
    } = world;
    drop(portal);
    let bye = client.text().await;
    assert_eq!(bye, json!({"type": "bye", "reason": "closed"}));
    // Its name is free again.
    assert!(portals.open("lobby", Default::default()).is_ok());
}

#[tokio::test]
async fn what_is_said_wrong_is_answered() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = world_peer(&mut world, Plan::default()).await;
    for (said, code) in [
        (r#"{"type":"hello","proto":1,"role":"world"}"#, "again"),
        ("hello", "bad_message"),
        (r#"{"type":"hello","proto":9,"role":"world"}"#, "bad_proto"),
    ] {
        client.say_text(said);
        let error = client.text().await;
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!(code))
        );
    }
    // Twenty words a second, and no answer to the others.
    for _ in 0..100 {
        client.say_text("hello");
    }
    for _ in 0..16 {
        assert_eq!(client.text().await["code"], "bad_message");
    }
    drop(world.portal);
    let mut more = 0;
    while client.text().await["type"] != "bye" {
        more += 1;
    }
    assert!(more < 20, "{more}");
}

/// What is opened beyond eight is closed again, and that makes no room for more.
#[tokio::test]
async fn channels_are_few() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = world_peer(&mut world, Plan::default()).await;
    for _ in 2..8 {
        client.open("another");
        client
            .see(|seen| matches!(seen, Seen::Opened(_)).then_some(()))
            .await;
    }
    client.echo().await;
    for _ in 0..4 {
        client.open("too many");
        client
            .see(|seen| matches!(seen, Seen::ChannelClosed).then_some(()))
            .await;
    }
    client.echo().await;
}

/// `rtc` would keep something of each.
#[tokio::test]
async fn who_sends_ever_other_streams_has_to_go() {
    let mut world = open(LOOPBACK, Limits::default());
    let client = world_peer(&mut world, Plan::default()).await;
    for ssrc in 0..800_u32 {
        let mut packet = vec![0x80, 111, 0, 1, 0, 0, 0, 0];
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0; 40]);
        client.raw(world.address(), packet);
    }
    assert_eq!(world.left().await, Left::TooMuch);
}

#[tokio::test]
async fn who_begins_dtls_himself_is_waited_for() {
    let mut world = open(LOOPBACK, Limits::default());
    let plan = Plan {
        setup: Some("active"),
        ..publisher("user:1")
    };
    let mut client = Client::connect(&world.routes, plan).await;
    assert!(client.answer.contains("a=setup:passive"));
    client.connected().await;
    world.joined().await;
}

/// Nobody has to be the peer to send them: whoever forges its address can. They cost no time, and the peer stays.
#[tokio::test]
async fn fragments_of_a_handshake_are_not_taken_for_ever() {
    let mut world = open(LOOPBACK, Limits::default());
    let mut client = world_peer(&mut world, Plan::default()).await;
    // A message of 16 KiB, a byte in each fragment; 40 records in a datagram.
    for first in (0..8000_u32).step_by(40) {
        let mut datagram = Vec::new();
        for offset in first..first + 40 {
            let [.., s0, s1] = (1000 + offset).to_be_bytes();
            let [.., o0, o1] = offset.to_be_bytes();
            let record = [22, 254, 253, 0, 0, 0, 0, 0, 0, s0, s1, 0, 13];
            datagram.extend(record);
            datagram.extend([11, 0, 64, 0, 0, 0, 0, o0, o1, 0, 0, 1, 0]);
        }
        client.raw(world.address(), datagram);
    }
    client.echo().await;
}

/// A STUN Binding request.
fn binding(user: &str, password: &[u8]) -> Vec<u8> {
    let mut attributes = vec![0, 6];
    attributes.extend(u16::try_from(user.len()).unwrap().to_be_bytes());
    attributes.extend(user.as_bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    let length = u16::try_from(attributes.len() + 24).unwrap();
    let mut bytes = vec![0, 1];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0x21, 0x12, 0xa4, 0x42]);
    bytes.extend(*b"transaction!");
    bytes.extend(attributes);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password);
    let signature = ring::hmac::sign(&key, &bytes);
    bytes.extend([0, 8, 0, 20]);
    bytes.extend(signature.as_ref());
    bytes
}

fn credentials(sdp: &str) -> (String, String) {
    let value = |key: &str| {
        let line = sdp.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap().trim().to_owned()
    };
    (value("a=ice-ufrag:"), value("a=ice-pwd:"))
}
