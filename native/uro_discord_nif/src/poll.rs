//! GET of what is somebody else's.

use std::path::Path;

use rustler::{Atom, Binary, Encoder, Env, Reference, Term};
use uro_discord_rest::poll::{Answer, Error, Limits, Poll};
use uro_discord_rest::{HeaderMap, HeaderName, HeaderValue};

use crate::call::{self, Outcome};
use crate::options::{milliseconds, optional, required};
use crate::{atoms, reply};

/// `:ok` or `{:error, reason}`; after `:ok` the caller gets `{:uro_discord_http, ref, result}`. Reads the `ca_file`, if
/// there is one.
#[rustler::nif(schedule = "DirtyIo")]
fn http_get<'a>(env: Env<'a>, reference: Reference<'a>, request: Term<'a>) -> Term<'a> {
    match start(env, reference, request) {
        Ok(()) => atoms::ok().encode(env),
        Err(reason) => (atoms::error(), reason).encode(env),
    }
}

fn start<'a>(env: Env<'a>, reference: Reference<'a>, request: Term<'a>) -> Result<(), String> {
    let url: String = required(request, atoms::url(), "a string")?;
    let headers = headers(request)?;
    let ca_file: Option<String> = optional(request, atoms::ca_file(), "a path")?;
    let mut limits = Limits::default();
    if let Some(time) = milliseconds(request, atoms::deadline_ms())? {
        limits.time = time;
    }
    let poll =
        Poll::new(ca_file.as_deref().map(Path::new), limits).map_err(|error| error.to_string())?;
    let work = async move { poll.get(&url, &headers).await };
    call::start(env, reference, work, message)
}

fn headers(request: Term<'_>) -> Result<HeaderMap, String> {
    let given: Option<Vec<(Binary<'_>, Binary<'_>)>> =
        optional(request, atoms::headers(), "a list of pairs of strings")?;
    let mut headers = HeaderMap::new();
    for (name, value) in given.unwrap_or_default() {
        // The value may be a secret, and is not shown.
        let name = HeaderName::from_bytes(&name).map_err(|_| ":headers has a name that is none")?;
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| format!(":headers has a value of {name} that cannot be sent"))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// `{:uro_discord_http, ref, {:ok, answer} | {:error, error}}`.
fn message<'a>(
    env: Env<'a>,
    reference: Term<'a>,
    outcome: Outcome<Result<Answer, Error>>,
) -> Term<'a> {
    let result = match outcome {
        Ok(Ok(answer)) => (atoms::ok(), whole(env, &answer)).encode(env),
        Ok(Err(error)) => failure(env, kind(&error), &error.to_string(), status(&error)),
        Err(_panic) => failure(env, atoms::internal(), reply::PANIC, None),
    };
    (atoms::uro_discord_http(), reference, result).encode(env)
}

/// Of a header that comes more than once the last value is kept.
fn whole<'a>(env: Env<'a>, answer: &Answer) -> Term<'a> {
    let named = answer.headers.iter();
    let headers = named.fold(Term::map_new(env), |headers, (name, value)| {
        let value = reply::binary(env, value.as_bytes());
        headers.map_put(name.as_str(), value).unwrap_or(headers)
    });
    reply::map(
        env,
        &[
            (atoms::status(), answer.status.encode(env)),
            (atoms::body(), reply::binary(env, &answer.body)),
            (atoms::headers(), headers),
        ],
    )
}

fn failure<'a>(env: Env<'a>, kind: Atom, message: &str, status: Option<u16>) -> Term<'a> {
    let error = [
        (atoms::kind(), kind.encode(env)),
        (atoms::message(), message.encode(env)),
        (atoms::status(), status.encode(env)),
    ];
    (atoms::error(), reply::map(env, &error)).encode(env)
}

fn kind(error: &Error) -> Atom {
    match error {
        Error::Timeout { .. } => atoms::timeout(),
        Error::Redirect { .. } => atoms::http(),
        Error::Address(_) => atoms::invalid(),
        Error::BodyTooLarge { .. } | Error::Encoded => atoms::response(),
        Error::Broken(error) if error.is_parse() => atoms::response(),
        // There is no server, or none that speaks HTTP.
        _ => atoms::connect(),
    }
}

fn status(error: &Error) -> Option<u16> {
    match error {
        Error::Redirect { status, .. } => Some(*status),
        _ => None,
    }
}
