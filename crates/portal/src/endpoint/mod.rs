//! The HTTP endpoint: WHIP (RFC 9725), WHEP, and `/peer`, which is both at once and has data channels.

mod fragment;
mod refusal;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, LOCATION,
    ORIGIN, VARY,
};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::routing::any;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::peer::Offer;
use crate::server::{
    Command, Hall, Kind, NoSession, Passport, Refused, Restarted, SessionAddress, Shared,
};
use crate::token::{Claims, Role};
use fragment::Fragment;
use refusal::Refusal;

/// Bytes of a body.
const BODY: usize = 64 * 1024;

/// How long a body may take.
const SLOW: Duration = Duration::from_secs(10);

/// How long a loop may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

const METHODS: HeaderValue = HeaderValue::from_static("POST, PATCH, DELETE, OPTIONS");

/// The address of who asks, as an extension of the request: from whoever listens, since proxies may be between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/portal/{*path}", any(handle))
        .with_state(shared)
}

type Answer = Result<Response<Body>, Refusal>;

async fn handle(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    request: Request,
) -> Response<Body> {
    let origin = request.headers().get(ORIGIN).cloned();
    let answer = route(&shared, &path, request).await;
    finish(&shared, origin.as_ref(), answer)
}

async fn route(shared: &Shared, path: &str, request: Request) -> Answer {
    let mut words = path.split('/').map(str::to_owned);
    let (id, kind, session) = (words.next(), words.next(), words.next());
    let kind = kind.and_then(|name| self::kind(&name));
    let (Some(id), Some(kind), None) = (id, kind, words.next()) else {
        return Err(Refusal::NotFound);
    };
    match (request.method().clone(), session) {
        (Method::OPTIONS, _) => Ok(options()),
        (Method::POST, None) => post(shared, id, kind, request).await,
        (Method::PATCH, Some(session)) => patch(shared, id, kind, session, request).await,
        (Method::DELETE, Some(session)) => delete(shared, id, kind, session, request).await,
        (_, None) => Err(Refusal::Method("POST, OPTIONS")),
        (_, Some(_)) => Err(Refusal::Method("PATCH, DELETE, OPTIONS")),
    }
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "whip" => Some(Kind::Whip),
        "whep" => Some(Kind::Whep),
        "peer" => Some(Kind::Peer),
        _ => None,
    }
}

/// What every answer has: whether the page that asks may read it.
fn finish(shared: &Shared, origin: Option<&HeaderValue>, answer: Answer) -> Response<Body> {
    let mut response = answer.unwrap_or_else(|refusal| refusal.response());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
    response
}

fn options() -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Content-Type, If-Match"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
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

/// Who asks, and whether he may ask that.
fn authorize(
    shared: &Shared,
    headers: &HeaderMap,
    id: &str,
    kind: Kind,
) -> Result<Claims, Refusal> {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
        .map(|(_, token)| token.trim())
        .ok_or(Refusal::NoToken)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let claims = shared.keys.verify(bearer, now).map_err(Refusal::Token)?;
    if claims.portal != id {
        return Err(Refusal::OtherPortal);
    }
    let may = match claims.role {
        Role::Peer => true,
        Role::Publish => kind == Kind::Whip,
        Role::Watch => kind == Kind::Whep,
    };
    may.then_some(claims).ok_or(Refusal::Role(kind))
}

/// The media type of a body, without parameters.
fn is(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
}

/// Whether an answer of SDP is taken.
fn accepts(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(ACCEPT) else {
        return true;
    };
    let Ok(accept) = accept.to_str() else {
        return false;
    };
    accept.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        [SDP, "application/*", "*/*", FRAGMENT].contains(&range.to_ascii_lowercase().as_str())
    })
}

async fn text(body: Body) -> Result<String, Refusal> {
    let collected = timeout(SLOW, Limited::new(body, BODY).collect()).await;
    let bytes: Bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Refusal::TooLarge),
        Ok(Err(_)) | Err(_) => return Err(Refusal::Broken),
    };
    String::from_utf8(bytes.into()).map_err(|_| Refusal::NotText)
}

/// A name for a session that nobody guesses.
fn name() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Refusal::Internal)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Asks a portal's loop.
async fn ask<T>(
    shared: &Shared,
    hall: &Hall,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, Refusal> {
    let home = shared.home(hall).ok_or(Refusal::Busy)?;
    let (reply, answer) = oneshot::channel();
    home.commands
        .try_send(command(reply))
        .map_err(|_| Refusal::Busy)?;
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(Refusal::Busy),
    }
}

async fn post(shared: &Shared, id: String, kind: Kind, request: Request) -> Answer {
    let claims = authorize(shared, request.headers(), &id, kind)?;
    if !is(request.headers(), SDP) {
        return Err(Refusal::MediaType(SDP));
    }
    if !accepts(request.headers()) {
        return Err(Refusal::NotAcceptable);
    }
    let hall = shared.hall(&id).ok_or(Refusal::NoPortal)?;
    let address = request.extensions().get::<ClientAddress>().copied();
    let body = text(request.into_body()).await?;
    let offer = Offer::parse(&body).map_err(Refusal::Offer)?;
    check(&offer, kind)?;
    let seat = shared
        .census
        .seat(
            &shared.limits,
            &id,
            &claims.jti,
            address.map(|ClientAddress(ip)| ip),
        )
        .map_err(Refusal::Full)?;
    let session = name()?;
    let passport = Passport {
        session: session.clone(),
        claims,
        kind,
        _seat: seat,
    };
    let joined = ask(shared, &hall, |reply| Command::Join {
        hall: hall.clone(),
        offer,
        passport,
        reply,
    })
    .await?;
    let (answer, ufrag) = joined.map_err(|refused| match refused {
        Refused::Offer(error) => Refusal::Offer(error),
        Refused::Closed => Refusal::NoPortal,
        Refused::Panic => Refusal::Internal,
    })?;
    let mut response = Response::new(Body::from(answer));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(SDP));
    let location = format!("/portal/{id}/{kind}/{session}");
    headers.insert(
        LOCATION,
        HeaderValue::try_from(location).map_err(|_| Refusal::Internal)?,
    );
    headers.insert(ETAG, etag(&ufrag)?);
    Ok(response)
}

/// Whether an offer is one for this endpoint.
fn check(offer: &Offer, kind: Kind) -> Result<(), Refusal> {
    let audio = offer.audio();
    let good = match kind {
        Kind::Whip => audio.is_some_and(|it| it.sends) && !offer.data(),
        Kind::Whep => audio.is_some_and(|it| it.receives) && !offer.data(),
        Kind::Peer => audio.is_some() || offer.data(),
    };
    good.then_some(()).ok_or(Refusal::Wants(kind))
}

fn etag(ufrag: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::try_from(format!("\"{ufrag}\"")).map_err(|_| Refusal::Internal)
}

/// Whether ICE is to begin anew. HTTP writes a bare asterisk, the examples of WHIP one in quotes; clients send either.
fn any_tag(tag: &HeaderValue) -> bool {
    tag == "*" || tag == "\"*\""
}

async fn patch(
    shared: &Shared,
    id: String,
    kind: Kind,
    session: String,
    request: Request,
) -> Answer {
    let claims = authorize(shared, request.headers(), &id, kind)?;
    if !is(request.headers(), FRAGMENT) {
        return Err(Refusal::MediaType(FRAGMENT));
    }
    let hall = shared.hall(&id).ok_or(Refusal::NoSession)?;
    let tag = request.headers().get(IF_MATCH).cloned();
    let body = text(request.into_body()).await?;
    let fragment = Fragment::parse(&body)?;
    let session = SessionAddress {
        portal: id,
        kind,
        session,
        subject: claims.sub,
    };
    if !tag.as_ref().is_some_and(any_tag) {
        // Candidates: ICE-lite waits to be checked, and needs none of them.
        let looked = ask(shared, &hall, |reply| Command::Look { session, reply }).await?;
        let ufrag = looked.map_err(|NoSession| Refusal::NoSession)?;
        if tag.is_some_and(|tag| etag(&ufrag).is_ok_and(|ours| ours != tag)) {
            return Err(Refusal::Precondition);
        }
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    let (ufrag, password) = fragment.credentials.ok_or(Refusal::NoCredentials)?;
    let restarted = ask(shared, &hall, |reply| Command::Restart {
        session,
        ufrag,
        password,
        reply,
    })
    .await?;
    match restarted.map_err(|NoSession| Refusal::NoSession)? {
        Restarted::Refused(why) => Err(Refusal::Restart(why)),
        Restarted::Done { lines, ufrag } => {
            let mut response = Response::new(Body::from(lines));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
            headers.insert(ETAG, etag(&ufrag)?);
            Ok(response)
        }
    }
}

async fn delete(
    shared: &Shared,
    id: String,
    kind: Kind,
    session: String,
    request: Request,
) -> Answer {
    let claims = authorize(shared, request.headers(), &id, kind)?;
    let hall = shared.hall(&id).ok_or(Refusal::NoSession)?;
    let session = SessionAddress {
        portal: id,
        kind,
        session,
        subject: claims.sub,
    };
    let ended = ask(shared, &hall, |reply| Command::End { session, reply }).await?;
    ended.map_err(|NoSession| Refusal::NoSession)?;
    Ok(empty(StatusCode::OK))
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
