//! World TV over real sockets: who comes by a WebSocket, what he hears and is told, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed"
)]

mod common;

use axum::Router;
use axum::http::Method;
use common::client::{Client, Plan};
use common::{KEY, PATIENCE, World, ask, claims, now, open, token};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use uro_discord_opus::{Application, Encoder};
use uro_discord_portal::token::{Claims, Role, mint};
use uro_discord_portal::{DiscordMember, Kind, Left, Limits, PortalEvent};

/// Colour bars of 160 x 96, a JPEG.
const BARS: &[u8] = include_bytes!("fixtures/bars.jpg");

const LOOPBACK: &str = "127.0.0.1:0";

struct Page(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Where these routes are served.
async fn serve(routes: Router) -> String {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("ws://{address}")
}

impl Page {
    async fn open(at: &str, portal: &str) -> Self {
        let url = format!("{at}/portal/{portal}/tv");
        Self(connect_async(url).await.unwrap().0)
    }

    /// One that has said who it is.
    async fn come(at: &str, token: &str) -> Self {
        let mut page = Self::open(at, "lobby").await;
        page.say(&json!({"op": "hello", "token": token, "video": ["H264", "VP8"], "audio": true}))
            .await;
        page
    }

    async fn say(&mut self, said: &Value) {
        self.0.send(Message::text(said.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        let next = timeout(PATIENCE, self.0.next()).await;
        next.unwrap().unwrap().unwrap()
    }

    /// The next word with this `op`; all else is passed over.
    async fn word(&mut self, op: &str) -> Value {
        loop {
            if let Message::Text(text) = self.next().await {
                let word: Value = serde_json::from_str(&text).unwrap();
                if word["op"] == op {
                    return word;
                }
            }
        }
    }

    /// The next frame.
    async fn frame(&mut self) -> Vec<u8> {
        loop {
            if let Message::Binary(bytes) = self.next().await {
                return bytes.to_vec();
            }
        }
    }

    /// The code with which it is closed.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.next().await {
                let frame = frame.unwrap();
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}

async fn world() -> (World, String) {
    let world = open(LOOPBACK, Limits::default());
    let at = serve(world.routes.clone()).await;
    (world, at)
}

#[tokio::test]
async fn a_page_is_told_who_is_there_and_who_comes_and_goes() {
    let (mut world, at) = world().await;
    let bob = DiscordMember {
        name: "Bob".into(),
        bot: false,
    };
    world.portal.discord_joined(7, bob);
    let mut page = Page::come(&at, &token(Role::Watch, "user:1")).await;
    let kind = world
        .event(|event| match event {
            PortalEvent::PeerJoined { kind, .. } => Some(kind),
            _ => None,
        })
        .await;
    assert_eq!(kind, Kind::Tv);
    let hello = page.word("hello").await;
    assert_eq!(
        hello,
        json!({"op": "hello", "name": "Name of user:1", "audio": true})
    );
    let bob = json!([{"id": "discord:7", "name": "Bob", "speaking": false}]);
    let people = page.word("people").await;
    assert_eq!((&people["call"], &people["world"]), (&bob, &json!([])));
    let plan = Plan {
        kind: "whip",
        token: token(Role::Publish, "user:2"),
        audio: "sendonly",
        ..Plan::default()
    };
    let client = Client::connect(&world.routes, plan).await;
    let ann = loop {
        let people = page.word("people").await;
        if let Some(ann) = people["world"].get(0) {
            break ann.clone();
        }
    };
    assert_eq!(ann["name"], "Name of user:2");
    client.close();
    loop {
        let people = page.word("people").await;
        if people["world"] == json!([]) {
            break;
        }
    }
    // The publisher, and then the page.
    world.left().await;
    page.0.close(None).await.unwrap();
    assert_eq!(world.left().await, Left::Said);
}

#[tokio::test]
async fn a_page_hears_the_mix_and_sees_who_speaks() {
    let (world, at) = world().await;
    let plan = Plan {
        kind: "whip",
        token: token(Role::Publish, "user:2"),
        audio: "sendonly",
        ..Plan::default()
    };
    let mut client = Client::connect(&world.routes, plan).await;
    client.connected().await;
    let mut page = Page::come(&at, &token(Role::Watch, "user:1")).await;
    page.word("hello").await;
    let speaks = async {
        let mut tone = tone();
        let mut frames = interval(Duration::from_millis(20));
        for n in 0_u16.. {
            frames.tick().await;
            client.rtp(n, u32::from(n) * 960, tone.next().unwrap());
        }
    };
    let heard = async {
        let speaking = page.word("speaking").await;
        assert_eq!(speaking["speaking"], true);
        assert!(speaking["id"].as_str().unwrap().starts_with("world:"));
        let mut last = (None, i64::MIN);
        for _ in 0..20 {
            let frame = page.frame().await;
            assert_eq!((frame[0], frame[1]), (2, 1));
            let sequence = u16::from_be_bytes([frame[2], frame[3]]);
            let pts = i64::from_be_bytes(frame[4..12].try_into().unwrap());
            assert!(
                last.0
                    .is_none_or(|last: u16| sequence == last.wrapping_add(1))
            );
            assert!(pts > last.1 && frame.len() > 12);
            last = (Some(sequence), pts);
        }
        // The clock of frames is the portal's.
        page.say(&json!({"op": "ping", "t": 5})).await;
        let pong = page.word("pong").await;
        assert!(pong["pts"].as_i64().unwrap() >= last.1);
        assert_eq!(pong["t"], 5.0);
        // Hidden, it is sent nothing.
        page.say(&json!({"op": "pause"})).await;
        page.say(&json!({"op": "ping", "t": 6})).await;
        page.word("pong").await;
        page.say(&json!({"op": "ping", "t": 7})).await;
        loop {
            match page.next().await {
                Message::Text(text) if text.contains("pong") => break,
                Message::Binary(_) => panic!("a frame came to a page that is hidden"),
                _ => {}
            }
        }
    };
    tokio::select! {
        () = speaks => {}
        () = heard => {}
    }
}

/// Frames of a tone.
fn tone() -> impl Iterator<Item = Vec<u8>> {
    let mut encoder = Encoder::new(1, Application::Voip, 32_000, 0).unwrap();
    let mut at = 0.0_f32;
    std::iter::from_fn(move || {
        let mut pcm = [0.0; 960];
        for sample in &mut pcm {
            at += 440.0 / 48_000.0;
            *sample = (at * std::f32::consts::TAU).sin() / 4.0;
        }
        let mut packet = [0; 1_275];
        let size = encoder.encode(&pcm, &mut packet).ok()?;
        Some(packet[..size].to_vec())
    })
}

#[tokio::test]
async fn a_page_sees_whole_pictures_as_they_were_sent() {
    let (mut world, at) = world().await;
    let plan = Plan {
        token: token(Role::Peer, "camera"),
        channels: true,
        pictures: true,
        ..Plan::default()
    };
    let mut camera = Client::connect(&world.routes, plan).await;
    camera.opened().await;
    camera.say(&json!({"type": "hello", "proto": 1, "role": "listener", "listens": "nothing"}));
    world.joined().await;
    camera.say(&json!({"type": "video", "shows": true}));
    world
        .event(|event| matches!(event, PortalEvent::OnAir { peer: Some(_) }).then_some(()))
        .await;
    // One chunk of it: kind, codec, stream, number, time, which chunk of how many.
    let mut message = vec![1, 1, 0, 0, 7, 0, 0, 0, 66, 0, 0, 0, 0, 0, 1, 0];
    message.extend(BARS);
    camera.picture(message);
    // The newest is there for who comes later.
    let mut page = Page::open(&at, "lobby").await;
    let token = token(Role::Watch, "user:1");
    page.say(&json!({"op": "hello", "token": token, "video": ["JPEG"]}))
        .await;
    let frame = page.frame().await;
    assert_eq!((frame[0], frame[1]), (3, 1));
    assert_eq!(&frame[12..], BARS);
}

#[tokio::test]
async fn why_a_page_is_not_let_in_is_said_on_the_socket() {
    let (_world, at) = world().await;
    let refused = async |portal: &str, first: &str| {
        let mut page = Page::open(&at, portal).await;
        page.0.send(Message::text(first)).await.unwrap();
        let error = page.word("error").await;
        assert!(error["message"].as_str().unwrap().len() > 10);
        let (code, reason) = page.closed().await;
        assert_eq!(error["error"], *reason);
        (code, reason)
    };
    let hello = |token: &str| json!({"op": "hello", "token": token}).to_string();
    let is = |code: u16, word: &str| (code, word.to_owned());
    assert_eq!(refused("lobby", "hi").await, is(4400, "no_hello"));
    let start = r#"{"op":"start"}"#;
    assert_eq!(refused("lobby", start).await, is(4400, "no_hello"));
    assert_eq!(refused("lobby", &hello("x")).await, is(4401, "bad_token"));
    let publish = hello(&token(Role::Publish, "user:1"));
    assert_eq!(refused("lobby", &publish).await, is(4403, "other_role"));
    let watch = hello(&token(Role::Watch, "user:1"));
    assert_eq!(refused("attic", &watch).await, is(4403, "other_portal"));
}

#[tokio::test]
async fn what_ends_a_page_is_said() {
    let (world, at) = world().await;
    let mut page = Page::come(&at, &token(Role::Watch, "user:1")).await;
    page.word("people").await;
    page.say(&json!({"op": "fly"})).await;
    assert_eq!(page.word("error").await["error"], "bad_message");
    assert_eq!(page.closed().await, (4400, "bad_message".into()));
    let mut page = Page::come(&at, &token(Role::Peer, "user:1")).await;
    page.word("people").await;
    // Far more than a page has to say.
    let mut flood = Page::come(&at, &token(Role::Watch, "user:3")).await;
    flood.word("people").await;
    for _ in 0..3_000 {
        if flood
            .0
            .send(Message::text(r#"{"op":"key"}"#))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(flood.closed().await, (4429, "too_much".into()));
    // Each ping costs an answer, which a page that does not read leaves with us.
    let mut pings = Page::come(&at, &token(Role::Watch, "user:4")).await;
    pings.word("people").await;
    for _ in 0..40 {
        if pings
            .0
            .send(Message::Ping(Default::default()))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(pings.closed().await, (4429, "too_much".into()));
    drop(world.portal);
    assert_eq!(page.word("bye").await["reason"], "closed");
    assert_eq!(page.closed().await, (4404, "closed".into()));
}

#[tokio::test]
async fn a_token_has_as_many_pages_as_it_may() {
    let limits = Limits {
        token_peers: 1,
        ..Limits::default()
    };
    let world = open(LOOPBACK, limits);
    let at = serve(world.routes.clone()).await;
    let token = token(Role::Watch, "user:1");
    let mut first = Page::come(&at, &token).await;
    first.word("people").await;
    let mut second = Page::come(&at, &token).await;
    assert_eq!(second.closed().await, (4429, "token_in_use".into()));
    drop(first);
    // Its place is free as soon as it is seen that it has gone.
    timeout(PATIENCE, async {
        loop {
            let mut again = Page::come(&at, &token).await;
            if let Message::Text(text) = again.next().await
                && text.contains("hello")
            {
                break;
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn who_only_watches_goes_when_the_token_is_over_and_others_stay() {
    let (mut world, at) = world().await;
    // Of the half minute that clocks may be apart, some seconds are left.
    let soon = |role, subject: &str| {
        let (iat, exp) = (now() - 60, now() - 25);
        let claims = claims(role, subject);
        mint(&KEY.into(), &Claims { iat, exp, ..claims })
    };
    let mut stays = Page::come(&at, &soon(Role::Peer, "world")).await;
    stays.word("people").await;
    let mut page = Page::come(&at, &soon(Role::Watch, "user:1")).await;
    page.word("hello").await;
    let listens = Plan {
        kind: "whep",
        token: soon(Role::Watch, "user:2"),
        audio: "recvonly",
        ..Plan::default()
    };
    let mut listener = Client::connect(&world.routes, listens).await;
    listener.connected().await;
    assert_eq!(page.word("error").await["error"], "token_expired");
    assert_eq!(page.closed().await, (4401, "token_expired".into()));
    for _ in 0..2 {
        assert_eq!(world.left().await, Left::Expired);
    }
    stays.say(&json!({"op": "ping", "t": 1})).await;
    stays.word("pong").await;
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let (world, _) = world().await;
    let (response, body) = ask(&world.routes, Method::GET, "/portal/lobby/tv", &[], "").await;
    assert_eq!(response.status(), 426, "{body}");
    let (response, _) = ask(&world.routes, Method::POST, "/portal/lobby/tv", &[], "").await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET, OPTIONS");
}
