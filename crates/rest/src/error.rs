//! What can go wrong with a call. No variant holds a token, a path or a response's whole body.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::rate_limit::Scope;
use crate::request::Response;

/// Longer error bodies are not read for what they say.
const MAX_ERROR_BODY: usize = 256 << 10;

pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Discord does not accept the bot's token (401). Nothing more is sent in the bot's name by this client, but for one
    /// request a minute that goes to see.
    #[error("Discord rejected the bot token (401); one request in {} s will see whether it still does", retry_after.as_secs())]
    Unauthorized {
        /// Time until the next may go to see.
        retry_after: Duration,
    },
    /// Discord answered with another status than 2xx.
    #[error(transparent)]
    Api(ApiError),
    /// Discord, or what stands before it, cannot answer now: a 5xx, an answer that is not Discord's own (a page of
    /// Cloudflare's or of a proxy, whatever its status), or code 40333. It says nothing about the request.
    #[error("Discord cannot answer now: {} {}", .0.status, .0.message)]
    Weather(#[source] ApiError),
    /// Discord's limit does not let the call through in its time (or, as the last of several attempts, just did not).
    #[error("rate limited ({}) for another {} ms", scope.name(), retry_after.as_millis())]
    RateLimited {
        /// Time until the limit lifts.
        retry_after: Duration,
        /// Whose limit it is.
        scope: Scope,
    },
    /// The call's time was up.
    #[error("the call's deadline of {} ms {phase}, after {attempts} attempts{}", after.as_millis(), because(last.as_deref()))]
    Deadline {
        /// The time the call had.
        after: Duration,
        /// What it was doing.
        phase: Phase,
        /// How often it had been sent.
        attempts: u32,
        /// Why the last attempt failed, if there was one.
        #[source]
        last: Option<Box<Error>>,
    },
    /// Every attempt failed.
    #[error("all {attempts} attempts failed; the last: {last}")]
    Attempts {
        /// How often it was sent.
        attempts: u32,
        /// Why the last attempt failed.
        #[source]
        last: Box<Error>,
    },
    /// Too many requests were rejected lately (401, 403, 429): Discord bans an address after 10,000 in 10 minutes.
    #[error("not sent: too many requests were rejected lately; the next may go in {} s", retry_after.as_secs())]
    Breaker {
        /// Time until requests may go out again.
        retry_after: Duration,
    },
    /// Too many calls wait already.
    #[error("not sent: {0} calls are waiting already")]
    QueueFull(usize),
    /// There is no connection, so nothing was sent.
    #[error("cannot connect to Discord: {}", innermost(.0.as_ref()))]
    Connect(#[source] Source),
    /// The connection broke before the whole answer was here; Discord may have acted upon the request.
    #[error("the connection broke before the answer was complete: {}", innermost(.0.as_ref()))]
    ConnectionLost(#[source] Source),
    /// An attempt got no answer in its time; Discord may have acted upon the request.
    #[error("no answer within {} ms", after.as_millis())]
    Timeout {
        /// The time one attempt has.
        after: Duration,
    },
    /// The request cannot be sent as it is.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// A builder of twilight's refuses what it was given.
    #[error("invalid request: {0}")]
    Builder(#[source] twilight_http::Error),
    /// The answer is larger than the client takes.
    #[error("the answer is larger than {limit} bytes")]
    BodyTooLarge {
        /// The most it takes, in bytes.
        limit: usize,
    },
}

/// What a call was doing when its deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for its turn under the rate limits.
    Queued,
    /// Waiting for an answer.
    Sent,
    /// Pausing before the next attempt.
    Pausing,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queued => "passed in the queue",
            Self::Sent => "passed while waiting for an answer",
            Self::Pausing => "leaves no time for another attempt",
        })
    }
}

/// Discord's answer when it is not 2xx.
#[derive(Clone, Debug, Error)]
#[error("Discord answered {status}{}: {message}", with_code(*code))]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// Discord's error code, such as 50035; `None` if the answer has none.
    pub code: Option<i64>,
    /// What Discord says, or the status in words.
    pub message: String,
    /// The `errors` object of a 50035, which names the fields.
    pub errors: Option<Box<RawValue>>,
    /// Whether the answer has one of the two forms that Discord's have.
    discords: bool,
}

/// "internal network error": Discord's edge refuses a request that Discord itself never saw.
const INTERNAL_NETWORK_ERROR: i64 = 40_333;

impl ApiError {
    /// Whether this is Discord's word about the request. A 4xx that lacks Discord's JSON is not.
    pub(crate) fn is_final(&self) -> bool {
        self.discords && self.status < 500 && self.code != Some(INTERNAL_NETWORK_ERROR)
    }

    /// Whether Discord itself wrote the answer.
    pub(crate) fn is_discords(&self) -> bool {
        self.discords
    }

    /// Reads what Discord says, in either of the two forms it has: the API's and OAuth's.
    #[must_use]
    pub fn from_response(response: &Response) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Body {
            code: Option<i64>,
            message: Option<String>,
            errors: Option<Box<RawValue>>,
            error: Option<String>,
            error_description: Option<String>,
        }
        let body = Some(&response.body).filter(|body| body.len() <= MAX_ERROR_BODY);
        let body: Body = body
            .and_then(|body| serde_json::from_slice(body).ok())
            .unwrap_or_default();
        let oauth = body.error.map(|error| match body.error_description {
            Some(description) => format!("{error}: {description}"),
            None => error,
        });
        let status = hyper::StatusCode::from_u16(response.status).ok();
        let reason = status
            .and_then(|status| status.canonical_reason())
            .unwrap_or("unknown status");
        Self {
            status: response.status,
            discords: body.code.is_some() && body.message.is_some() || oauth.is_some(),
            code: body.code,
            message: body.message.or(oauth).unwrap_or_else(|| reason.to_owned()),
            errors: body.errors,
        }
    }
}

fn with_code(code: Option<i64>) -> String {
    code.map(|code| format!(" (code {code})"))
        .unwrap_or_default()
}

fn because(last: Option<&Error>) -> String {
    last.map(|error| format!("; the last failed: {error}"))
        .unwrap_or_default()
}

impl Error {
    /// The answer behind this error, also of the last attempt of several.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) | Self::Weather(error) => Some(error),
            Self::Attempts { last, .. } => last.api(),
            Self::Deadline { last, .. } => last.as_deref().and_then(Self::api),
            _ => None,
        }
    }

    /// The HTTP status behind this error, if an answer came.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorized { .. } => Some(401),
            _ => self.api().map(|api| api.status),
        }
    }

    /// When it may be worth trying again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::Unauthorized { retry_after }
            | Self::Breaker { retry_after } => Some(*retry_after),
            Self::Attempts { last, .. } => last.retry_after(),
            Self::Deadline { last, .. } => last.as_deref().and_then(Self::retry_after),
            _ => None,
        }
    }
}

/// The cause at the bottom; the errors above it only say that there is one.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
