//! A peer's session: made by an offer, mended by fragments, ended by DELETE.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, LOCATION};
use axum::http::{HeaderMap, Response, StatusCode};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::fragment::Fragment;
use super::refusal::Refusal;
use super::request::{FRAGMENT, SDP, accepts, authorize, content_type, now, text};
use super::{Answer, ClientAddress, empty};
use crate::peer::Offer;
use crate::server::{
    Command, Kind, NoSession, PeerInfo, Refused, Restarted, RoomLink, SessionAddress, Shared,
};
use crate::token::Claims;

/// Bytes of a path's beginning that a proxy takes away.
const PREFIX: usize = 128;

/// How long a loop may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// An offer: 201, with the answer and where the session is.
pub(super) async fn post(shared: &Shared, id: String, kind: Kind, request: Request) -> Answer {
    let claims = authorize(shared, request.headers(), &id, kind)?;
    content_type(request.headers(), SDP)?;
    if !accepts(request.headers()) {
        return Err(Refusal::NotAcceptable);
    }
    let link = shared.link(&id).ok_or(Refusal::NoPortal)?;
    let address = request.extensions().get::<ClientAddress>().copied();
    let prefix = prefix(request.headers());
    let placeholder = !request.uri().query().is_some_and(no_placeholder);
    let body = text(request.into_body()).await?;
    let offer = Offer::parse(&body).map_err(Refusal::Offer)?;
    check(&offer, kind)?;
    let permit = shared
        .admission
        .permit(
            &shared.limits,
            &claims,
            kind,
            address.map(|ClientAddress(ip)| ip),
            Instant::now(),
        )
        .map_err(Refusal::Full)?;
    let session = name()?;
    let info = PeerInfo {
        session: session.clone(),
        until: until(&claims),
        claims,
        kind,
        _permit: Some(permit),
    };
    let joined = ask(shared, &link, |reply| Command::Join {
        link: link.clone(),
        offer,
        info,
        placeholder,
        reply,
    })
    .await?;
    let (answer, ufrag) = joined.map_err(|refused| match refused {
        Refused::Offer(error) => Refusal::Offer(error),
        Refused::Closed => Refusal::NoPortal,
        Refused::Stopped => Refusal::Stopped,
        Refused::Panic => Refusal::Internal,
    })?;
    let mut response = Response::new(Body::from(answer));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(SDP));
    let location = format!("{prefix}/portal/{id}/{kind}/{session}");
    headers.insert(
        LOCATION,
        HeaderValue::try_from(location).map_err(|_| Refusal::Internal)?,
    );
    headers.insert(ETAG, etag(&ufrag)?);
    Ok(response)
}

/// Whether a page says in words that there is no picture.
fn no_placeholder(query: &str) -> bool {
    query.split('&').any(|it| it == "placeholder=false")
}

/// What a proxy has taken from the path, which the client's next requests have to have. No reference without it would do: OBS takes
/// a `Location` for a whole path.
fn prefix(headers: &HeaderMap) -> String {
    let prefix = headers
        .get("x-forwarded-prefix")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .trim_end_matches('/');
    let good = |it: u8| it.is_ascii_alphanumeric() || b"/-_.~".contains(&it);
    let path = prefix.len() <= PREFIX
        && prefix.starts_with('/')
        && !prefix.starts_with("//")
        && prefix.bytes().all(good);
    if path {
        prefix.to_owned()
    } else {
        String::new()
    }
}

/// Candidates (204), or credentials with which ICE begins anew (200).
pub(super) async fn patch(
    shared: &Shared,
    id: String,
    kind: Kind,
    session: String,
    request: Request,
) -> Answer {
    let (link, session) = find(shared, request.headers(), id, kind, session)?;
    content_type(request.headers(), FRAGMENT)?;
    let tag = request.headers().get(IF_MATCH).cloned();
    let fragment = Fragment::parse(&text(request.into_body()).await?)?;
    if tag.as_ref().is_some_and(any_tag) {
        return restart(shared, &link, session, fragment).await;
    }
    // Candidates: ICE-lite waits to be checked, and needs none of them.
    let looked = ask(shared, &link, |reply| Command::Look { session, reply }).await?;
    let ufrag = looked.map_err(|NoSession| Refusal::NoSession)?;
    if tag.is_some_and(|tag| etag(&ufrag).is_ok_and(|ours| ours != tag)) {
        return Err(Refusal::Precondition);
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Whether ICE is to begin anew. HTTP writes a bare asterisk, the examples of WHIP one in quotes; clients send either.
fn any_tag(tag: &HeaderValue) -> bool {
    tag == "*" || tag == "\"*\""
}

async fn restart(
    shared: &Shared,
    link: &RoomLink,
    session: SessionAddress,
    fragment: Fragment,
) -> Answer {
    let (ufrag, password) = fragment.credentials.ok_or(Refusal::NoCredentials)?;
    let restarted = ask(shared, link, |reply| Command::Restart {
        session,
        ufrag,
        password,
        reply,
    })
    .await?;
    match restarted.map_err(|NoSession| Refusal::NoSession)? {
        Restarted::Refused(why) => Err(Refusal::Restart(why)),
        Restarted::Often => Err(Refusal::Often),
        Restarted::Done { lines, ufrag } => {
            let mut response = Response::new(Body::from(lines));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
            headers.insert(ETAG, etag(&ufrag)?);
            Ok(response)
        }
    }
}

/// The end: 200.
pub(super) async fn delete(
    shared: &Shared,
    id: String,
    kind: Kind,
    session: String,
    request: Request,
) -> Answer {
    let (link, session) = find(shared, request.headers(), id, kind, session)?;
    let ended = ask(shared, &link, |reply| Command::End { session, reply }).await?;
    ended.map_err(|NoSession| Refusal::NoSession)?;
    Ok(empty(StatusCode::OK))
}

/// How a publisher is: whether his picture is on air, how many see it, and a token for when his connection is lost. 200.
pub(super) async fn air(
    shared: &Shared,
    id: String,
    session: String,
    headers: &HeaderMap,
) -> Answer {
    let claims = authorize(shared, headers, &id, Kind::Whip)?;
    let (link, session) = find(shared, headers, id, Kind::Whip, session)?;
    let found = ask(shared, &link, |reply| Command::Air { session, reply }).await?;
    let air = found.map_err(|NoSession| Refusal::NoSession)?;
    let body = serde_json::json!({
        "connected": air.connected,
        "on_air": air.on_air,
        "viewers": air.viewers,
        "token": shared.keys.renew(&claims, now()),
    });
    let mut response = Response::new(Body::from(body.to_string()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

/// The session that a request is about, as its bearer may name it, and the portal that it is in.
fn find(
    shared: &Shared,
    headers: &HeaderMap,
    id: String,
    kind: Kind,
    session: String,
) -> Result<(Arc<RoomLink>, SessionAddress), Refusal> {
    let claims = authorize(shared, headers, &id, kind)?;
    let link = shared.link(&id).ok_or(Refusal::NoSession)?;
    let session = SessionAddress {
        portal: id,
        kind,
        session,
        subject: claims.sub,
    };
    Ok((link, session))
}

/// Whether an offer is one for this endpoint.
fn check(offer: &Offer, kind: Kind) -> Result<(), Refusal> {
    // A program that only publishes would say that it is live, and nobody would see anything.
    if kind == Kind::Whip && offer.unknown_video() && offer.video().is_none() {
        return Err(Refusal::NoCodec);
    }
    let video = offer.video().map(|(direction, _)| direction);
    let mut media = [offer.audio(), video].into_iter().flatten();
    let good = match kind {
        Kind::Whip => media.any(|it| it.sends) && !offer.data(),
        Kind::Whep => media.any(|it| it.receives) && !offer.data(),
        Kind::Peer => media.next().is_some() || offer.data(),
        Kind::Tv => false,
    };
    good.then_some(()).ok_or(Refusal::Wants(kind))
}

fn etag(ufrag: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::try_from(format!("\"{ufrag}\"")).map_err(|_| Refusal::Internal)
}

/// Until when the bearer of a token may stay.
pub(super) fn until(claims: &Claims) -> Option<Instant> {
    Instant::now().checked_add(claims.stays(now())?)
}

/// A name for a session that nobody guesses.
pub(super) fn name() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Refusal::Internal)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Asks a portal's loop.
pub(super) async fn ask<T>(
    shared: &Shared,
    link: &RoomLink,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, Refusal> {
    let media_loop = shared.media_loop(link).ok_or(Refusal::Busy)?;
    let (reply, answer) = oneshot::channel();
    media_loop
        .commands
        .try_send(command(reply))
        .map_err(|_| Refusal::Busy)?;
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(Refusal::Busy),
    }
}
