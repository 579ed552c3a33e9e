//! What Discord's REST answers.

use crate::Target;
use http::header::{HeaderName, HeaderValue};
use std::time::Duration;
use uro_discord_rest::rate_limit::{Limited, Limits};
use uro_discord_rest::{ApiError, HeaderMap, Response};

pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("rest-answers", answers),
    // Whatever happens to it, its timers are in the future and nobody waits in vain.
    ("rest-limiter", uro_discord_rest::script::run),
];

const HEADERS: [&str; 7] = [
    "retry-after",
    "x-ratelimit-bucket",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset-after",
    "x-ratelimit-scope",
    "x-ratelimit-global",
];

/// Lines are the values of the headers, and what is left is the body. It is read without a panic, and asks for no wait longer
/// than a day.
fn answers(data: &[u8]) {
    let mut parts = data.splitn(HEADERS.len() + 1, |byte| *byte == b'\n');
    let values = HEADERS.into_iter().zip(parts.by_ref());
    let headers: HeaderMap = values
        .filter_map(|(name, value)| {
            Some((
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value).ok()?,
            ))
        })
        .collect();
    let body = parts.next().unwrap_or_default();
    let day = Duration::from_secs(24 * 60 * 60);
    if let Some(limits) = Limits::from_headers(&headers) {
        assert!(limits.reset_after <= day);
    }
    assert!(Limited::from_response(&headers, body).retry_after <= day);
    let _ = ApiError::from_response(&Response {
        status: 400,
        headers,
        body: body.to_vec().into(),
    });
}
