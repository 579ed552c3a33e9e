//! The HTTP endpoint: WHIP (RFC 9725), WHEP, `/peer`, which is both at once and has data channels, and `/tv`, a WebSocket; and the still picture.

mod fragment;
mod refusal;
mod request;
mod session;
mod still;
mod tv;

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HeaderName, HeaderValue,
    ORIGIN, VARY,
};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::routing::any;

use crate::server::{Kind, Shared};
use refusal::Refusal;
use request::{FRAGMENT, SDP};

const METHODS: HeaderValue = HeaderValue::from_static("POST, PATCH, DELETE, OPTIONS");

/// The address of who asks, as an extension of the request: from whoever listens, since proxies may be between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Makes what is kept while a page is there that came by this request, as an extension of it: whoever listens sees so that it was let in, and
/// when it has gone.
#[derive(Clone)]
pub struct Held(pub Arc<dyn Fn() -> Box<dyn Any + Send> + Send + Sync>);

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/portal/{*path}", any(handle))
        .with_state(shared)
}

type Answer = Result<Response<Body>, Refusal>;

async fn handle(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response<Body> {
    let origin = request.headers().get(ORIGIN).cloned();
    let answer = match path {
        Ok(Path(path)) => route(&shared, &path, request).await,
        // It is no UTF-8.
        Err(_) => Err(Refusal::NotFound),
    };
    finish(&shared, origin.as_ref(), answer)
}

async fn route(shared: &Arc<Shared>, path: &str, request: Request) -> Answer {
    let mut words = path.split('/').map(str::to_owned);
    let (id, kind, session) = (words.next(), words.next(), words.next());
    if let (Some(id), Some(still::NAME), None) = (&id, kind.as_deref(), &session) {
        return still::answer(shared, id, request).await;
    }
    let kind = kind.and_then(|name| self::kind(&name));
    let (Some(id), Some(kind)) = (id, kind) else {
        return Err(Refusal::NotFound);
    };
    match (words.next().as_deref(), words.next()) {
        (None, None) => {}
        (Some("air"), None) if kind == Kind::Whip => {
            return air(shared, id, session, request).await;
        }
        _ => return Err(Refusal::NotFound),
    }
    match (request.method().clone(), session) {
        (Method::OPTIONS, _) => Ok(offers()),
        (Method::GET, None) if kind == Kind::Tv => tv::get(shared, id, request).await,
        (_, None) if kind == Kind::Tv => Err(Refusal::Method("GET, OPTIONS")),
        (_, Some(_)) if kind == Kind::Tv => Err(Refusal::NotFound),
        (Method::POST, None) => session::post(shared, id, kind, request).await,
        (Method::PATCH, Some(name)) => session::patch(shared, id, kind, name, request).await,
        (Method::DELETE, Some(name)) => session::delete(shared, id, kind, name, request).await,
        (_, None) => Err(Refusal::Method("POST, OPTIONS")),
        (_, Some(_)) => Err(Refusal::Method("PATCH, DELETE, OPTIONS")),
    }
}

async fn air(shared: &Shared, id: String, session: Option<String>, request: Request) -> Answer {
    let session = session.ok_or(Refusal::NotFound)?;
    let (parts, _) = request.into_parts();
    match parts.method {
        Method::GET => session::air(shared, id, session, &parts.headers).await,
        Method::OPTIONS => Ok(options(
            HeaderValue::from_static("GET, OPTIONS"),
            "Authorization",
        )),
        _ => Err(Refusal::Method("GET, OPTIONS")),
    }
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "whip" => Some(Kind::Whip),
        "whep" => Some(Kind::Whep),
        "peer" => Some(Kind::Peer),
        "tv" => Some(Kind::Tv),
        _ => None,
    }
}

/// What every answer has.
fn finish(shared: &Shared, origin: Option<&HeaderValue>, answer: Answer) -> Response<Body> {
    let mut response = answer.unwrap_or_else(|refusal| refusal.response());
    let headers = response.headers_mut();
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(no_store);
    allow(shared, origin, headers);
    response
}

/// Whether the page that asks may read the answer.
pub(crate) fn allow(shared: &Shared, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let all = shared.origins.iter().any(|it| it == "*");
    let allowed = origin.filter(|origin| all || shared.origins.iter().any(|it| it == *origin));
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Location, ETag, Retry-After"),
        );
    }
}

/// What a page may ask with, of other origins too.
fn options(methods: HeaderValue, allowed: &'static str) -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed = HeaderValue::from_static(allowed);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

fn offers() -> Response<Body> {
    let mut response = options(METHODS, "Authorization, Content-Type, If-Match");
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static("accept-post"),
        HeaderValue::from_static(SDP),
    );
    headers.insert(
        HeaderName::from_static("accept-patch"),
        HeaderValue::from_static(FRAGMENT),
    );
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// See [`crate::fuzzing`].
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use super::fragment::Fragment;

    /// An SDP fragment.
    pub fn fragment(data: &[u8]) {
        if let Ok(text) = std::str::from_utf8(data)
            && let Ok(fragment) = Fragment::parse(text)
            && let Some((ufrag, password)) = fragment.credentials
        {
            assert!((4..=256).contains(&ufrag.len()) && (22..=256).contains(&password.len()));
        }
    }
}
