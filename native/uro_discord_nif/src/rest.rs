//! The REST client as a resource, and calls that answer by message.

use std::panic::AssertUnwindSafe;

use rustler::{Encoder, Env, OwnedEnv, Reference, Resource, ResourceArc, Term};
use uro_discord_rest::{Client, Config, SecretString, Status};

use crate::options::{milliseconds, optional, required};
use crate::request::Outline;
use crate::{atoms, call, reply, runtime};

/// A client; it ends when Elixir has dropped it and the calls that are under way have ended.
struct RestClient(AssertUnwindSafe<Client>);

#[rustler::resource_impl]
impl Resource for RestClient {}

/// `{:ok, client}` or `{:error, reason}`. Reads the `ca_file`, if there is one.
#[rustler::nif(schedule = "DirtyIo")]
fn rest_new<'a>(env: Env<'a>, config: Term<'a>) -> Term<'a> {
    match client(config) {
        Ok(client) => (
            atoms::ok(),
            ResourceArc::new(RestClient(AssertUnwindSafe(client))),
        )
            .encode(env),
        Err(reason) => (atoms::error(), reason).encode(env),
    }
}

/// `:ok` or `{:error, reason}`; after `:ok` the caller gets `{:uro_discord_rest, ref, result}`.
#[rustler::nif]
fn rest_request<'a>(
    env: Env<'a>,
    client: ResourceArc<RestClient>,
    reference: Reference<'a>,
    request: Term<'a>,
) -> Term<'a> {
    match start(env, client.0.clone(), reference, request) {
        Ok(()) => atoms::ok().encode(env),
        Err(reason) => (atoms::error(), reason).encode(env),
    }
}

/// What the client is doing, as a map. It may have to wait for the limiter's lock.
#[rustler::nif(schedule = "DirtyIo")]
fn rest_status(env: Env<'_>, client: ResourceArc<RestClient>) -> Term<'_> {
    let Status {
        unauthorized,
        breaker_open_for,
        paused_for,
        rejected,
        queued,
        in_flight,
        buckets,
    } = client.0.status();
    reply::map(
        env,
        &[
            (atoms::unauthorized(), unauthorized.encode(env)),
            (
                atoms::breaker_open_for_ms(),
                reply::milliseconds(env, breaker_open_for),
            ),
            (atoms::paused_for_ms(), reply::milliseconds(env, paused_for)),
            (atoms::rejected(), rejected.encode(env)),
            (atoms::queued(), queued.encode(env)),
            (atoms::in_flight(), in_flight.encode(env)),
            (atoms::buckets(), buckets.encode(env)),
        ],
    )
}

fn client(options: Term<'_>) -> Result<Client, String> {
    let token: String = required(options, atoms::token(), "a string")?;
    let mut config = Config::new("");
    config.token = SecretString::from(token);
    if let Some(url) = optional(options, atoms::api_url(), "a string")? {
        config.api_url = url;
    }
    if let Some(user_agent) = optional(options, atoms::user_agent(), "a string")? {
        config.user_agent = user_agent;
    }
    config.rest_proxy = optional(options, atoms::rest_proxy(), "a string")?;
    config.ca_file = optional::<String>(options, atoms::ca_file(), "a path")?.map(Into::into);
    for (key, setting) in [
        (atoms::connect_timeout_ms(), &mut config.connect_timeout),
        (atoms::attempt_timeout_ms(), &mut config.attempt_timeout),
        (atoms::idle_timeout_ms(), &mut config.idle_timeout),
    ] {
        if let Some(timeout) = milliseconds(options, key)? {
            *setting = timeout;
        }
    }
    if let Some(attempts) = optional(options, atoms::max_attempts(), "a number")? {
        config.max_attempts = attempts;
    }
    let _runtime = runtime::handle()?.enter();
    Client::new(config).map_err(|error| error.to_string())
}

fn start<'a>(
    env: Env<'a>,
    client: Client,
    reference: Reference<'a>,
    request: Term<'a>,
) -> Result<(), String> {
    let (outline, payload) = Outline::read(env, request)?;
    // Binaries above 64 bytes go by reference; the task copies them, on its own thread.
    let saved_in = OwnedEnv::new();
    let payload = saved_in.save(payload);
    let work = async move {
        let request = saved_in.run(|env| outline.with_payload(payload.load(env)));
        drop(saved_in);
        client.send(request?).await
    };
    call::start(env, reference, work, reply::message)
}
