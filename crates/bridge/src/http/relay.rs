//! `/discord/…`: the head of a request goes to Elixir, which says whether the body is read; then the body; then its answer comes back.

use super::body::read;
use super::budget::Budget;
use super::client::{Client, Work};
use super::exchange::{Exchange, Reply, Word};
use super::refusal::Refusal;
use crate::desired::Desired;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use hyper::header::{HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{Response, StatusCode};
use std::sync::Arc;
use tokio::sync::watch;
use uro_discord_wire::RequestHead;

/// Bytes of bodies that are held at once, of those whose head says who sends them, and of the others.
const KNOWN: usize = 32 * 1024 * 1024;
const UNKNOWN: usize = 16 * 1024 * 1024;

/// Under which path.
pub const PATH: &str = "/discord/";

#[derive(Clone)]
pub struct Relay {
    exchange: Exchange,
    wanted: watch::Receiver<Desired>,
    known: Budget,
    unknown: Budget,
}

impl Relay {
    pub fn new(exchange: Exchange, wanted: watch::Receiver<Desired>) -> Self {
        Self {
            exchange,
            wanted,
            known: Budget::new(KNOWN),
            unknown: Budget::new(UNKNOWN),
        }
    }

    /// One request, to its answer.
    pub async fn handle(
        State(relay): State<Self>,
        Extension(client): Extension<Arc<Client>>,
        Extension(work): Extension<Arc<Work>>,
        request: Request,
    ) -> Response<Body> {
        match relay.answer(request, &client, &work).await {
            Ok(response) => response,
            Err(refusal) => refusal.response(),
        }
    }

    async fn answer(
        &self,
        request: Request,
        client: &Client,
        work: &Work,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let http = self.wanted.borrow().http.clone();
        if http.is_some_and(|http| !http.discord) {
            return Err(Refusal::NotFound);
        }
        if parts.headers.contains_key(TRANSFER_ENCODING) {
            return Err(Refusal::Chunked);
        }
        let head = head(&parts, client)?;
        let mut ticket = self.exchange.ask(head, work).await?;
        let reply = match ticket.word().await? {
            Word::Answer(reply) => reply,
            Word::Read(verdict) => {
                let budget = if verdict.known {
                    &self.known
                } else {
                    &self.unknown
                };
                // Held until the answer is there: it takes as much in Elixir.
                let (bytes, _share) = read(body, verdict.limit, budget, client, work).await?;
                ticket.body(&bytes, work).await?;
                drop(bytes);
                match ticket.word().await? {
                    Word::Answer(reply) => reply,
                    Word::Read(_) => return Err(Refusal::Internal),
                }
            }
        };
        response(reply)
    }
}

fn head(parts: &hyper::http::request::Parts, client: &Client) -> Result<RequestHead, Refusal> {
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| {
            let value = std::str::from_utf8(value.as_bytes()).map_err(|_| Refusal::BadHeader)?;
            Ok((name.as_str().to_owned(), value.to_owned()))
        })
        .collect::<Result<_, Refusal>>()?;
    let path = parts.uri.path();
    Ok(RequestHead {
        method: parts.method.as_str().to_owned(),
        path: path.strip_prefix(PATH).unwrap_or(path).to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        peer: client.peer.to_canonical().to_string(),
    })
}

fn response(reply: Reply) -> Result<Response<Body>, Refusal> {
    let bad = |what: &str| {
        tracing::error!(what, "Elixir's answer is no HTTP");
        Refusal::Internal
    };
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).map_err(|_| bad("a status"))?;
    for (name, value) in reply.headers {
        let name = HeaderName::try_from(name).map_err(|_| bad("a header's name"))?;
        let value = HeaderValue::try_from(value).map_err(|_| bad("a header's value"))?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
