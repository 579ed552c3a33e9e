//! What calls come to, as terms.

use std::time::Duration;

use rustler::{Atom, Encoder, Env, NewBinary, Term};
use uro_discord_rest::{Error, Response};

use crate::atoms;
use crate::call::Outcome;

/// Headers that say something to those above the client; the others are the client's own business.
const HEADERS: [&str; 7] = [
    "content-type",
    "date",
    "retry-after",
    "x-ratelimit-bucket",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset-after",
];

/// What an error says of a panic.
pub(crate) const PANIC: &str = "a fault in the client; see stderr";

/// `{:uro_discord_rest, ref, {:ok, response} | {:error, error}}`.
pub(crate) fn message<'a>(
    env: Env<'a>,
    reference: Term<'a>,
    outcome: Outcome<Result<Response, Error>>,
) -> Term<'a> {
    let result = match outcome {
        Ok(Ok(answer)) => (atoms::ok(), response(env, &answer)).encode(env),
        Ok(Err(failure)) => (
            atoms::error(),
            error(env, kind(&failure), &failure.to_string(), Some(&failure)),
        )
            .encode(env),
        Err(_panic) => (atoms::error(), error(env, atoms::internal(), PANIC, None)).encode(env),
    };
    (atoms::uro_discord_rest(), reference, result).encode(env)
}

/// A map with atom keys.
pub(crate) fn map<'a>(env: Env<'a>, entries: &[(Atom, Term<'a>)]) -> Term<'a> {
    let add =
        |map: Term<'a>, (key, value): &(Atom, Term<'a>)| map.map_put(*key, *value).unwrap_or(map);
    entries.iter().fold(Term::map_new(env), add)
}

/// Whole milliseconds, rounded up, or `nil`.
pub(crate) fn milliseconds<'a>(env: Env<'a>, time: Option<Duration>) -> Term<'a> {
    time.map(|time| u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX))
        .encode(env)
}

fn response<'a>(env: Env<'a>, response: &Response) -> Term<'a> {
    let mut headers = Term::map_new(env);
    for name in HEADERS {
        if let Some(value) = response.headers.get(name) {
            headers = headers
                .map_put(name, binary(env, value.as_bytes()))
                .unwrap_or(headers);
        }
    }
    map(
        env,
        &[
            (atoms::status(), response.status.encode(env)),
            (atoms::body(), binary(env, &response.body)),
            (atoms::headers(), headers),
        ],
    )
}

fn error<'a>(env: Env<'a>, kind: Atom, message: &str, failure: Option<&Error>) -> Term<'a> {
    let api = failure.and_then(Error::api);
    let errors = api
        .and_then(|api| api.errors.as_deref())
        .map(|errors| binary(env, errors.get().as_bytes()));
    map(
        env,
        &[
            (atoms::kind(), kind.encode(env)),
            (atoms::message(), message.encode(env)),
            (atoms::status(), failure.and_then(Error::status).encode(env)),
            (atoms::code(), api.and_then(|api| api.code).encode(env)),
            (atoms::errors(), errors.encode(env)),
            (
                atoms::retry_after_ms(),
                milliseconds(env, failure.and_then(Error::retry_after)),
            ),
        ],
    )
}

fn kind(error: &Error) -> Atom {
    match error {
        Error::Unauthorized { .. } => atoms::unauthorized(),
        Error::Api(_) => atoms::api(),
        Error::Weather(_) => atoms::weather(),
        Error::RateLimited { .. } => atoms::rate_limited(),
        Error::Deadline { .. } => atoms::deadline(),
        Error::Attempts { .. } => atoms::attempts(),
        Error::Breaker { .. } => atoms::breaker(),
        Error::QueueFull(_) => atoms::queue_full(),
        Error::Connect(_) => atoms::connect(),
        Error::ConnectionLost(_) => atoms::connection_lost(),
        Error::Timeout { .. } => atoms::timeout(),
        Error::InvalidRequest(_) => atoms::invalid_request(),
        Error::BodyTooLarge { .. } => atoms::body_too_large(),
        // The enum may grow; an error without a name of its own is one of the client's.
        _ => atoms::internal(),
    }
}

pub(crate) fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    NewBinary::from_slice(env, bytes).into()
}
