//! A request that has been checked and can be sent any number of times.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;

use crate::config::{Config, ConfigError};
use crate::error::Error;
use crate::multipart;
use crate::request::{Auth, Body, Request};
use crate::route::{Account, Route};

/// Shown in the guild's audit log; Discord takes this many characters.
const MAX_REASON: usize = 512;

/// More than Discord takes from anybody (100 MiB, in guilds boosted most).
const MAX_BODY: usize = 104 << 20;

/// What `X-Audit-Log-Reason` need not escape.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What all requests of a client have in common.
#[derive(Debug)]
pub(crate) struct Defaults {
    base: String,
    authorization: HeaderValue,
    user_agent: HeaderValue,
}

impl Defaults {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let authorization =
            Config::authorization("Bot", config.token.expose_secret()).ok_or(ConfigError::Token)?;
        let form = config.user_agent.starts_with("DiscordBot (") && config.user_agent.contains(')');
        let user_agent = HeaderValue::from_str(&config.user_agent)
            .ok()
            .filter(|_| form)
            .ok_or(ConfigError::UserAgent)?;
        Ok(Self {
            base: config.base()?,
            authorization,
            user_agent,
        })
    }
}

/// See the module's documentation. It has no `Debug`, as its address may hold a token.
pub(crate) struct Prepared {
    pub(crate) route: Route,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Prepared {
    pub(crate) fn new(request: Request, defaults: &Defaults) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::InvalidRequest(reason.to_owned());
        let path = &request.path.0;
        check_path(path)?;
        let route = Route::new(&request.method, path, &request.auth);
        let uri = format!("{}/{path}", defaults.base)
            .parse()
            .map_err(|_| invalid("path: not fit for a URL"))?;

        let mut headers = request.headers;
        headers.insert(USER_AGENT, defaults.user_agent.clone());
        match &request.auth {
            Auth::Bot if route.account == Account::Bot => {
                headers.insert(AUTHORIZATION, defaults.authorization.clone());
            }
            Auth::Bearer(token) => {
                let bearer = Config::authorization("Bearer", token.expose_secret());
                headers.insert(
                    AUTHORIZATION,
                    bearer.ok_or_else(|| invalid("auth: not a bearer token"))?,
                );
            }
            Auth::Bot | Auth::None => {}
        }
        if let Some(reason) = &request.reason {
            if reason.chars().count() > MAX_REASON {
                return Err(invalid("reason: longer than 512 characters"));
            }
            let encoded = utf8_percent_encode(reason, UNRESERVED).to_string();
            let value = HeaderValue::try_from(encoded)
                .map_err(|_| invalid("reason: not fit for a header"))?;
            headers.insert(HeaderName::from_static("x-audit-log-reason"), value);
        }
        let (content_type, body) = match request.body {
            Body::Empty => (None, Bytes::new()),
            Body::Json(json) => (Some("application/json".to_owned()), json),
            Body::Multipart { json, files } => {
                check_size(files.iter().map(|file| file.data.len()).sum())?;
                let (content_type, body) = multipart::encode(json.as_ref(), &files)?;
                (Some(content_type), body)
            }
            Body::Raw {
                content_type,
                bytes,
            } => (Some(content_type), bytes),
        };
        check_size(body.len())?;
        if let Some(content_type) = content_type {
            let value = HeaderValue::try_from(content_type)
                .map_err(|_| invalid("content type: not fit for a header"))?;
            headers.insert(CONTENT_TYPE, value);
        }
        Ok(Self {
            route,
            method: request.method,
            uri,
            headers,
            body,
        })
    }

    /// The size of the body in bytes.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// The request as it goes out, once.
    pub(crate) fn to_http(&self) -> hyper::Request<Full<Bytes>> {
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// A path that would leave the API's base, or mean another route than it seems to, is refused: callers put ids in it.
fn check_path(path: &str) -> Result<(), Error> {
    let invalid = |reason: &str| Err(Error::InvalidRequest(format!("path: {reason}")));
    if let Some(odd) = path
        .chars()
        .find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '#' | '"' | '<' | '>' | '`'))
    {
        return invalid(&format!("{odd:?} must be percent-encoded"));
    }
    for segment in path.split('?').next().unwrap_or_default().split('/') {
        if segment.is_empty() {
            return invalid("it has an empty segment; it must be relative, such as users/@me");
        }
        if matches!(
            segment.to_ascii_lowercase().replace("%2e", ".").as_str(),
            "." | ".."
        ) {
            return invalid("it must not have . or .. as a segment");
        }
    }
    Ok(())
}

fn check_size(size: usize) -> Result<(), Error> {
    if size > MAX_BODY {
        return Err(Error::InvalidRequest(format!(
            "body: {size} bytes are more than {MAX_BODY}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults::new(&Config::new("t0ken")).unwrap()
    }

    fn prepare(request: Request) -> Result<Prepared, Error> {
        Prepared::new(request, &defaults())
    }

    #[test]
    fn a_path_stays_below_the_base() {
        for path in [
            "",
            "/users/@me",
            "a//b",
            "../oauth2",
            "channels/%2E%2e/x",
            "a b",
            "a#b",
            "a\\..\\b",
            "é",
        ] {
            assert!(prepare(Request::new(Method::GET, path)).is_err(), "{path}");
        }
        let prepared = prepare(Request::new(
            Method::GET,
            "channels/1/messages?around=5&x=a/../b",
        ))
        .unwrap();
        assert_eq!(
            prepared.uri,
            "https://discord.com/api/v10/channels/1/messages?around=5&x=a/../b"
        );
    }

    #[test]
    fn the_bot_token_goes_where_it_is_needed_only() {
        let has_token = |path, auth| {
            let request = Request {
                auth,
                ..Request::new(Method::POST, path)
            };
            prepare(request)
                .unwrap()
                .headers
                .contains_key(AUTHORIZATION)
        };
        assert!(has_token("channels/1/messages", Auth::Bot));
        assert!(!has_token("webhooks/1/token", Auth::Bot));
        assert!(!has_token("interactions/1/token/callback", Auth::Bot));
        assert!(!has_token("users/@me", Auth::None));
        assert!(has_token("users/@me", Auth::Bearer("x".into())));
    }

    #[test]
    fn a_reason_is_encoded_and_bounded() {
        let with = |reason: &str| {
            prepare(Request {
                reason: Some(reason.into()),
                ..Request::new(Method::DELETE, "x")
            })
        };
        assert_eq!(
            with("zu laut: ü\r\n").unwrap().headers["x-audit-log-reason"],
            "zu%20laut%3A%20%C3%BC%0D%0A"
        );
        assert!(with(&"ü".repeat(512)).is_ok());
        assert!(with(&"ü".repeat(513)).is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let request = Request {
            auth: Auth::Bearer("s3cret".into()),
            ..Request::new(Method::GET, "webhooks/1/s3cret")
        };
        assert!(!format!("{request:?}").contains("s3cret"));
        assert!(!format!("{:?}", defaults()).contains("t0ken"));
    }
}
