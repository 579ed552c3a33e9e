//! Portals: the program on its pipes, between a call of discord-sim and peers of the world.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/ear.rs"]
mod ear;
#[path = "support/member.rs"]
mod member;
mod support;
#[path = "support/portal.rs"]
mod world;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use member::Member;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;
use support::sim::Discord;
use support::{Bridge, patiently};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use uro_discord_wire::{
    FromBridge, HttpState, MediaState, ParticipantStats, PeerJoined, PortalState, Side, VoiceState,
};
use world::{Ready, World, desired, media, portal, portals, ready, token};

/// What crosses the portal, in Hz.
const WORLD: f64 = 440.0;
const CALL: f64 = 1_000.0;

async fn media_state(bridge: &mut Bridge) -> MediaState {
    let state = bridge.until(|message| match message {
        FromBridge::Media(state) => Some(state),
        _ => None,
    });
    patiently("a fact about the endpoint", state).await
}

async fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> (http::response::Parts, Bytes) {
    send(method, url, headers, Bytes::new()).await
}

async fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> (http::response::Parts, Bytes) {
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = request.body(Full::new(body)).unwrap();
    let response = patiently("an answer", client.request(request))
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_tone_goes_both_ways_and_both_sides_see_who_speaks() {
    let discord = Discord::start().await;
    let mut member = Member::join(&discord, "peer", "world").await;
    let mut bridge = Bridge::greeted().await;
    let mut wanted = desired(&discord, &[(member.user, "Zoë")]);
    bridge.desire(wanted.clone()).await;
    let Ready { http, .. } = ready(&mut bridge).await;
    let mut world = World::join(&http, WORLD).await;
    let joined = portal(&mut bridge, |state| match state {
        PortalState::PeerJoined(joined) => Some(joined),
        _ => None,
    })
    .await;
    let expected = PeerJoined {
        peer: joined.peer,
        name: "Shard 7".into(),
        role: "peer".into(),
        subject: "shard-7".into(),
        kind: "peer".into(),
        world: true,
    };
    assert_eq!(joined, expected);

    member.hears(WORLD).await;
    let speech = member.say(CALL);
    world.sees(member.user, "Zoë").await;
    world.hears(CALL).await;
    for (side, id, peer, name) in [
        (
            Side::World,
            "world:shard-7".to_owned(),
            Some(joined.peer),
            "Shard 7",
        ),
        (
            Side::Discord,
            format!("discord:{}", member.user),
            None,
            "Zoë",
        ),
    ] {
        let speaker = portal(&mut bridge, |state| match state {
            PortalState::Speaking(speaker) if speaker.side == side => Some(speaker),
            _ => None,
        })
        .await;
        assert_eq!((speaker.id, speaker.peer, &*speaker.name), (id, peer, name));
    }
    let stats = portal(&mut bridge, |state| match state {
        PortalState::Stats(stats) => Some(stats),
        _ => None,
    })
    .await;
    let of = |side| {
        let mut participants = stats.participants.iter();
        participants.find(|participant: &&ParticipantStats| participant.side == side)
    };
    let (shard, zoe) = (of(Side::World).unwrap(), of(Side::Discord).unwrap());
    assert_eq!((&*shard.id, &*zoe.name), ("world:shard-7", "Zoë"));
    assert!(
        stats.to_discord > 20 && stats.from_discord > 20,
        "{stats:?}"
    );
    assert!(shard.packets > 20 && zoe.packets > 20, "{stats:?}");

    // Another name is told, and who is muted is not heard.
    wanted["portals"]["open"][0]["names"] = json!({member.user.to_string(): "Zoe"});
    wanted["portals"]["open"][0]["settings"] =
        json!([{"participant": "world:shard-7", "gain": 1.0, "muted": true}]);
    bridge.desire(json!({"portals": wanted["portals"]})).await;
    world.sees(member.user, "Zoe").await;
    portal(&mut bridge, |state| match state {
        PortalState::Silent(speaker) if speaker.side == Side::World => Some(()),
        _ => None,
    })
    .await;
    drop(speech);
    bridge.desire(json!({"portals": null})).await;
    portal(&mut bridge, |state| {
        (state == PortalState::Closed).then_some(())
    })
    .await;
    bridge.close().await;
}

#[tokio::test]
async fn a_page_comes_by_a_websocket_and_goes_with_the_listener() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let mut wanted = desired(&discord, &[(7, "Zoë")]);
    bridge.desire(wanted.clone()).await;
    let Ready { http, .. } = ready(&mut bridge).await;
    let (parts, body) = ask("GET", &format!("{http}/portal/lobby/tv/"), &[]).await;
    assert_eq!(parts.status, 200);
    assert!(body.starts_with(b"<!doctype html>"));
    let url = format!("{}/portal/lobby/tv", http.replacen("http", "ws", 1));
    let (mut page, _) = connect_async(&url).await.unwrap();
    let hello =
        json!({"op": "hello", "token": token().expose_secret(), "video": ["VP8"], "audio": true});
    page.send(Message::text(hello.to_string())).await.unwrap();
    let joined = portal(&mut bridge, |state| match state {
        PortalState::PeerJoined(joined) => Some(joined),
        _ => None,
    })
    .await;
    assert_eq!(joined.kind, "tv");
    let mut said = Vec::new();
    patiently("who is there", async {
        while said.len() < 3 {
            if let Message::Text(text) = page.next().await.unwrap().unwrap() {
                said.push(serde_json::from_str::<Value>(&text).unwrap()["op"].clone());
            }
        }
    })
    .await;
    assert_eq!(said, ["hello", "air", "people"]);
    wanted["http"] = Value::Null;
    bridge.desire(wanted).await;
    patiently("the end of the page", async {
        while let Some(Ok(_)) = page.next().await {}
    })
    .await;
}

#[tokio::test]
async fn peers_stay_while_the_voice_server_is_lost_and_are_heard_again() {
    let discord = Discord::start().await;
    let mut member = Member::join(&discord, "peer", "world").await;
    let mut bridge = Bridge::greeted().await;
    bridge
        .desire(desired(&discord, &[(member.user, "Zoë")]))
        .await;
    let Ready { http, .. } = ready(&mut bridge).await;
    let mut world = World::join(&http, WORLD).await;
    member.hears(WORLD).await;
    for action in [
        json!({"action": "drop", "user": "uro"}),
        // The session is invalid: another one is joined.
        json!({"action": "close", "code": 4006, "user": "uro"}),
    ] {
        discord.post("voice", action).await;
        let again = bridge.until(|message| match message {
            FromBridge::Voice {
                state: VoiceState::Joined(_),
                ..
            } => Some(()),
            FromBridge::Portal {
                state: PortalState::PeerLeft(left),
                ..
            } => panic!("{left:?}"),
            _ => None,
        });
        patiently("the call again", again).await;
        member.hears(WORLD).await;
        let _speech = member.say(CALL);
        world.hears(CALL).await;
    }
    bridge.close().await;
}

#[tokio::test]
async fn after_sigkill_a_peer_comes_again_and_is_heard() {
    let discord = Discord::start().await;
    let mut member = Member::join(&discord, "peer", "world").await;
    let mut bridge = Bridge::greeted().await;
    let mut wanted = desired(&discord, &[(member.user, "Zoë")]);
    bridge.desire(wanted.clone()).await;
    let Ready { http, active, .. } = ready(&mut bridge).await;
    let world = World::join(&http, WORLD).await;
    member.hears(WORLD).await;
    bridge.kill().await;
    drop(world);
    let killed = Instant::now();

    let mut bridge = Bridge::greeted().await;
    wanted["gateway"]["sessions"] = json!([{
        "shard": 0, "id": active.session_id, "sequence": active.sequence, "resume_url": active.resume_url,
    }]);
    bridge.desire(wanted).await;
    let Ready { http, .. } = ready(&mut bridge).await;
    println!("open again after {:?}", killed.elapsed());
    let mut world = World::join(&http, WORLD).await;
    println!("joined again after {:?}", killed.elapsed());
    member.hears(WORLD).await;
    println!("heard again after {:?}", killed.elapsed());
    let _speech = member.say(CALL);
    world.hears(CALL).await;
    bridge.close().await;
}

#[tokio::test]
async fn what_no_portal_hears_is_not_decrypted() {
    let discord = Discord::start().await;
    let member = Member::join(&discord, "peer", "world").await;
    let mut bridge = Bridge::greeted().await;
    let wanted = desired(&discord, &[(member.user, "Zoë")]);
    let mut without = wanted.clone();
    without["portals"] = Value::Null;
    bridge.desire(without).await;
    let speaking = bridge.until(|message| match message {
        FromBridge::Voice {
            state: VoiceState::Encryption(encryption),
            ..
        } if encryption.can_send => Some(()),
        _ => None,
    });
    patiently("a key", speaking).await;
    let speech = member.say(CALL);
    speech.goes_on(50).await;
    bridge.desire(json!({"portals": wanted["portals"]})).await;
    portal(&mut bridge, |state| match state {
        PortalState::Speaking(_) => Some(()),
        _ => None,
    })
    .await;
    speech.goes_on(50).await;
    bridge.desire(json!({"portals": null})).await;
    portal(&mut bridge, |state| {
        (state == PortalState::Closed).then_some(())
    })
    .await;
    speech.goes_on(50).await;
    drop(speech);
    // All of it has come when there are stats of it.
    let stats = bridge.until(|message| match message {
        FromBridge::Voice {
            state: VoiceState::Stats(stats),
            ..
        } if stats.received + stats.unread >= 150 => Some(stats),
        _ => None,
    });
    let stats = patiently("stats", stats).await;
    // A loaded machine hears some of each third with the next.
    assert!(stats.received > 25 && stats.unread > 75, "{stats:?}");
    assert_eq!((stats.lost, stats.undecryptable), (0, 0), "{stats:?}");
    bridge.close().await;
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_had_is_tried_until_it_can() {
    let discord = Discord::start().await;
    let mut bridge = Bridge::greeted().await;
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    bridge
        .desire(json!({
            "gateway": null,
            "http": {"ip": "127.0.0.1", "port": 0, "connections": 64, "tls": null},
            "media": media(&address),
            "portals": portals(&discord, &[]),
        }))
        .await;
    let (mut http, mut waiting) = (None, None);
    patiently("the listener, and the endpoint's first try", async {
        while http.is_none() || waiting.is_none() {
            match bridge.next().await.decode() {
                FromBridge::Http(HttpState::Listening(listening)) => {
                    http = Some(format!("http://{}:{}", listening.ip, listening.port));
                }
                FromBridge::Media(MediaState::Waiting(state)) => {
                    waiting.get_or_insert(state);
                }
                FromBridge::Media(state) => panic!("{state:?}"),
                _ => {}
            }
        }
    })
    .await;
    let (http, waiting) = (http.unwrap(), waiting.unwrap());
    assert!(waiting.reason.contains(&address), "{}", waiting.reason);
    assert!((1..=1_000).contains(&waiting.retry_ms), "{waiting:?}");
    let whip = format!("{http}/portal/lobby/whip");
    let (head, _) = ask("POST", &whip, &[]).await;
    assert_eq!(head.status, 503);
    assert!(head.headers.contains_key("retry-after"));

    drop(taken);
    let listening = loop {
        match media_state(&mut bridge).await {
            MediaState::Listening(listening) => break listening.addresses,
            MediaState::Waiting(_) => {}
            MediaState::Closed => panic!("it is wanted"),
        }
    };
    assert_eq!(listening, [address.parse::<SocketAddr>().unwrap()]);
    portal(&mut bridge, |state| {
        (state == PortalState::Open).then_some(())
    })
    .await;

    // Served past Elixir, to whom nothing of it comes.
    let (head, body) = ask("POST", &whip, &[]).await;
    assert_eq!(head.status, 401, "{body:?}");
    let origin = ("origin", "https://uro.example");
    let (head, _) = ask("OPTIONS", &whip, &[origin]).await;
    assert_eq!(
        head.headers["access-control-allow-origin"],
        "https://uro.example"
    );
    let (head, page) = ask("GET", &format!("{http}/portal/lobby/"), &[]).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert!(head.headers.contains_key("content-security-policy"));
    for file in ["page.css", "page.js", "session.js", "level.js"] {
        let (head, _) = ask("GET", &format!("{http}/portal/lobby/{file}"), &[]).await;
        assert_eq!(head.status, 200, "{file}");
    }
    assert!(page.windows(7).any(|text| text == b"page.js"));
    let (head, _) = ask("GET", &format!("{http}/portal/lobby"), &[]).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["location"]),
        (308, &"lobby/".parse().unwrap())
    );
    // The still picture is the endpoint's, and no file of the page.
    let (head, body) = ask("GET", &format!("{http}/portal/lobby/still.jpg"), &[]).await;
    assert_eq!(head.status, 401, "{body:?}");
    // A page may read what the listener itself answers, too.
    let long = Bytes::from(vec![b'x'; 70_000]);
    let (head, body) = send("POST", &whip, &[origin], long).await;
    assert_eq!(head.status, 413, "{body:?}");
    assert_eq!(
        head.headers["access-control-allow-origin"],
        "https://uro.example"
    );

    // Other limits at the same address: the room is opened anew, there.
    let mut other = media(&address);
    other["limits"]["portal_peers"] = json!(9);
    bridge.desire(json!({"media": other})).await;
    portal(&mut bridge, |state| {
        (state == PortalState::Closed).then_some(())
    })
    .await;
    assert!(matches!(
        media_state(&mut bridge).await,
        MediaState::Listening(_)
    ));
    portal(&mut bridge, |state| {
        (state == PortalState::Open).then_some(())
    })
    .await;

    bridge.desire(json!({"media": null})).await;
    portal(&mut bridge, |state| {
        (state == PortalState::Closed).then_some(())
    })
    .await;
    assert_eq!(media_state(&mut bridge).await, MediaState::Closed);
    let (head, _) = ask("POST", &whip, &[]).await;
    assert_eq!(head.status, 404);
    let ended = bridge.close().await;
    assert_eq!(ended.code(), Some(0), "{:?}", ended.log);
}

#[tokio::test]
async fn parts_that_cannot_be_had_say_why() {
    let mut bridge = Bridge::greeted().await;
    let mut short = media("127.0.0.1:0");
    short["keys"] = json!(["SECRET"]);
    let portals = json!({"open": [{"id": "a b", "guild": "1", "channel": "2"}]});
    bridge
        .desire(json!({"media": short, "portals": portals}))
        .await;
    for (wanted, why) in [
        ("media", "keys[0]: 6 bytes"),
        ("portals", "open[0].id: expected"),
    ] {
        let (part, reason) = bridge
            .until(|message| match message {
                FromBridge::Refused { part, reason } => {
                    Some((part.into_owned(), reason.into_owned()))
                }
                _ => None,
            })
            .await;
        assert_eq!(part, wanted);
        assert!(
            reason.starts_with(why) && !reason.contains("SECRET"),
            "{reason}"
        );
    }
    bridge.close().await;
}
