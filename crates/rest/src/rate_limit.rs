//! What a response says about Discord's rate limits.
//!
//! Source: Discord's documentation, "Rate Limits". Headers are sent with most responses; a 429 adds a body. Everything
//! here comes from the network, so every value is optional, and bounded where it is taken.

#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

use std::time::Duration;

use hyper::HeaderMap;
use serde::Deserialize;

/// The longest wait that is believed; Discord's own are far shorter, and Cloudflare bans last an hour.
const LONGEST: Duration = Duration::from_hours(24);

/// How long to stay away after a 429 that does not say.
const UNSTATED: Duration = Duration::from_secs(30);

/// Discord's error code for too many edits of a message that is older than an hour.
const OLD_MESSAGE: i64 = 30046;

/// The state of one bucket, from the `X-RateLimit-*` headers that accompany most responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Discord's name for the limit; `None` if the response did not name it.
    pub bucket: Option<Box<str>>,
    /// Requests allowed in one window.
    pub limit: u32,
    /// Requests left in this window.
    pub remaining: u32,
    /// Time until the window ends.
    pub reset_after: Duration,
}

impl Limits {
    /// Reads the headers of any response; `None` if they do not describe a limit.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        Some(Self {
            bucket: text(headers, "x-ratelimit-bucket").map(Into::into),
            limit: text(headers, "x-ratelimit-limit")?.parse().ok()?,
            remaining: text(headers, "x-ratelimit-remaining")?.parse().ok()?,
            reset_after: seconds(text(headers, "x-ratelimit-reset-after")?)?,
        })
    }
}

/// Whose limit a 429 speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// This bot's limit on one bucket.
    User,
    /// A limit on the resource that others use too; it does not count as an invalid request.
    Shared,
    /// This bot's limit on all requests.
    Global,
    /// A limit on one message, which others of its bucket are not held up by: edits of one that is old (error code 30046).
    Message,
    /// The response has no scope, nor an error code of Discord's: it comes from the edge (Cloudflare), and concerns everything from this address.
    Address,
}

impl Scope {
    /// The name Discord uses; `address` for the one that has none.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Shared => "shared",
            Self::Global => "global",
            Self::Message => "message",
            Self::Address => "address",
        }
    }
}

/// A 429: how long to wait, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The longest of what the headers and the body say; they differ in practice (discord-api-docs#6109).
    pub retry_after: Duration,
    /// Whose limit it was.
    pub scope: Scope,
}

impl Limited {
    /// Reads a response whose status is 429.
    pub fn from_response(headers: &HeaderMap, body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Body {
            retry_after: Option<f64>,
            global: bool,
            code: Option<i64>,
            message: Option<String>,
        }
        let body: Body = serde_json::from_slice(body).unwrap_or_default();
        let waits = [
            text(headers, "retry-after").and_then(seconds),
            text(headers, "x-ratelimit-reset-after").and_then(seconds),
            body.retry_after.and_then(duration),
        ];
        let global = body.global || text(headers, "x-ratelimit-global") == Some("true");
        let scope = match text(headers, "x-ratelimit-scope") {
            _ if global => Scope::Global,
            _ if body.code == Some(OLD_MESSAGE) => Scope::Message,
            Some("global") => Scope::Global,
            Some("user") => Scope::User,
            Some("shared") => Scope::Shared,
            // An error of Discord's own: Cloudflare's has no such code.
            _ if body.code.is_some() && body.message.is_some() => Scope::User,
            _ => Scope::Address,
        };
        Self {
            retry_after: waits.into_iter().flatten().max().unwrap_or(UNSTATED),
            scope,
        }
    }
}

/// The `Retry-After` of a response that is not a 429, such as a 503.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    text(headers, "retry-after").and_then(seconds)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn seconds(text: &str) -> Option<Duration> {
    duration(text.parse().ok()?)
}

fn duration(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    Some(
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(LONGEST)
            .min(LONGEST),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn reads_the_headers_of_a_success() {
        let headers = headers(&[
            ("x-ratelimit-bucket", "abcd"),
            ("x-ratelimit-limit", "5"),
            ("x-ratelimit-remaining", "4"),
            ("x-ratelimit-reset-after", "1.25"),
        ]);
        let limits = Limits::from_headers(&headers).unwrap();
        assert_eq!(limits.bucket.as_deref(), Some("abcd"));
        assert_eq!((limits.limit, limits.remaining), (5, 4));
        assert_eq!(limits.reset_after, Duration::from_millis(1250));
    }

    #[test]
    fn headers_that_make_no_sense_are_no_limit() {
        for (limit, remaining, reset) in [
            ("-1", "0", "1"),
            ("5", "x", "1"),
            ("5", "4", "NaN"),
            ("5", "4", "-1"),
        ] {
            let headers = headers(&[
                ("x-ratelimit-limit", limit),
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset-after", reset),
            ]);
            assert_eq!(Limits::from_headers(&headers), None);
        }
    }

    #[test]
    fn waits_for_the_longest_of_header_and_body() {
        let headers = headers(&[("retry-after", "1"), ("x-ratelimit-scope", "shared")]);
        let limited =
            Limited::from_response(&headers, br#"{"retry_after": 1163.0, "code": 20028}"#);
        assert_eq!(limited.retry_after, Duration::from_secs(1163));
        assert_eq!(limited.scope, Scope::Shared);
    }

    #[test]
    fn html_without_a_scope_concerns_the_address() {
        let limited = Limited::from_response(&HeaderMap::new(), b"<html>error code: 1015</html>");
        assert_eq!(
            (limited.scope, limited.retry_after),
            (Scope::Address, UNSTATED)
        );
    }

    #[test]
    fn an_error_of_discords_without_a_scope_concerns_its_bucket() {
        let discords =
            br#"{"message": "This channel has hit the write rate limit.", "code": 20028}"#;
        let limited = Limited::from_response(&HeaderMap::new(), discords);
        assert_eq!(limited.scope, Scope::User);
        let edge = br#"{"cloudflare_error": true, "error_code": 1015, "title": "Error 1015: You are being rate limited"}"#;
        let limited = Limited::from_response(&HeaderMap::new(), edge);
        assert_eq!(limited.scope, Scope::Address);
    }

    #[test]
    fn edits_of_an_old_message_concern_that_message() {
        let body = br#"{"message": "Maximum number of edits to messages older than 1 hour reached. Try again later", "code": 30046, "retry_after": 600}"#;
        for scope in [&[][..], &[("x-ratelimit-scope", "shared")]] {
            let limited = Limited::from_response(&headers(scope), body);
            assert_eq!(
                (limited.scope, limited.retry_after),
                (Scope::Message, Duration::from_secs(600))
            );
        }
    }

    #[test]
    fn global_is_told_by_header_or_body() {
        let by_header = headers(&[
            ("x-ratelimit-global", "true"),
            ("x-ratelimit-scope", "user"),
        ]);
        assert_eq!(Limited::from_response(&by_header, b"").scope, Scope::Global);
        let by_body = Limited::from_response(
            &HeaderMap::new(),
            br#"{"global": true, "retry_after": 0.5}"#,
        );
        assert_eq!(by_body.scope, Scope::Global);
    }

    #[test]
    fn an_endless_wait_is_bounded() {
        assert_eq!(seconds("1e300"), Some(LONGEST));
        assert_eq!(seconds("inf"), Some(LONGEST));
    }

    #[test]
    fn survives_random_bytes() {
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..fastrand::usize(0..48))
                .map(|_| fastrand::u8(..))
                .collect();
            let mut headers = HeaderMap::new();
            for name in [
                "retry-after",
                "x-ratelimit-reset-after",
                "x-ratelimit-limit",
                "x-ratelimit-remaining",
            ] {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    headers.insert(name, value);
                }
            }
            Limits::from_headers(&headers);
            assert!(Limited::from_response(&headers, &bytes).retry_after <= LONGEST);
        }
    }
}
