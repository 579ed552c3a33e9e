//! GET of what is somebody else's, such as a list that is polled.
//!
//! Discord's API goes through [`crate::Client`], which knows its limits. This is for servers of which nothing is known: the
//! time of a whole request has an end, and so have its head, its body and its redirects, whatever the status. Each
//! request has a connection of its own, which lives in the request's future and ends with it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use uro_discord_rest::poll::{Limits, Poll};
//! use uro_discord_rest::HeaderMap;
//!
//! let answer = Poll::new(None, Limits::default())?
//!     .get("https://api.github.com/repos/V-Sekai/uro/releases", &HeaderMap::new())
//!     .await?;
//! println!("{} {} bytes", answer.status, answer.body.len());
//! # Ok(())
//! # }
//! ```
#![warn(clippy::arithmetic_side_effects)]

mod address;
mod error;

use std::future::{pending, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HOST, HeaderValue, LOCATION};
use hyper::{HeaderMap, Request, StatusCode, Uri};
use tokio::time::timeout;
use tower_service::Service;

use crate::body;
use crate::connector::{self, Connector, Times, Versions};
pub use error::Error;
use uro_discord_net::tls::TlsError;

/// The most headers that an answer may have.
const MAX_HEADERS: usize = 100;

/// What a request may cost at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time for all of it: names, connections, redirects, the last byte of the body.
    pub time: Duration,
    /// Bytes of an answer's head; it has at most 100 headers.
    pub head: usize,
    /// Bytes of an answer's body.
    pub body: usize,
    /// How often a server may send elsewhere on itself.
    pub redirects: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            head: 64 << 10,
            body: 5 << 20,
            redirects: 3,
        }
    }
}

/// An answer that is no redirect.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status, whichever it is.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The body of a 200; no other is read.
    pub body: Bytes,
}

/// Makes requests that have these limits.
#[derive(Clone, Debug)]
pub struct Poll {
    connector: Connector,
    limits: Limits,
}

impl Poll {
    /// `ca_file`: a PEM file with certificate authorities to trust beside Mozilla's.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn new(ca_file: Option<&Path>, limits: Limits) -> Result<Self, TlsError> {
        let times = Times {
            connect: limits.time,
            silence: limits.time,
            keepalive: None,
        };
        Ok(Self {
            connector: connector::new(times, Versions::One, ca_file)?,
            limits,
        })
    }

    /// The answer of a server, to a GET with these headers beside those that HTTP needs.
    ///
    /// A redirect is followed on the same server only, so the headers may hold a secret. Dropping the future closes the
    /// connection.
    ///
    /// # Errors
    /// There is no answer within the limits, or one that sends where it is not followed.
    pub async fn get(&self, url: &str, headers: &HeaderMap) -> Result<Answer, Error> {
        let after = self.limits.time;
        timeout(after, self.follow(url, headers))
            .await
            .unwrap_or(Err(Error::Timeout { after }))
    }

    async fn follow(&self, url: &str, headers: &HeaderMap) -> Result<Answer, Error> {
        let mut uri = address::read(url)?;
        let mut redirects = 0;
        loop {
            let answer = self.once(&uri, headers).await?;
            let Some(location) = redirect(&answer) else {
                return Ok(answer);
            };
            let refused = |reason| Error::Redirect {
                status: answer.status,
                reason,
            };
            if redirects == self.limits.redirects {
                return Err(refused(format!("again after {redirects} times")));
            }
            redirects = redirects.saturating_add(1);
            uri = address::follow(&uri, location).map_err(refused)?;
        }
    }

    async fn once(&self, uri: &Uri, headers: &HeaderMap) -> Result<Answer, Error> {
        let request = request(uri, headers)?;
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx))
            .await
            .map_err(Error::Connect)?;
        let stream = connector.call(uri.clone()).await.map_err(Error::Connect)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(self.limits.head)
            .max_headers(MAX_HEADERS)
            .handshake(stream)
            .await?;
        let exchange = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = if head.status == StatusCode::OK {
                self.body(&head.headers, body).await?
            } else {
                Bytes::new()
            };
            Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
            })
        };
        // What goes wrong with the connection, the exchange is told.
        let drive = async {
            let _ = connection.await;
            pending().await
        };
        let (exchange, drive) = (pin!(exchange), pin!(drive));
        tokio::select! {
            answer = exchange => answer,
            never = drive => never,
        }
    }

    async fn body(&self, headers: &HeaderMap, body: hyper::body::Incoming) -> Result<Bytes, Error> {
        if let Some(encoding) = headers.get(CONTENT_ENCODING)
            && encoding != "identity"
        {
            return Err(Error::Encoded);
        }
        let limit = self.limits.body;
        body::read(body, limit)
            .await
            .map_err(|failure| match failure {
                body::Failure::TooLarge => Error::BodyTooLarge { limit },
                body::Failure::Broken(error) => error.into(),
            })
    }
}

fn request(uri: &Uri, headers: &HeaderMap) -> Result<Request<Empty<Bytes>>, Error> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = target
        .parse()
        .map_err(|_| Error::Address("it has no path"))?;
    *request.headers_mut() = headers.clone();
    let host = uri.authority().and_then(|host| host.as_str().parse().ok());
    let headers = request.headers_mut();
    headers.insert(HOST, host.ok_or(Error::Address("it has no host"))?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    // A few compressed bytes may stand for any number.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(request)
}

/// Where the answer sends, if it sends elsewhere. A 304 does not.
fn redirect(answer: &Answer) -> Option<&HeaderValue> {
    matches!(answer.status, 301 | 302 | 303 | 307 | 308)
        .then(|| answer.headers.get(LOCATION))
        .flatten()
}
