//! One attempt: a request goes out, and what comes back is judged.

use std::time::Duration;

use tokio::time::timeout;
use uro_discord_net::Pauses;

use crate::body;
use crate::config::Config;
use crate::error::{ApiError, Error};
use crate::gate::Turn;
use crate::limiter::{Outcome, PROBE};
use crate::prepared::Prepared;
use crate::rate_limit::{Limited, Limits, Scope, retry_after};
use crate::request::{Response, Retry};
use crate::target::Account;
use crate::transport::Transport;

/// The slowest upload that is waited for, in bytes a second.
const SLOWEST_UPLOAD: u64 = 64 << 10;

/// The longest pause between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// Sends once and tells the limiter what came of it.
pub(crate) async fn attempt(
    transport: &Transport,
    config: &Config,
    turn: &Turn,
    prepared: &Prepared,
) -> Result<Response, Failed> {
    let upload = Duration::from_secs(prepared.len() as u64 / SLOWEST_UPLOAD);
    let after = config.attempt_timeout + upload;
    let answer = timeout(after, exchange(transport, prepared, config.max_response)).await;
    let response = match answer.unwrap_or(Err(Error::Timeout { after })) {
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
    let Response {
        status,
        headers,
        body,
    } = &response;
    let limits = Limits::from_headers(headers);
    let limited = (*status == 429).then(|| Limited::from_response(headers, body));
    let success = (200..300).contains(status);
    let refusal = (!success).then(|| ApiError::from_response(&response));
    turn.done(Outcome::Answered {
        status: *status,
        limits: limits.as_ref(),
        limited,
        discords: refusal.as_ref().is_none_or(ApiError::is_discords),
    });
    let Some(refusal) = refusal else {
        return Ok(response);
    };
    let (error, again) = match (limited, *status) {
        (Some(Limited { retry_after, scope }), _) => (
            Error::RateLimited { retry_after, scope },
            match scope {
                Scope::Message => Again::After(retry_after),
                _ => Again::WhenPermitted,
            },
        ),
        _ if !refusal.is_final() => (Error::Weather(refusal), Again::IfSafe(retry_after(headers))),
        // The client's own, which stops the others too.
        (None, 401) if prepared.key.account == Account::Bot => {
            (Error::Unauthorized { retry_after: PROBE }, Again::No)
        }
        _ => (Error::Api(refusal), Again::No),
    };
    Err(Failed { error, again })
}

async fn exchange(
    transport: &Transport,
    prepared: &Prepared,
    limit: usize,
) -> Result<Response, Error> {
    let answer = transport
        .request(prepared.to_http())
        .await
        .map_err(|error| {
            if error.is_connect() {
                Error::Connect(error.into())
            } else {
                Error::ConnectionLost(error.into())
            }
        })?;
    let (head, body) = answer.into_parts();
    let body = body::read(body, limit)
        .await
        .map_err(|failure| match failure {
            body::Failure::TooLarge => Error::BodyTooLarge { limit },
            body::Failure::Broken(error) => Error::ConnectionLost(error.into()),
        })?;
    Ok(Response {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}

/// An attempt that came to nothing.
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) again: Again,
}

/// Whether to try again.
pub(crate) enum Again {
    No,
    /// Discord cannot have acted upon it.
    Yes,
    /// Discord rejected it for now; the limiter knows until when.
    WhenPermitted,
    /// Discord rejected it for so long, and nothing else.
    After(Duration),
    /// Discord may have acted upon it; it may have said how long to wait.
    IfSafe(Option<Duration>),
}

impl Again {
    pub(crate) fn is_allowed(&self, retry: Retry) -> bool {
        match self {
            Self::No => false,
            Self::Yes | Self::WhenPermitted | Self::After(_) => true,
            Self::IfSafe(_) => retry == Retry::Safe,
        }
    }

    /// How long to pause after so many attempts: twice as long each time, half of it random.
    pub(crate) fn pause(&self, config: &Config, attempts: u32) -> Option<Duration> {
        let asked = match self {
            Self::No | Self::WhenPermitted => return None,
            Self::Yes => None,
            Self::After(asked) => Some(*asked),
            Self::IfSafe(asked) => *asked,
        };
        let pauses = Pauses {
            at_once: false,
            first: config.backoff,
            longest: LONGEST_BACKOFF,
        };
        let backoff = pauses.after(attempts);
        Some(asked.map_or(backoff, |asked| asked.max(backoff)))
    }
}
