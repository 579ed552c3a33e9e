//! What is looked at of every request: who asks, and for what media type.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use super::refusal::Refusal;
use crate::server::{Kind, Shared};
use crate::token::{Claims, Role};

/// Bytes of a body.
pub(super) const BODY: usize = 64 * 1024;

/// How long a body may take.
const SLOW: Duration = Duration::from_secs(10);

pub(super) const SDP: &str = "application/sdp";
pub(super) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Who asks, and whether he may ask that.
pub(super) fn authorize(
    shared: &Shared,
    headers: &HeaderMap,
    id: &str,
    kind: Kind,
) -> Result<Claims, Refusal> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
        .map(|(_, token)| token.trim())
        .ok_or(Refusal::NoToken)?;
    bearer(shared, token, id, kind)
}

/// Who has a token, and whether he may ask that.
pub(super) fn bearer(
    shared: &Shared,
    token: &str,
    id: &str,
    kind: Kind,
) -> Result<Claims, Refusal> {
    let claims = shared.keys.verify(token, now()).map_err(Refusal::Token)?;
    if claims.portal != id {
        return Err(Refusal::OtherPortal);
    }
    let may = match claims.role {
        Role::Peer => true,
        Role::Publish => kind == Kind::Whip,
        Role::Watch => matches!(kind, Kind::Whep | Kind::Tv),
    };
    may.then_some(claims).ok_or(Refusal::Role(kind))
}

/// In seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Refuses a body of another media type. Parameters do not count.
pub(super) fn content_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), Refusal> {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .filter(|value| value.trim().eq_ignore_ascii_case(wanted))
        .map(|_| ())
        .ok_or(Refusal::MediaType(wanted))
}

/// Whether an answer of SDP is taken.
pub(super) fn accepts(headers: &HeaderMap) -> bool {
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

pub(super) async fn text(body: Body) -> Result<String, Refusal> {
    let collected = timeout(SLOW, Limited::new(body, BODY).collect()).await;
    let bytes: Bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Refusal::TooLarge),
        Ok(Err(_)) | Err(_) => return Err(Refusal::Broken),
    };
    String::from_utf8(bytes.into()).map_err(|_| Refusal::NotText)
}
