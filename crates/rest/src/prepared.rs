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
use crate::target::{Account, Key};

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
    pub(crate) key: Key,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Prepared {
    pub(crate) fn new(request: Request, defaults: &Defaults) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::InvalidRequest(reason.to_owned());
        let key = Key::new(&request.target, &request.auth);
        let method = Method::from_bytes(request.target.method.name().as_bytes())
            .map_err(|_| invalid("method: HTTP has no such"))?;
        let uri = format!("{}/{}", defaults.base, request.target.path)
            .parse()
            .map_err(|_| invalid("path: not fit for a URL"))?;

        let mut headers = request.headers;
        headers.insert(USER_AGENT, defaults.user_agent.clone());
        match &request.auth {
            Auth::Bot if key.account == Account::Bot => {
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
            key,
            method,
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
    use twilight_http::routing::Route;

    fn defaults() -> Defaults {
        Defaults::new(&Config::new("t0ken")).unwrap()
    }

    fn prepare(request: Request) -> Result<Prepared, Error> {
        Prepared::new(request, &defaults())
    }

    #[test]
    fn a_route_goes_below_the_base() {
        let route = Route::GetMessages {
            after: None,
            around: Some(5),
            before: None,
            channel_id: 1,
            limit: Some(7),
        };
        let prepared = prepare(Request::new(&route)).unwrap();
        assert_eq!(prepared.method, Method::GET);
        assert_eq!(
            prepared.uri,
            "https://discord.com/api/v10/channels/1/messages?around=5&limit=7"
        );
    }

    #[test]
    fn the_bot_token_goes_where_it_is_needed_only() {
        let has_token = |route: &Route<'_>, auth| {
            let request = Request {
                auth,
                ..Request::new(route)
            };
            let prepared = prepare(request).unwrap();
            prepared.headers.contains_key(AUTHORIZATION)
        };
        let webhook = |token| Route::GetWebhook {
            token,
            webhook_id: 1,
        };
        assert!(has_token(
            &Route::CreateMessage { channel_id: 1 },
            Auth::Bot
        ));
        assert!(has_token(&webhook(None), Auth::Bot));
        assert!(!has_token(&webhook(Some("token")), Auth::Bot));
        assert!(!has_token(&Route::GetCurrentUser, Auth::None));
        assert!(has_token(&Route::GetCurrentUser, Auth::Bearer("x".into())));
    }

    #[test]
    fn a_reason_is_encoded_and_bounded() {
        let with = |reason: &str| {
            prepare(Request {
                reason: Some(reason.into()),
                ..Request::new(&Route::GetCurrentUser)
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
            ..Request::new(&Route::GetWebhook {
                token: Some("s3cret"),
                webhook_id: 1,
            })
        };
        assert!(!format!("{request:?}").contains("s3cret"));
        assert!(!format!("{:?}", defaults()).contains("t0ken"));
    }
}
