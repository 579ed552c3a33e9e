//! The client: one call becomes one or more attempts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited as LimitedBody};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::config::{Config, ConfigError};
use crate::error::{ApiError, Error, Phase};
use crate::gate::{Gate, Turn};
use crate::limiter::{Limiter, MAX_QUEUED, Outcome, Status, Verdict};
use crate::prepared::{Defaults, Prepared};
use crate::rate_limit::{Limited, Limits, retry_after};
use crate::request::{Request, Response, Retry};
use crate::transport::{self, Transport};

/// The slowest upload that is waited for, in bytes a second.
const SLOWEST_UPLOAD: u64 = 64 << 10;

/// The longest pause between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// Longer error bodies are not read for what they say.
const MAX_ERROR_BODY: usize = 256 << 10;

/// Sends requests to Discord, within its limits. Cheap to clone; clones share connections and limits.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    config: Config,
    defaults: Defaults,
    gate: Gate,
    transport: Transport,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client with these settings. It connects when it first sends.
    ///
    /// # Errors
    /// The setting that cannot be used.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let limiter = Limiter::new(config.rest_proxy.is_some(), config.max_rejected);
        Ok(Self(Arc::new(Inner {
            defaults: Defaults::new(&config)?,
            transport: transport::new(&config)?,
            gate: Gate::new(limiter),
            config,
        })))
    }

    /// Sends a request, as often as needed and allowed, when the limits permit.
    ///
    /// Dropping the future frees its place in the queue, or gives up the attempt.
    ///
    /// # Errors
    /// Every answer but 2xx, and all that may go wrong before one is here.
    pub async fn send(&self, request: impl Into<Request>) -> Result<Response, Error> {
        let request = request.into();
        let (retry, allowed) = (request.retry, request.deadline);
        let deadline = Instant::now() + allowed;
        let priority = request.priority;
        let prepared = Prepared::new(request, &self.0.defaults)?;
        let turn = self
            .0
            .gate
            .enter(prepared.route.clone(), priority)
            .ok_or(Error::QueueFull(MAX_QUEUED))?;
        let mut attempts = 0;
        let mut last: Option<Error> = None;
        loop {
            let out_of_time = |phase, attempts, last: Option<Error>| Error::Deadline {
                after: allowed,
                phase,
                attempts,
                last: last.map(Box::new),
            };
            match self.wait(&turn, deadline).await {
                Ok(()) => {}
                Err(Refused::Deadline) => return Err(out_of_time(Phase::Queued, attempts, last)),
                Err(Refused::Error(error)) => return Err(error),
            }
            attempts += 1;
            let error = match self.attempt(&turn, &prepared, deadline).await {
                Ok(response) => return Ok(response),
                Err(Failed {
                    error,
                    again: Again::No,
                }) => return Err(error),
                Err(Failed {
                    again: Again::IfSafe(_),
                    error,
                }) if retry == Retry::Never => return Err(error),
                Err(failed) => {
                    tracing::debug!(route = %prepared.route, attempts, error = %failed.error, "attempt failed");
                    if attempts >= self.0.config.max_attempts {
                        return Err(Error::Attempts {
                            attempts,
                            last: Box::new(failed.error),
                        });
                    }
                    if let Some(pause) = failed.again.pause(&self.0.config, attempts) {
                        let until = Instant::now() + pause;
                        if until >= deadline {
                            return Err(out_of_time(Phase::Pausing, attempts, Some(failed.error)));
                        }
                        sleep_until(until).await;
                    }
                    failed.error
                }
            };
            last = Some(error);
        }
    }

    /// How the client is doing.
    pub fn status(&self) -> Status {
        self.0.gate.status()
    }

    async fn wait(&self, turn: &Turn, deadline: Instant) -> Result<(), Refused> {
        let mut waiting = std::pin::pin!(timeout_at(deadline, turn.wait()));
        // A first look, so that a call that cannot make it says so at once.
        let verdict = tokio::select! {
            biased;
            verdict = &mut waiting => verdict,
            () = std::future::ready(()) => {
                match turn.held_until() {
                    Some(held) if held.0 > deadline => return Err(rate_limited(held)),
                    _ => waiting.await,
                }
            }
        };
        match verdict {
            Ok(Verdict::Go) => Ok(()),
            Ok(Verdict::Unauthorized) => Err(Refused::Error(Error::Unauthorized)),
            Ok(Verdict::Breaker(retry_after)) => {
                Err(Refused::Error(Error::Breaker { retry_after }))
            }
            Err(_) => Err(turn.held_until().map_or(Refused::Deadline, rate_limited)),
        }
    }

    /// Sends once and tells the limiter what came of it.
    async fn attempt(
        &self,
        turn: &Turn,
        prepared: &Prepared,
        deadline: Instant,
    ) -> Result<Response, Failed> {
        let upload = Duration::from_secs(prepared.len() as u64 / SLOWEST_UPLOAD);
        let allowed = (self.0.config.attempt_timeout + upload).min(deadline - Instant::now());
        let answer = tokio::time::timeout(allowed, self.exchange(prepared)).await;
        let answer = answer.unwrap_or(Err(Error::Timeout { after: allowed }));
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                turn.done(Outcome::Lost);
                let again = match error {
                    Error::Connect(_) => Again::Yes,
                    Error::ConnectionLost(_) | Error::Timeout { .. } => Again::IfSafe(None),
                    _ => Again::No,
                };
                return Err(Failed { error, again });
            }
        };
        let limits = Limits::from_headers(&response.headers);
        let limited = (response.status == 429)
            .then(|| Limited::from_response(&response.headers, &response.body));
        turn.done(Outcome::Answered {
            status: response.status,
            limits: limits.as_ref(),
            limited,
        });
        match response.status {
            200..=299 => Ok(response),
            401 if prepared.route.account == crate::route::Account::Bot => Err(Failed {
                error: Error::Unauthorized,
                again: Again::No,
            }),
            429 => Err(Failed {
                error: api_error(&response).into(),
                again: Again::WhenPermitted,
            }),
            500..=599 => {
                let again = Again::IfSafe(retry_after(&response.headers));
                Err(Failed {
                    error: api_error(&response).into(),
                    again,
                })
            }
            _ => Err(Failed {
                error: api_error(&response).into(),
                again: Again::No,
            }),
        }
    }

    async fn exchange(&self, prepared: &Prepared) -> Result<Response, Error> {
        let answer = self
            .0
            .transport
            .request(prepared.to_http())
            .await
            .map_err(|error| {
                let reason = innermost(&error);
                if error.is_connect() {
                    Error::Connect(reason)
                } else {
                    Error::ConnectionLost(reason)
                }
            })?;
        let (head, body) = answer.into_parts();
        let limit = self.0.config.max_response;
        let body = LimitedBody::new(body, limit)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Error::BodyTooLarge { limit }
                } else {
                    Error::ConnectionLost(innermost(error.as_ref()))
                }
            })?;
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

/// Why a call does not get its turn.
enum Refused {
    Deadline,
    Error(Error),
}

/// An attempt that came to nothing.
struct Failed {
    error: Error,
    again: Again,
}

/// Whether to try again.
enum Again {
    No,
    /// Discord cannot have acted upon it.
    Yes,
    /// Discord rejected it for now; the limiter knows until when.
    WhenPermitted,
    /// Discord may have acted upon it; it may have said how long to wait.
    IfSafe(Option<Duration>),
}

impl Again {
    /// How long to pause after so many attempts: twice as long each time, half of it random.
    fn pause(&self, config: &Config, attempts: u32) -> Option<Duration> {
        let asked = match self {
            Self::No | Self::WhenPermitted => return None,
            Self::Yes => None,
            Self::IfSafe(asked) => *asked,
        };
        let longest = config
            .backoff
            .saturating_mul(1 << (attempts - 1).min(16))
            .min(LONGEST_BACKOFF);
        let backoff = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
        Some(asked.map_or(backoff, |asked| asked.max(backoff)))
    }
}

fn rate_limited((until, scope): (Instant, crate::rate_limit::Scope)) -> Refused {
    Refused::Error(Error::RateLimited {
        retry_after: until.saturating_duration_since(Instant::now()),
        scope,
    })
}

/// Reads what Discord says, in either of the two forms it has: the API's and OAuth2's.
fn api_error(response: &Response) -> ApiError {
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
    ApiError {
        status: response.status,
        code: body.code,
        message: body.message.or(oauth).unwrap_or_else(|| reason.to_owned()),
        errors: body.errors,
    }
}

/// The cause at the bottom; the errors above it only say that there is one.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
