//! The still picture: the newest JPEG of the camera that is on air, as its sender made it.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use ring::digest::{SHA256, digest};

use super::refusal::Refusal;
use super::request::authorize;
use super::session::ask;
use super::{Answer, ClientAddress, empty, options};
use crate::server::{Command, Kind, Shared};

/// What it is called in a portal's folder.
pub(super) const NAME: &str = "still.jpg";

const METHODS: &str = "GET, HEAD, OPTIONS";

/// A browser asks for it once a second at most; whoever else asks, twice (`Admission::still`).
const FRESH: &str = "private, max-age=1";

pub(super) async fn answer(shared: &Shared, id: &str, request: Request) -> Answer {
    match request.method().clone() {
        Method::GET | Method::HEAD => get(shared, id, request).await,
        Method::OPTIONS => {
            let methods = HeaderValue::from_static(METHODS);
            Ok(options(methods, "Authorization, If-None-Match"))
        }
        _ => Err(Refusal::Method(METHODS)),
    }
}

async fn get(shared: &Shared, id: &str, request: Request) -> Answer {
    let claims = authorize(shared, request.headers(), id, Kind::Whep)?;
    let link = shared.link(id).ok_or(Refusal::NoPortal)?;
    let address = request.extensions().get::<ClientAddress>();
    let address = address.map(|ClientAddress(ip)| *ip);
    let limits = &shared.limits;
    let admission = &shared.admission;
    if !admission.still(limits, &claims.jti, address, Instant::now()) {
        return Err(Refusal::StillOften);
    }
    let asked = Arc::clone(&link);
    let asking = ask(shared, &link, |reply| Command::Still { link: asked, reply });
    let picture = asking.await?.ok_or(Refusal::NoPicture)?;
    let tag = tag(&picture);
    let mut response = if is_known(request.headers(), &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        jpeg(picture)
    };
    let headers = response.headers_mut();
    let tag = HeaderValue::try_from(tag).map_err(|_| Refusal::Internal)?;
    headers.insert(ETAG, tag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(FRESH));
    headers.append(VARY, AUTHORIZATION.into());
    Ok(response)
}

/// Strangers made it: browsers are not to take it for anything else.
fn jpeg(picture: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(picture));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The same picture has the same one, whoever sends it.
fn tag(picture: &[u8]) -> String {
    let digest = digest(&SHA256, picture);
    let bytes = digest.as_ref().first_chunk().copied().unwrap_or_default();
    format!("\"{:032x}\"", u128::from_be_bytes(bytes))
}

/// Whether who asks has it.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(IF_NONE_MATCH).iter();
    let mut tags = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim);
    tags.any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_is_known_is_told_by_its_tag() {
        let (one, other) = (tag(b"one"), tag(b"other"));
        assert_eq!(one.len(), 34);
        assert_ne!(one, other);
        let known = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::try_from(value).unwrap());
            is_known(&headers, &one)
        };
        assert!(known(&one) && known("*"));
        assert!(known(&format!("{other}, W/{one}")));
        assert!(!known(&other) && !known(""));
        assert!(!is_known(&HeaderMap::new(), &one));
    }
}
