//! What the endpoint answers: to whom, and what to do about it.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use axum::http::Method;
use common::client::{Client, Plan};
use common::{KEY, World, ask, claims, endpoint, open, token};
use secrecy::SecretString;
use serde_json::Value;
use uro_discord_portal::token::{Role, mint};
use uro_discord_portal::{BindError, Left, Limits, OpenError, Options, Portals};

const LOOPBACK: &str = "127.0.0.1:0";

/// What a POST without much in it is answered.
async fn post(world: &World, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let (response, body) = ask(&world.routes, Method::POST, path, headers, body).await;
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(
        response.headers().contains_key("www-authenticate"),
        status == 401
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body["message"].as_str().unwrap().len() > 10);
    (status, body["error"].as_str().unwrap().to_owned())
}

async fn with_token(world: &World, path: &str, token: &str) -> (u16, String) {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/sdp"),
    ];
    post(world, path, &headers, "v=0").await
}

#[tokio::test]
async fn only_good_tokens_come_in() {
    let world = open(LOOPBACK, Limits::default());
    let path = "/portal/lobby/whip";
    let refused = async |token: &str| with_token(&world, path, token).await;
    let signed = |change: &dyn Fn(&mut uro_discord_portal::token::Claims)| {
        let mut claims = claims(Role::Peer, "user:1");
        change(&mut claims);
        mint(&SecretString::from(KEY), &claims)
    };
    let is = |status, error: &str| (status, error.to_owned());
    assert_eq!(post(&world, path, &[], "").await, is(401, "no_token"));
    let basic = [("authorization", "Basic eDp5")];
    assert_eq!(post(&world, path, &basic, "").await, is(401, "no_token"));
    assert_eq!(refused("nonsense").await, is(401, "bad_token"));
    let expired = signed(&|claims| (claims.iat, claims.exp) = (claims.iat - 100, claims.iat - 40));
    assert_eq!(refused(&expired).await, is(401, "token_expired"));
    let long = signed(&|claims| claims.exp += 100_000);
    assert_eq!(refused(&long).await, is(401, "bad_token"));
    let other = mint(
        &"another key, also of 32 characters".into(),
        &claims(Role::Peer, "x"),
    );
    assert_eq!(refused(&other).await, is(401, "bad_token"));
    // {"alg":"none"}
    let (_, rest) = other.split_once('.').unwrap();
    let none = format!("eyJhbGciOiJub25lIn0.{rest}");
    assert_eq!(refused(&none).await, is(401, "bad_token"));
    let elsewhere = signed(&|claims| claims.portal = "kitchen".into());
    assert_eq!(refused(&elsewhere).await, is(403, "other_portal"));
    let watch = token(Role::Watch, "user:1");
    assert_eq!(refused(&watch).await, is(403, "other_role"));
    let publish = token(Role::Publish, "user:1");
    for kind in ["whep", "peer"] {
        let path = format!("/portal/lobby/{kind}");
        assert_eq!(
            with_token(&world, &path, &publish).await,
            is(403, "other_role")
        );
    }
    // This one is good, and its offer is not.
    assert_eq!(refused(&publish).await, is(400, "bad_offer"));
    let closed = signed(&|claims| claims.portal = "kitchen".into());
    let path = "/portal/kitchen/whip";
    assert_eq!(
        with_token(&world, path, &closed).await,
        is(404, "no_portal")
    );
}

#[tokio::test]
async fn requests_are_answered_with_what_to_do() {
    let world = open(LOOPBACK, Limits::default());
    let bearer = format!("Bearer {}", token(Role::Peer, "user:1"));
    let bearer = ("authorization", bearer.as_str());
    let sdp = ("content-type", "application/sdp; charset=utf-8");
    let path = "/portal/lobby/peer";
    let is = |status, error: &str| (status, error.to_owned());
    let plain = ("content-type", "text/plain");
    let answer = post(&world, path, &[bearer, plain], "").await;
    assert_eq!(answer, is(415, "unsupported_media_type"));
    let html = ("accept", "text/html");
    let answer = post(&world, path, &[bearer, sdp, html], "").await;
    assert_eq!(answer, is(406, "not_acceptable"));
    let large = "x".repeat(65_537);
    let answer = post(&world, path, &[bearer, sdp], &large).await;
    assert_eq!(answer, is(413, "too_large"));
    for path in [
        "/portal/lobby",
        "/portal/lobby/dance",
        "/portal/lobby/peer/x/y",
    ] {
        let answer = post(&world, path, &[bearer, sdp], "").await;
        assert_eq!(answer, is(404, "not_found"), "{path}");
    }
    let answer = post(&world, "/portal/lobby/peer/x", &[bearer, sdp], "").await;
    assert_eq!(answer, is(405, "method_not_allowed"));
    let (response, _) = ask(&world.routes, Method::GET, path, &[bearer], "").await;
    assert_eq!(response.headers()["allow"], "POST, OPTIONS");
    let headers = [bearer, ("content-type", "application/trickle-ice-sdpfrag")];
    let path = "/portal/lobby/peer/x";
    let (response, _) = ask(&world.routes, Method::PATCH, path, &headers, "a=x:y").await;
    assert_eq!(response.status(), 404);
    let (response, _) = ask(&world.routes, Method::PATCH, path, &headers, "hello").await;
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn offers_are_what_an_endpoint_is_for() {
    let world = open(LOOPBACK, Limits::default());
    let refused = async |kind, audio, channels| {
        let plan = Plan {
            kind,
            token: token(Role::Peer, "user:1"),
            audio,
            channels,
            ..Plan::default()
        };
        Client::offer(&world.routes, plan).await.err()
    };
    for (kind, audio, channels) in [
        ("whip", "recvonly", false),
        ("whip", "sendonly", true),
        ("whep", "sendonly", false),
        ("whep", "recvonly", true),
        ("whip", "", true),
    ] {
        let (status, body) = refused(kind, audio, channels).await.unwrap();
        assert_eq!(status, 400, "{kind} {audio}");
        assert!(body.contains("bad_offer"), "{body}");
    }
    assert_eq!(refused("whep", "sendrecv", false).await, None);
    assert_eq!(refused("peer", "", true).await, None);
}

#[tokio::test]
async fn pages_of_known_origins_may_ask() {
    let world = open(LOOPBACK, Limits::default());
    let asked = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
        ];
        let path = "/portal/lobby/whep";
        ask(&world.routes, Method::OPTIONS, path, &headers, "")
            .await
            .0
    };
    let response = asked("https://world.example").await;
    assert_eq!(response.status(), 204);
    let headers = response.headers();
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://world.example"
    );
    assert_eq!(
        headers["access-control-allow-methods"],
        "POST, PATCH, DELETE, OPTIONS"
    );
    assert_eq!(headers["accept-post"], "application/sdp");
    let allowed = headers["access-control-allow-headers"].to_str().unwrap();
    assert!(allowed.contains("Authorization") && allowed.contains("If-Match"));
    let response = asked("https://evil.example").await;
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-origin")
    );
    // Refusals can be read too.
    let headers = [("origin", "https://world.example")];
    let (response, _) = ask(
        &world.routes,
        Method::POST,
        "/portal/lobby/whep",
        &headers,
        "",
    )
    .await;
    assert_eq!(response.status(), 401);
    assert_eq!(
        response.headers()["access-control-allow-origin"],
        "https://world.example"
    );
}

#[tokio::test]
async fn peers_are_counted() {
    let limits = Limits {
        portal_peers: 2,
        token_peers: 1,
        ..Limits::default()
    };
    let mut world = open(LOOPBACK, limits);
    let plan = |token: &str| Plan {
        kind: "whip",
        token: token.into(),
        audio: "sendonly",
        ..Plan::default()
    };
    let first = token(Role::Publish, "user:1");
    let client = Client::connect(&world.routes, plan(&first)).await;
    world.joined().await;
    let refused = Client::offer(&world.routes, plan(&first)).await.err();
    let (status, body) = refused.unwrap();
    assert_eq!(status, 429);
    assert!(body.contains("token_in_use"), "{body}");
    let second = token(Role::Publish, "user:2");
    let _second = Client::connect(&world.routes, plan(&second)).await;
    let third = token(Role::Publish, "user:3");
    let refused = Client::offer(&world.routes, plan(&third)).await.err();
    let (status, body) = refused.unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("portal_full"), "{body}");
    client.close();
    assert_eq!(world.left().await, Left::Said);
    Client::connect(&world.routes, plan(&third)).await;
}

#[tokio::test]
async fn what_cannot_be_served_is_told() {
    let refused = |change: &dyn Fn(&mut uro_discord_portal::Endpoint)| {
        let mut endpoint = endpoint(LOOPBACK, Limits::default());
        change(&mut endpoint);
        Portals::bind(endpoint).err().unwrap()
    };
    assert!(matches!(
        refused(&|it| it.addresses.clear()),
        BindError::NoAddress
    ));
    assert!(matches!(refused(&|it| it.keys.clear()), BindError::NoKey));
    let short = refused(&|it| it.keys.push("too short".into()));
    assert!(matches!(short, BindError::ShortKey(9)));
    let origin = refused(&|it| it.origins.push("world.example".into()));
    assert!(origin.to_string().contains("world.example"));
    let world = open(LOOPBACK, Limits::default());
    let taken = world.portals.addresses()[0];
    let error = refused(&|it| it.addresses = vec![taken]);
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    let open = |id: &str| world.portals.open(id, Options::default()).err();
    assert_eq!(open("lobby"), Some(OpenError::Taken));
    assert_eq!(open("a/b"), Some(OpenError::Id));
    assert_eq!(open(""), Some(OpenError::Id));
}
