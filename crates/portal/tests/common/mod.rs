//! A portal on loopback, and peers that come to it by the sans-IO `rtc`: each a task with a socket of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed"
)]
#![allow(dead_code, reason = "each test file uses some of it")]

pub mod client;
#[path = "../../../portal-peer/tests/support/relay.rs"]
pub mod relay;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Method, Request, Response};
use axum::middleware::map_response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use relay::{Conditions, Relay};
use secrecy::SecretString;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;
use tower::ServiceExt as _;
use uro_discord_portal::token::{Claims, Role, mint};
use uro_discord_portal::{Endpoint, Happened, Limits, Options, Portal, PortalEvent, Portals};

pub const KEY: &str = "0123456789abcdef0123456789abcdef";

/// How long anything may take that a test waits for. Only a test that fails takes so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A network that loses 3%, each way, and lets packets overtake each other.
pub const BAD: Conditions = Conditions {
    loss: 0.03,
    jitter: Duration::from_millis(20),
    seed: 14,
};

pub struct World {
    pub portals: Portals,
    pub routes: Router,
    pub portal: Portal,
}

pub fn endpoint(address: &str, limits: Limits) -> Endpoint {
    Endpoint {
        addresses: vec![address.parse().unwrap()],
        public: vec![],
        keys: vec![KEY.into()],
        origins: vec!["https://world.example".into()],
        limits,
    }
}

/// The portal `lobby`.
pub fn open(address: &str, limits: Limits) -> World {
    open_with(address, limits, &["https://world.example"])
}

/// The same, for pages of these origins.
pub fn open_with(address: &str, limits: Limits, origins: &[&str]) -> World {
    let mut endpoint = endpoint(address, limits);
    endpoint.origins = origins.iter().map(|it| (*it).to_owned()).collect();
    let (portals, loops) = Portals::bind(endpoint).unwrap();
    for each in loops {
        tokio::spawn(each);
    }
    let portal = portals.open("lobby", Options::default()).unwrap();
    World {
        routes: portals.routes(),
        portals,
        portal,
    }
}

/// The routes of a world to which media goes by such a network: its place takes that of the server in answers.
pub async fn behind(world: &World, conditions: Conditions) -> (Router, Relay) {
    let relay = Relay::start(world.address(), conditions).await;
    let places = [world.address(), relay.address];
    let [from, to] = places.map(|it| format!(" {} {} typ host", it.ip(), it.port()));
    let detour = map_response(move |response: Response<Body>| {
        let (from, to) = (from.clone(), to.clone());
        async move {
            let (mut head, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let Ok(text) = String::from_utf8(body.to_vec()) else {
                return Response::from_parts(head, Body::from(body));
            };
            head.headers.remove(CONTENT_LENGTH);
            Response::from_parts(head, Body::from(text.replace(&from, &to)))
        }
    });
    (world.routes.clone().layer(detour), relay)
}

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub fn claims(role: Role, subject: &str) -> Claims {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Claims {
        iss: "uro_discord".into(),
        portal: "lobby".into(),
        role,
        sub: subject.into(),
        name: format!("Name of {subject}"),
        iat: now(),
        exp: now() + 60,
        jti: NEXT.fetch_add(1, Ordering::Relaxed).to_string(),
    }
}

pub fn token(role: Role, subject: &str) -> String {
    mint(&SecretString::from(KEY), &claims(role, subject))
}

/// A request, and its answer with its body.
pub async fn ask(
    routes: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (Response<Body>, String) {
    let (response, body) = fetch(routes, method, path, headers, body).await;
    (response, String::from_utf8(body.to_vec()).unwrap())
}

/// The same, with a body that is no text.
pub async fn fetch(
    routes: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (Response<Body>, Bytes) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let mut response = routes.clone().oneshot(request).await.unwrap();
    let body = response.body_mut().collect().await.unwrap().to_bytes();
    (response, body)
}

impl World {
    pub fn address(&self) -> SocketAddr {
        self.portals.addresses()[0]
    }

    /// The next event that is wanted; others are passed over.
    pub async fn event<T>(&mut self, wanted: impl Fn(PortalEvent) -> Option<T>) -> T {
        let portal = &mut self.portal;
        let found = async {
            loop {
                match portal.next().await.expect("the portal has ended") {
                    Happened::Event(event) => {
                        if let Some(found) = wanted(event) {
                            return found;
                        }
                    }
                    Happened::Frame(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        timeout(PATIENCE, found).await.expect("it did not happen")
    }

    pub async fn joined(&mut self) -> uro_discord_portal::PeerId {
        self.event(|event| match event {
            PortalEvent::PeerJoined { peer, .. } => Some(peer),
            _ => None,
        })
        .await
    }

    pub async fn left(&mut self) -> uro_discord_portal::Left {
        self.event(|event| match event {
            PortalEvent::PeerLeft { reason, .. } => Some(reason),
            _ => None,
        })
        .await
    }
}
