//! Publishers: what they are told of how they are, and how a moderator ends it.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use axum::http::Method;
use common::client::{Client, Plan};
use common::{World, ask, now, open, token};
use serde_json::Value;
use std::collections::BTreeMap;
use uro_discord_portal::token::Role;
use uro_discord_portal::{Left, Limits};

fn plan(kind: &'static str, token: &str) -> Plan<'static> {
    Plan {
        kind,
        token: token.into(),
        audio: "sendonly",
        ..Plan::default()
    }
}

async fn air(world: &World, location: &str, token: &str) -> (u16, Value) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let path = format!("{location}/air");
    let (response, body) = ask(&world.routes, Method::GET, &path, &headers, "").await;
    let status = response.status().as_u16();
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn a_publisher_is_told_how_he_is() {
    let mut world = open("127.0.0.1:0", Limits::default());
    let ann = token(Role::Publish, "user:1");
    let client = Client::connect(&world.routes, plan("whip", &ann)).await;
    world.joined().await;
    let (status, told) = air(&world, &client.location, &ann).await;
    assert_eq!(status, 200);
    assert_eq!(told["connected"], true);
    assert_eq!(
        (&told["on_air"], &told["viewers"]),
        (&false.into(), &0.into())
    );
    // The token that came is as good as the first.
    let renewed = told["token"].as_str().unwrap().to_owned();
    assert_eq!(air(&world, &client.location, &renewed).await.0, 200);
    let (status, told) = air(&world, &client.location, &token(Role::Publish, "user:2")).await;
    assert_eq!((status, &told["error"]), (404, &"no_session".into()));
    let (status, told) = air(&world, &client.location, &token(Role::Watch, "user:1")).await;
    assert_eq!((status, &told["error"]), (403, &"other_role".into()));
    let (response, _) = ask(
        &world.routes,
        Method::POST,
        &format!("{}/air", client.location),
        &[],
        "",
    )
    .await;
    assert_eq!(response.status(), 405);
    assert_eq!(air(&world, "/portal/lobby/whep/x", &ann).await.0, 404);
}

#[tokio::test]
async fn what_somebody_publishes_is_ended_and_stays_so_for_its_time() {
    let mut world = open("127.0.0.1:0", Limits::default());
    let ann = token(Role::Peer, "user:1");
    let bob = token(Role::Publish, "user:2");
    let _ann = Client::connect(&world.routes, plan("whip", &ann)).await;
    let ann_number = world.joined().await;
    let _bob = Client::connect(&world.routes, plan("whip", &bob)).await;
    world.joined().await;
    let stop = |until: u64| BTreeMap::from([("user:1".to_owned(), until)]);
    world.portal.stopped(&stop(now() + 60));
    let (gone, why) = world
        .event(|event| match event {
            uro_discord_portal::PortalEvent::PeerLeft { peer, reason } => Some((peer, reason)),
            _ => None,
        })
        .await;
    assert_eq!((gone, why), (ann_number, Left::Stopped));
    // A new token does not help, nor does the role of a peer; what publishes nothing goes on.
    for token in [&ann, &token(Role::Publish, "user:1")] {
        let (status, body) = Client::offer(&world.routes, plan("whip", token))
            .await
            .err()
            .unwrap();
        assert_eq!(status, 403);
        assert!(body.contains("stopped"), "{body}");
    }
    let listens = Plan {
        audio: "recvonly",
        ..plan("whep", &ann)
    };
    let _listens = Client::connect(&world.routes, listens).await;
    world.joined().await;
    // It is over, or was taken back.
    for stopped in [stop(now()), BTreeMap::new()] {
        world.portal.stopped(&stopped);
        let _again = Client::connect(&world.routes, plan("whip", &ann)).await;
        world.joined().await;
    }
}
