//! What a caller asks for.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use twilight_http::request::TryIntoRequest;
use twilight_http::routing::Route;

use crate::error::Error;
use crate::target::Target;

/// How long a call may take in all when the caller does not say.
const DEADLINE: Duration = Duration::from_secs(60);

/// A request to Discord's REST API.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it goes.
    pub target: Target,
    /// What to send.
    pub body: Body,
    /// Headers to send beside those the client sets.
    pub headers: HeaderMap,
    /// The reason to show in the guild's audit log, at most 512 characters; sent percent-encoded.
    pub reason: Option<String>,
    /// Whose name to make the request in.
    pub auth: Auth,
    /// Which waiting requests go first.
    pub priority: Priority,
    /// Whether it may be sent again after it may already have been acted upon.
    pub retry: Retry,
    /// The time allowed for the whole call: waiting for limits, every attempt, every pause between them.
    pub deadline: Duration,
}

impl Request {
    /// A request without a body, in the bot's name, of normal priority, allowed a minute. It may be sent again if its
    /// method is idempotent (GET, PUT, DELETE).
    pub fn new(target: impl Into<Target>) -> Self {
        let target = target.into();
        let retry = if target.is_idempotent() {
            Retry::Safe
        } else {
            Retry::Never
        };
        Self {
            target,
            body: Body::Empty,
            headers: HeaderMap::new(),
            reason: None,
            auth: Auth::Bot,
            priority: Priority::Normal,
            retry,
            deadline: DEADLINE,
        }
    }

    /// A request with what one of twilight-http's typed builders has put together, and checked, for this route.
    ///
    /// # Errors
    /// What twilight refuses; or the builder is of another route.
    pub fn typed(route: &Route<'_>, builder: impl TryIntoRequest) -> Result<Self, Error> {
        let built = builder.try_into_request().map_err(Error::Builder)?;
        let request = Self::new(route);
        if (built.method(), built.path()) != (request.target.method, &request.target.path) {
            return Err(Error::InvalidRequest(
                "the builder is of another route".into(),
            ));
        }
        let body = match (built.form(), built.body()) {
            (Some(form), _) => Body::Raw {
                content_type: String::from_utf8_lossy(&form.content_type()).into_owned(),
                bytes: form.clone().build().into(),
            },
            (None, Some(json)) => Body::Json(json.to_vec().into()),
            (None, None) => Body::Empty,
        };
        Ok(Self {
            body,
            headers: built.headers().cloned().unwrap_or_default(),
            auth: if built.use_authorization_token() {
                Auth::Bot
            } else {
                Auth::None
            },
            ..request
        })
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(mut self, json: impl Into<Bytes>) -> Self {
        self.body = Body::Json(json.into());
        self
    }
}

/// What a request carries.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// JSON text.
    Json(Bytes),
    /// JSON text (`payload_json`) and files (`files[0]`, `files[1]`, …), as `multipart/form-data`.
    Multipart {
        /// The message.
        json: Option<Bytes>,
        /// The files that its `attachments` refer to, in order.
        files: Vec<File>,
    },
    /// Bytes of another type, such as the form that `oauth2/token` wants.
    Raw {
        /// The value of `Content-Type`.
        content_type: String,
        /// The body as it goes out.
        bytes: Bytes,
    },
}

/// A file to upload.
#[derive(Clone, Debug)]
pub struct File {
    /// The name Discord shows.
    pub name: String,
    /// Its media type; Discord goes by the name where there is none.
    pub content_type: Option<String>,
    /// What is in it.
    pub data: Bytes,
}

/// Whose name a request is made in. A path that carries a token of its own (webhooks, interactions) is sent without any.
#[derive(Clone, Debug)]
pub enum Auth {
    /// The bot's token.
    Bot,
    /// None at all.
    None,
    /// A user's OAuth access token.
    Bearer(SecretString),
}

impl Auth {
    /// Mixes into `state` what tells one user's limits from another's.
    pub(crate) fn hash_identity(&self, state: &mut impl Hasher) {
        match self {
            Self::Bot => 0_u8.hash(state),
            Self::None => 1_u8.hash(state),
            Self::Bearer(token) => token.expose_secret().hash(state),
        }
    }
}

/// Which of the requests that wait for the same limit goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before all others.
    High,
    /// In between.
    Normal,
    /// Bulk work: after all others, and it leaves a part of the global limit to them.
    Low,
}

/// Whether a request may be sent again once Discord may have acted upon it. A request that certainly was not (no
/// connection, a 429) is sent again in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// A second time does no harm: it is idempotent, or carries a nonce with `enforce_nonce`.
    Safe,
    /// A second time would do it twice.
    Never,
}

/// A successful (2xx) answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200, 201, 202 or 204.
    pub status: u16,
    /// All headers of the response.
    pub headers: HeaderMap,
    /// The body, usually JSON; empty for a 204.
    pub body: Bytes,
}
