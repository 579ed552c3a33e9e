//! Whatever an answer holds, it is read without a panic, and asks for no wait longer than a day.
#![no_main]

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use uro_discord_rest::rate_limit::{Limited, Limits};
use uro_discord_rest::{ApiError, HeaderMap, Response};

const HEADERS: [&str; 7] = [
    "retry-after",
    "x-ratelimit-bucket",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset-after",
    "x-ratelimit-scope",
    "x-ratelimit-global",
];

// Lines are the values of the headers, and what is left is the body.
fuzz_target!(|data: &[u8]| {
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
});
