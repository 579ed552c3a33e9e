//! The portal's endpoint: an offer goes in, an answer comes out, and a session is ended.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::timeout;
use uro_discord_net::tls::{self, TlsError};

use crate::address::{Address, Kind};

/// An answer is not larger.
const LARGEST: usize = 64 * 1024;
/// A server that needs longer for a request is taken for one that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a session could not be opened or ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The library cannot do TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token has characters that no token has.
    #[error(
        "the token is none: it is made of letters, digits, '-', '_' and two dots; UroDiscord.Portal.token/2 makes one"
    )]
    Token,
    /// Nobody is there, or he does not speak HTTP.
    #[error("{url}: {reason}; is the address right, and does the bridge listen there?")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What went wrong, with its causes.
        reason: String,
    },
    /// The portal refused.
    #[error("{url}: {status}{}{message}", retry_after.as_ref().map(|seconds| format!(" (retry in {seconds} s)")).unwrap_or_default())]
    Refused {
        /// What was asked for.
        url: String,
        /// By its number.
        status: StatusCode,
        /// The server's words.
        message: String,
        /// The server's `Retry-After`.
        retry_after: Option<String>,
    },
    /// The answer is none of a portal's.
    #[error("{url}: this is no portal: {reason}")]
    Strange {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        reason: &'static str,
    },
}

/// What the endpoint answers to who is refused.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// A session that was opened.
pub(crate) struct Opened {
    pub(crate) answer: String,
    /// Its URL.
    pub(crate) session: String,
}

/// Speaks to endpoints, with a token.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    authorization: HeaderValue,
}

impl Http {
    pub(crate) fn new(token: &SecretString) -> Result<Self, HttpError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // As OpenSSL's programs do: how a private certificate authority is trusted.
        let ca_file = std::env::var_os("SSL_CERT_FILE");
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(ca_file.as_deref().map(AsRef::as_ref))?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", token.expose_secret().trim()))
                .map_err(|_| HttpError::Token)?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            authorization,
        })
    }

    /// Sends an offer.
    pub(crate) async fn open(
        &self,
        address: &Address,
        kind: Kind,
        offer: String,
    ) -> Result<Opened, HttpError> {
        let url = address.endpoint(kind);
        let (headers, answer) = self
            .request(Method::POST, &url, Full::from(offer), StatusCode::CREATED)
            .await?;
        let strange = |reason| HttpError::Strange {
            url: url.clone(),
            reason,
        };
        let session = text(&headers, LOCATION)
            .and_then(|location| address.resolve(&location))
            .ok_or_else(|| strange("its answer names no session of this server's (Location)"))?;
        let answer =
            String::from_utf8(answer.into()).map_err(|_| strange("its answer is not a text"))?;
        Ok(Opened { answer, session })
    }

    /// Ends a session.
    pub(crate) async fn close(&self, session: &str) -> Result<(), HttpError> {
        self.request(Method::DELETE, session, Full::default(), StatusCode::OK)
            .await
            .map(drop)
    }

    async fn request(
        &self,
        method: Method,
        url: &str,
        body: Full<Bytes>,
        wanted: StatusCode,
    ) -> Result<(HeaderMap, Bytes), HttpError> {
        let unreachable = |reason| HttpError::Unreachable {
            url: url.to_owned(),
            reason,
        };
        let mut request = Request::builder()
            .method(method.clone())
            .uri(url)
            .header(AUTHORIZATION, self.authorization.clone())
            .body(body)
            .map_err(|error| unreachable(error.to_string()))?;
        if method == Method::POST {
            request
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/sdp"));
        }
        let exchange = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| unreachable(with_causes(&error)))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LARGEST)
                .collect()
                .await
                .map_err(|error| unreachable(with_causes(error.as_ref())))?;
            Ok::<_, HttpError>((head, body.to_bytes()))
        };
        let (head, body) = timeout(PATIENCE, exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", PATIENCE.as_secs())))??;
        if head.status == wanted {
            return Ok((head.headers, body));
        }
        // Of a server that is no portal, the status says what there is to say.
        let message = serde_json::from_slice::<Refusal>(&body)
            .map(|refusal| format!(": {}", refusal.message))
            .unwrap_or_default();
        Err(HttpError::Refused {
            url: url.to_owned(),
            status: head.status,
            message,
            retry_after: text(&head.headers, RETRY_AFTER),
        })
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// An error's text with those of what caused it, which hyper leaves out.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
