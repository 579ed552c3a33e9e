//! `/portal/…`: what the portals' endpoint answers, without Elixir; and the page by which a browser joins.

use super::body::read;
use super::budget::Budget;
use super::client::{Client, Work};
use super::refusal::Refusal;
use crate::portal::Served;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};
use tokio::sync::watch;
use tower::ServiceExt as _;
use uro_discord_portal::ClientAddress;

/// Under which path.
pub const PATH: &str = "/portal/";

/// The largest body: an offer of SDP.
const BODY: u32 = 64 * 1024;

/// Bytes of bodies that are held at once.
const BODIES: usize = 8 * 1024 * 1024;

macro_rules! page {
    ($file:literal) => {
        include_str!(concat!("../../../../assets/portal/", $file))
    };
}

/// The page's files, by name.
const PAGE: [(&str, &str, &str); 5] = [
    ("", "text/html; charset=utf-8", page!("index.html")),
    ("page.css", "text/css; charset=utf-8", page!("page.css")),
    (
        "page.js",
        "text/javascript; charset=utf-8",
        page!("page.js"),
    ),
    (
        "session.js",
        "text/javascript; charset=utf-8",
        page!("session.js"),
    ),
    (
        "level.js",
        "text/javascript; charset=utf-8",
        page!("level.js"),
    ),
];

/// What the page may do: speak with the address it came from, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Clone)]
pub struct Portals {
    served: watch::Receiver<Served>,
    bodies: Budget,
}

impl Portals {
    pub fn new(served: watch::Receiver<Served>) -> Self {
        Self {
            served,
            bodies: Budget::new(BODIES),
        }
    }

    /// One request, to its answer.
    pub async fn answer(
        &self,
        request: Request,
        client: &Client,
        work: &Work,
    ) -> Result<Response<Body>, Refusal> {
        // Not to be held while anything waits.
        let routes = match &*self.served.borrow() {
            Served::Nothing => return Err(Refusal::NotFound),
            Served::Soon => return Err(Refusal::Soon),
            Served::Routes(routes) => routes.clone(),
        };
        if let Some(page) = page(&request) {
            return Ok(page);
        }
        forward(routes, request, &self.bodies, client, work).await
    }
}

async fn forward(
    routes: Router,
    request: Request,
    bodies: &Budget,
    client: &Client,
    work: &Work,
) -> Result<Response<Body>, Refusal> {
    let (mut parts, body) = request.into_parts();
    let (bytes, _share) = read(body, BODY, bodies, client, work).await?;
    parts
        .extensions
        .insert(ClientAddress(client.peer.to_canonical()));
    let answer = routes.oneshot(Request::from_parts(parts, Body::from(bytes)));
    answer.await.map_err(|never| match never {})
}

/// The page, if it is that which is asked for.
fn page(request: &Request) -> Option<Response<Body>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.uri().path().strip_prefix(PATH)?;
    let Some((id, name)) = path.split_once('/') else {
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        return Some(path)
            .filter(|id| !id.is_empty() && id.bytes().all(fit))
            .and_then(moved);
    };
    let (_, kind, content) = PAGE.iter().find(|(file, ..)| *file == name)?;
    (!id.is_empty()).then(|| file(kind, content))
}

/// Its files are beside it: the address ends with a slash.
fn moved(id: &str) -> Option<Response<Body>> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let location = HeaderValue::try_from(format!("{PATH}{id}/")).ok()?;
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}

fn file(kind: &'static str, content: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(content));
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
