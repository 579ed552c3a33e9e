//! Versions of the API: the newest, and the sixth, which is also that of paths without a version
//! (`developers/reference`, "API Versioning").

use axum::http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

/// A version, as far as routes of ours differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Six,
    Ten,
}

/// The paths under which the API is served.
pub const PREFIXES: [(&str, Version); 3] = [
    (super::PREFIX, Version::Ten),
    ("/api/v6", Version::Six),
    ("/api", Version::Six),
];

/// The template of a route, without the prefix.
pub fn template(path: &str) -> Option<&str> {
    let prefixes = PREFIXES.iter().map(|(prefix, _)| prefix);
    prefixes
        .filter_map(|prefix| path.strip_prefix(prefix))
        .next()
}

impl Version {
    pub fn number(self) -> u8 {
        match self {
            Self::Six => 6,
            Self::Ten => 10,
        }
    }

    /// The body of a 429.
    pub fn retry_after(self, seconds: f64) -> Value {
        match self {
            Self::Ten => json!(seconds),
            Self::Six => json!((seconds * 1_000.0).ceil() as u64),
        }
    }

    /// The headers of rate limits: version 6 waits in milliseconds, and tells moments in whole seconds unless the client
    /// asks for `X-RateLimit-Precision: millisecond`.
    pub fn limit_headers(self, headers: &mut HeaderMap, retry_after: Option<f64>, precise: bool) {
        if self == Self::Ten {
            return;
        }
        if let Some(seconds) = retry_after {
            let ms = (seconds * 1_000.0).ceil() as u64;
            headers.insert("retry-after", HeaderValue::from(ms));
        }
        if precise {
            return;
        }
        for name in ["x-ratelimit-reset", "x-ratelimit-reset-after"] {
            let text = headers.get(name).and_then(|value| value.to_str().ok());
            if let Some(moment) = text.and_then(|text| text.parse::<f64>().ok()) {
                headers.insert(name, HeaderValue::from(moment.ceil() as u64));
            }
        }
    }
}
