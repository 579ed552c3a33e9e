//! The endpoint of portals on loopback, with a bad network before it where that is wanted.

use std::{net::SocketAddr, time::SystemTime};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{
        HeaderValue, Method,
        header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware::{Next, from_fn, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::get,
};
use secrecy::SecretString;
use tokio::{net::TcpListener, task::JoinSet};
use uro_discord_portal::{
    Endpoint, Limits, Options, Portals,
    token::{self, Claims, Role},
};
use uro_portal_peer::{Address, Join, Peer, Way};

use super::{
    call::{Call, Person},
    relay::{Conditions, Relay},
};

const KEY: &str = "a key of the tests, of 32 bytes at least";
const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets");
const PAGE: &str = include_str!("page.html");

/// It ends when it is dropped.
pub struct Server {
    pub origin: String,
    portals: Portals,
    _relay: Option<Relay>,
    tasks: JoinSet<()>,
}

/// Where media goes, and where the answers shall say that it goes.
#[derive(Clone, Copy)]
struct Detour {
    server: SocketAddr,
    relay: SocketAddr,
}

impl Server {
    pub async fn start(conditions: Option<Conditions>) -> Self {
        let anywhere = "127.0.0.1:0".parse().unwrap();
        Self::at(anywhere, anywhere, conditions).await
    }

    /// As if it had been killed and started again: nobody is told.
    pub async fn begin_anew(&mut self) {
        let media = self.portals.addresses()[0];
        let http = self.origin.trim_start_matches("http://").parse().unwrap();
        self.tasks.shutdown().await;
        *self = Self::at(media, http, None).await;
    }

    async fn at(media: SocketAddr, http: SocketAddr, conditions: Option<Conditions>) -> Self {
        let (portals, loops) = Portals::bind(Endpoint {
            addresses: vec![media],
            public: Vec::new(),
            keys: vec![SecretString::from(KEY)],
            // Godot's page is of another origin.
            origins: vec!["*".into()],
            limits: Limits::default(),
        })
        .unwrap();
        let mut tasks = JoinSet::new();
        for media in loops {
            tasks.spawn(media);
        }
        let server = portals.addresses()[0];
        let mut routes = portals
            .routes()
            .merge(Router::new().route("/page", get(|| async { axum::response::Html(PAGE) })));
        let relay = match conditions {
            Some(conditions) => Some(Relay::start(server, conditions).await),
            None => None,
        };
        if let Some(Relay { address: relay, .. }) = relay {
            routes = routes.layer(from_fn_with_state(Detour { server, relay }, detour));
        }
        // What serves a connection outlives the listener.
        let close = map_response(|mut response: Response| async {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
            response
        });
        let routes = routes.layer(from_fn(page)).layer(close);
        let listener = TcpListener::bind(http).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tasks.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            origin,
            portals,
            _relay: relay,
            tasks,
        }
    }

    /// Opens a portal into a call of these people.
    pub fn open(&self, id: &str, people: &[Person]) -> Call {
        let portal = self.portals.open(id, Options::default()).unwrap();
        Call::new(portal, people)
    }

    pub fn url(&self, id: &str) -> String {
        format!("{}/portal/{id}", self.origin)
    }

    pub fn token(&self, id: &str, role: Role) -> String {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let claims = Claims {
            iss: "uro_discord".into(),
            portal: id.into(),
            role,
            sub: "guest".into(),
            name: "A guest".into(),
            iat: now,
            exp: now + 600,
            jti: fastrand::u64(..).to_string(),
        };
        token::mint(&SecretString::from(KEY), &claims)
    }

    pub fn join(&self, id: &str, role: Role, way: Way) -> Join {
        Join {
            portal: self.url(id).parse::<Address>().unwrap(),
            token: self.token(id, role).into(),
            way,
            media: None,
        }
    }

    pub async fn peer(&self, id: &str, way: Way) -> Peer {
        Peer::join(self.join(id, Role::Peer, way)).await.unwrap()
    }
}

/// The relay's port takes the place of the server's in answers.
async fn detour(State(detour): State<Detour>, request: Request, next: Next) -> Response {
    let (mut head, body) = next.run(request).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let candidate = |address: SocketAddr| format!(" {} {} typ host", address.ip(), address.port());
    let text = String::from_utf8(body.into()).unwrap();
    let text = text.replace(&candidate(detour.server), &candidate(detour.relay));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(text))
}

/// The portal's page, at `/portal/:id/` as the bridge has it.
async fn page(request: Request, next: Next) -> Response {
    let name = match request.uri().path().rsplit('/').next() {
        Some("") => "index.html",
        Some(name) => name,
        None => return next.run(request).await,
    };
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        _ => return next.run(request).await,
    };
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let own = std::fs::read(format!("{ASSETS}/portal/{name}"));
    let file = own.or_else(|_| std::fs::read(format!("{ASSETS}/common/{name}")));
    let file = file.unwrap();
    ([(CONTENT_TYPE, kind)], file).into_response()
}
