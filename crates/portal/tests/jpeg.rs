//! Whole pictures on `vsk-video`, and the still picture by HTTP, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use axum::Router;
use axum::http::Method;
use bytes::{Buf as _, Bytes};
use common::client::{Client, Plan, Seen};
use common::{BAD, PATIENCE, World, behind, fetch, open, token};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use uro_discord_portal::token::Role;
use uro_discord_portal::{Limits, PeerId, PortalEvent};

/// Colour bars of 160 x 96.
const BARS: &[u8] = include_bytes!("fixtures/bars.jpg");

/// What has not come after so long does not come.
const LOST: Duration = Duration::from_secs(3);

const STILL: &str = "/portal/lobby/still.jpg";

/// The messages of a picture, in which so many bytes of it are.
fn chunks(number: u32, picture: &[u8], size: usize) -> Vec<Vec<u8>> {
    let count = u16::try_from(picture.len().div_ceil(size)).unwrap();
    let each = picture.chunks(size).zip(0_u16..);
    each.map(|(payload, chunk)| {
        let mut message = vec![1, 1, 0, 0];
        message.extend(number.to_le_bytes());
        message.extend((number * 66).to_le_bytes());
        message.extend(chunk.to_le_bytes());
        message.extend(count.to_le_bytes());
        message.extend(payload);
        message
    })
    .collect()
}

/// A peer with data channels that has said hello.
async fn peer(world: &mut World, subject: &str) -> (Client, PeerId) {
    let routes = world.routes.clone();
    peer_by(&routes, world, subject).await
}

async fn peer_by(routes: &Router, world: &mut World, subject: &str) -> (Client, PeerId) {
    let plan = Plan {
        token: token(Role::Peer, subject),
        channels: true,
        pictures: true,
        ..Plan::default()
    };
    let mut client = Client::connect(routes, plan).await;
    client.opened().await;
    client.say(&json!({"type": "hello", "proto": 1, "role": "listener", "listens": "nothing"}));
    let id = world.joined().await;
    (client, id)
}

/// The next word of this kind.
async fn said(client: &mut Client, kind: &str) -> Value {
    loop {
        let said = client.text().await;
        if said["type"] == kind {
            return said;
        }
    }
}

/// The next message with a picture.
async fn message(client: &mut Client) -> Bytes {
    let seen = client.see(|seen| match seen {
        Seen::Bytes(message) => Some(message),
        _ => None,
    });
    seen.await
}

/// The next picture, and its time; it is of one message.
async fn picture(client: &mut Client) -> (u32, Bytes) {
    let mut message = message(client).await;
    assert_eq!(&message[..4], [1, 1, 0, 0]);
    assert_eq!(&message[12..16], [0, 0, 1, 0]);
    message.advance(8);
    let time = message.get_u32_le();
    message.advance(4);
    (time, message)
}

async fn on_air(world: &mut World) -> Option<PeerId> {
    let event = world.event(|event| match event {
        PortalEvent::OnAir { peer } => Some(peer),
        _ => None,
    });
    event.await
}

/// Status, tag and body of the still picture.
async fn still(world: &World, token: &str, known: &str) -> (u16, String, Bytes) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer), ("if-none-match", known)];
    let (response, body) = fetch(&world.routes, Method::GET, STILL, &headers, "").await;
    let headers = response.headers();
    let cache = if response.status() == 200 || response.status() == 304 {
        "private, max-age=1"
    } else {
        "no-store"
    };
    assert_eq!(headers["cache-control"], cache);
    let tag = headers.get("etag").map(|tag| tag.to_str().unwrap());
    let tag = tag.unwrap_or_default().to_owned();
    if response.status() == 200 {
        assert_eq!(headers["content-type"], "image/jpeg");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
    (response.status().as_u16(), tag, body)
}

fn error(body: &[u8]) -> Value {
    serde_json::from_slice::<Value>(body).unwrap()["error"].clone()
}

#[tokio::test]
async fn a_picture_is_seen_as_it_was_sent() {
    let mut world = open("127.0.0.1:0", Limits::default());
    let watch = token(Role::Watch, "guest");
    let (mut camera, id) = peer(&mut world, "camera").await;
    let (mut viewer, _) = peer(&mut world, "viewer").await;
    viewer.say(&json!({"type": "video", "sees": true}));
    let (status, _, body) = still(&world, &watch, "").await;
    assert_eq!((status, error(&body)), (404, json!("no_picture")));

    camera.say(&json!({"type": "video", "shows": true}));
    assert_eq!(on_air(&mut world).await, Some(id));
    for client in [&mut camera, &mut viewer] {
        assert_eq!(said(client, "on_air").await["peer"], id.0);
    }
    // One chunk of the first picture is lost, and the others come in no order.
    let lost = chunks(6, BARS, 400);
    camera.picture(lost[0].clone());
    for chunk in chunks(7, BARS, 400).into_iter().rev() {
        camera.picture(chunk);
    }
    let (time, seen) = picture(&mut viewer).await;
    assert_eq!(time, 7 * 66);
    assert!(seen == BARS);
    let (status, tag, body) = still(&world, &watch, "").await;
    assert!(status == 200 && body == BARS);
    let (status, again, body) = still(&world, &watch, &tag).await;
    assert_eq!((status, again, body.len()), (304, tag, 0));

    // Who comes later is told who is on air, and sees the newest picture at once.
    let (mut late, _) = peer(&mut world, "late").await;
    assert_eq!(said(&mut late, "on_air").await["peer"], id.0);
    late.say(&json!({"type": "video", "sees": true}));
    assert!(picture(&mut late).await.1 == BARS);
    let status = world.portal.status().await.unwrap();
    assert_eq!(status.cameras[0].jpeg, Some((160, 96)));
    assert!(status.cameras[0].on_air && status.cameras[0].packets == 1);
    assert_eq!(status.viewers.len(), 2);
    assert!(status.viewers.iter().all(|it| it.camera == Some(id)));

    camera.say(&json!({"type": "video", "shows": false}));
    assert_eq!(on_air(&mut world).await, None);
    assert!(said(&mut viewer, "on_air").await["peer"].is_null());
    assert_eq!(still(&world, &watch, "").await.0, 404);
}

#[tokio::test]
async fn what_is_no_picture_is_told_and_goes_nowhere() {
    let mut world = open("127.0.0.1:0", Limits::default());
    let (mut camera, id) = peer(&mut world, "camera").await;
    // Before it says that it shows any.
    camera.picture(chunks(1, BARS, 2_000).remove(0));
    camera.say(&json!({"type": "video", "shows": true, "sees": true}));
    assert_eq!(on_air(&mut world).await, Some(id));
    camera.picture(chunks(2, b"<script>", 2_000).remove(0));
    assert_eq!(said(&mut camera, "error").await["code"], "bad_picture");
    // A picture that would have 65,535 x 65,535 pixels: the size is in its SOF0.
    let mut bomb = BARS.to_vec();
    let at = bomb
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    bomb[at + 5..at + 9].fill(0xff);
    camera.picture(chunks(3, &bomb, 2_000).remove(0));
    let told = said(&mut camera, "error").await;
    assert!(
        told["message"].as_str().unwrap().contains("65535"),
        "{told}"
    );
    camera.picture(vec![9; 30]);
    let told = said(&mut camera, "error").await;
    assert!(
        told["message"].as_str().unwrap().contains("version 9"),
        "{told}"
    );
    let watch = token(Role::Watch, "guest");
    assert_eq!(still(&world, &watch, "").await.0, 404);
    // A good one after all that.
    camera.picture(chunks(4, BARS, 2_000).remove(0));
    let deadline = Instant::now() + PATIENCE;
    while still(&world, &token(Role::Watch, "guest"), "").await.0 != 200 {
        assert!(Instant::now() < deadline, "it did not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn pictures_go_on_over_a_network_that_loses_some() {
    let mut world = open("127.0.0.1:0", Limits::default());
    let (routes, _relay) = behind(&world, BAD).await;
    let (camera, _) = peer_by(&routes, &mut world, "camera").await;
    let (mut viewer, _) = peer_by(&routes, &mut world, "viewer").await;
    viewer.say(&json!({"type": "video", "sees": true}));
    camera.say(&json!({"type": "video", "shows": true}));
    assert!(on_air(&mut world).await.is_some());
    // Six kilobytes, of which a comment is the most: as many datagrams.
    let mut large = BARS[..2].to_vec();
    large.extend([0xff, 0xfe, 0x13, 0x88]);
    large.extend([b' '; 4_998]);
    large.extend(&BARS[2..]);
    let mut pace = tokio::time::interval(Duration::from_millis(66));
    // What was not sent for a busy machine is not sent all at once later.
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut sent, mut came) = (0, 0);
    // So few are on their way that none is left out for those before it, however busy the machine is.
    let mut on_the_way = VecDeque::new();
    let deadline = Instant::now() + PATIENCE;
    while came < 30 {
        assert!(Instant::now() < deadline, "{came} of {sent} came");
        tokio::select! {
            _ = pace.tick() => {
                while on_the_way.front().is_some_and(|then: &Instant| then.elapsed() > LOST) {
                    on_the_way.pop_front();
                }
                if on_the_way.len() >= 8 {
                    continue;
                }
                on_the_way.push_back(Instant::now());
                sent += 1;
                camera.picture(chunks(sent, &large, 16_000).remove(0));
            }
            seen = message(&mut viewer) => {
                assert!(seen[16..] == large);
                on_the_way.pop_front();
                came += 1;
            }
        }
    }
    // Without anything that is sent again 70 of 100 would come.
    assert!(sent < 60, "{came} of {sent} came");
}

#[tokio::test]
async fn the_still_picture_is_for_those_who_may_watch_and_not_all_the_time() {
    let world = open("127.0.0.1:0", Limits::default());
    let publish = token(Role::Publish, "camera");
    assert_eq!(still(&world, &publish, "").await.0, 403);
    assert_eq!(still(&world, "nonsense", "").await.0, 401);
    let watch = token(Role::Watch, "guest");
    let began = Instant::now();
    let mut refused = 0;
    for _ in 0..40 {
        let (status, _, body) = still(&world, &watch, "").await;
        match status {
            404 => assert_eq!(error(&body), "no_picture"),
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    let most = 9.0 + 2.0 * began.elapsed().as_secs_f64();
    assert!(f64::from(40 - refused) <= most, "{refused} of 40");
    // Another one is not kept from it.
    assert_eq!(still(&world, &token(Role::Peer, "other"), "").await.0, 404);
    let asked = async |method, headers: &[(&str, &str)]| {
        let (response, _) = fetch(&world.routes, method, STILL, headers, "").await;
        response
    };
    let response = asked(Method::POST, &[]).await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS");
    let page = [("origin", "https://world.example")];
    let response = asked(Method::OPTIONS, &page).await;
    let headers = response.headers();
    assert_eq!(
        headers["access-control-allow-methods"],
        "GET, HEAD, OPTIONS"
    );
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://world.example"
    );
}
