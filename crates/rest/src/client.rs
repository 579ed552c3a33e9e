//! The client: one call becomes one or more attempts.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};

use crate::attempt::{Again, attempt};
use crate::config::{Config, ConfigError};
use crate::error::{Error, Phase};
use crate::gate::{Gate, Turn};
use crate::limiter::{Limiter, MAX_QUEUED, Status, Verdict};
use crate::prepared::{Defaults, Prepared};
use crate::rate_limit::Scope;
use crate::request::{Request, Response};
use crate::transport::{self, Transport};

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
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let (retry, allowed) = (request.retry, request.deadline);
        let deadline = Instant::now() + allowed;
        let priority = request.priority;
        let prepared = Prepared::new(request, &self.0.defaults)?;
        let turn = self
            .0
            .gate
            .enter(prepared.key.clone(), priority)
            .ok_or(Error::QueueFull(MAX_QUEUED))?;
        let mut attempts = 0;
        let mut last: Option<Box<Error>> = None;
        let out_of_time = |phase, attempts, last| Error::Deadline {
            after: allowed,
            phase,
            attempts,
            last,
        };
        loop {
            match self.wait(&turn, deadline).await {
                Ok(()) => {}
                Err(Refused::Deadline) => return Err(out_of_time(Phase::Queued, attempts, last)),
                Err(Refused::Error(error)) => return Err(error),
            }
            attempts += 1;
            let attempt = attempt(&self.0.transport, &self.0.config, &turn, &prepared);
            let Some(result) = before(deadline, attempt).await else {
                return Err(out_of_time(Phase::Sent, attempts, last));
            };
            let failed = match result {
                Ok(response) => return Ok(response),
                Err(failed) if failed.again.is_allowed(retry) => failed,
                Err(failed) => return Err(failed.error),
            };
            tracing::debug!(route = %prepared.key, attempts, error = %failed.error, "attempt failed");
            let error = Box::new(failed.error);
            if attempts >= self.0.config.max_attempts {
                return Err(Error::Attempts {
                    attempts,
                    last: error,
                });
            }
            if let Some(pause) = failed.again.pause(&self.0.config, attempts) {
                let until = Instant::now() + pause;
                if until >= deadline {
                    if let Again::After(_) = failed.again {
                        return Err(*error);
                    }
                    last = Some(error);
                    return Err(out_of_time(Phase::Pausing, attempts, last));
                }
                sleep_until(until).await;
            }
            last = Some(error);
        }
    }

    /// How the client is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.gate.status()
    }

    async fn wait(&self, turn: &Turn, deadline: Instant) -> Result<(), Refused> {
        let mut waiting = pin!(before(deadline, turn.wait()));
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
            Some(Verdict::Go) => Ok(()),
            Some(Verdict::Unauthorized(retry_after)) => {
                Err(Refused::Error(Error::Unauthorized { retry_after }))
            }
            Some(Verdict::Breaker(retry_after)) => {
                Err(Refused::Error(Error::Breaker { retry_after }))
            }
            None => Err(turn.held_until().map_or(Refused::Deadline, rate_limited)),
        }
    }
}

/// What the future comes to before the deadline, if it does. After the deadline it is not polled even once: a process that
/// was stopped for a while must not send what its caller has given up, and another process may have sent by now.
async fn before<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut timer = pin!(sleep_until(deadline));
    poll_fn(|cx| {
        // The timer alone may not know yet.
        if Instant::now() >= deadline || timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Why a call does not get its turn.
enum Refused {
    Deadline,
    Error(Error),
}

fn rate_limited((until, scope): (Instant, Scope)) -> Refused {
    Refused::Error(Error::RateLimited {
        retry_after: until.saturating_duration_since(Instant::now()),
        scope,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_ready_after_the_deadline_is_too_late() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        assert_eq!(before(later, async { 1 }).await, Some(1));
        assert_eq!(before(now, async { 1 }).await, None);
        let soon = now + Duration::from_millis(20);
        assert_eq!(before(soon, std::future::pending::<()>()).await, None);
        assert!(Instant::now() >= soon);
    }
}
