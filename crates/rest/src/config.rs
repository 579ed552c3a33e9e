//! How a client is set up.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use secrecy::SecretString;
use thiserror::Error;
use uro_discord_net::is_loopback;
use uro_discord_net::tls::TlsError;

/// Discord's API, version 10.
pub const DISCORD_API: &str = "https://discord.com/api/v10";

/// The form Discord demands ("User Agent"): `DiscordBot (url, version)`.
const USER_AGENT: &str = concat!(
    "DiscordBot (https://github.com/V-Sekai/uro_discord, ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

/// The settings of a client. `Debug` does not show the token.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bot's token, without `Bot ` in front.
    pub token: SecretString,
    /// The API's address, version included. Plain `http` is taken for a loopback address only.
    pub api_url: String,
    /// A twilight http-proxy (`http://host:port`) that several clients share. It is used in place of `api_url` and keeps
    /// the limits; this client then only heeds 429s. It may be reached over plain `http`.
    pub rest_proxy: Option<String>,
    /// A PEM file with certificate authorities to trust beside Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// The `User-Agent`, as `DiscordBot (url, version)`.
    pub user_agent: String,
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Time for one attempt; a large upload is given more, at 64 KiB/s.
    pub attempt_timeout: Duration,
    /// After this an idle connection is closed. Shorter than what Discord's edge waits, so that it is not the one to close.
    pub idle_timeout: Duration,
    /// How often one call is sent at most.
    pub max_attempts: u32,
    /// The pause before the second attempt; it doubles with each, up to ten seconds, and half of it is random.
    pub backoff: Duration,
    /// The largest answer that is taken, in bytes.
    pub max_response: usize,
    /// Requests Discord may reject (401, 403, 429) in ten minutes before nothing more is sent. It bans at 10,000.
    pub max_rejected: u32,
}

impl Config {
    /// The settings for Discord itself.
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            token: SecretString::from(token.into()),
            api_url: DISCORD_API.into(),
            rest_proxy: None,
            ca_file: None,
            user_agent: USER_AGENT.into(),
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(30),
            max_attempts: 5,
            backoff: Duration::from_millis(500),
            max_response: 16 << 20,
            max_rejected: 500,
        }
    }

    /// What every request's path is appended to; it ends without a slash.
    pub(crate) fn base(&self) -> Result<String, ConfigError> {
        let (key, url) = match &self.rest_proxy {
            Some(proxy) => ("rest_proxy", proxy),
            None => ("api_url", &self.api_url),
        };
        let invalid = |reason| ConfigError::Url { key, reason };
        let uri: Uri = url.parse().map_err(|_| invalid("it is not a URL"))?;
        let host = uri.host().ok_or(invalid("it has no host"))?;
        if uri.query().is_some()
            || uri
                .authority()
                .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(invalid("it must be scheme, host, port and path only"));
        }
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.rest_proxy.is_some() || is_loopback(host) => {}
            Some("http") => return Err(invalid("http would send the token in clear; use https")),
            _ => return Err(invalid("it must begin with https://")),
        }
        let url = url.trim_end_matches('/');
        // The proxy forwards paths as they are, and is given by its address only.
        let version = if self.rest_proxy.is_some() && uri.path() == "/" {
            "/api/v10"
        } else {
            ""
        };
        Ok(format!("{url}{version}"))
    }

    /// The value of `Authorization`, marked so that no `Debug` shows it.
    pub(crate) fn authorization(scheme: &str, token: &str) -> Option<HeaderValue> {
        let fit = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        let mut value = HeaderValue::try_from(format!("{scheme} {token}"))
            .ok()
            .filter(|_| fit)?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Why a client cannot be made of a [`Config`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The token cannot be one.
    #[error("token: it must be printable ASCII without spaces, and without `Bot ` in front")]
    Token,
    /// An address cannot be used.
    #[error("{key}: {reason}")]
    Url {
        /// `api_url` or `rest_proxy`.
        key: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The user agent cannot be sent.
    #[error("user_agent: it must have the form `DiscordBot (url, version)`")]
    UserAgent,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(api_url: &str) -> Result<String, ConfigError> {
        Config {
            api_url: api_url.into(),
            ..Config::new("t")
        }
        .base()
    }

    #[test]
    fn clear_text_is_for_loopback_only() {
        assert_eq!(
            base("http://127.0.0.1:80/api/v10/").unwrap(),
            "http://127.0.0.1:80/api/v10"
        );
        assert!(base("http://[::1]:80").is_ok());
        assert!(base("http://127.0.0.1.example.com/api/v10").is_err());
        assert!(base("http://discord.com/api/v10").is_err());
        assert!(base("https://a@discord.com/api/v10").is_err());
        assert!(base("discord.com").is_err());
    }

    #[test]
    fn a_proxy_is_given_by_its_address() {
        let proxied = |url: &str| {
            Config {
                rest_proxy: Some(url.into()),
                ..Config::new("t")
            }
            .base()
            .unwrap()
        };
        assert_eq!(
            proxied("http://proxy.internal:3000"),
            "http://proxy.internal:3000/api/v10"
        );
        assert_eq!(
            proxied("http://proxy.internal:3000/discord/"),
            "http://proxy.internal:3000/discord"
        );
    }

    #[test]
    fn debug_does_not_show_the_token() {
        let config = Config::new("s3cret");
        assert!(!format!("{config:?}").contains("s3cret"));
        let header = Config::authorization("Bot", "s3cret").unwrap();
        assert!(!format!("{header:?}").contains("s3cret"));
        assert!(Config::authorization("Bot", "Bot s3cret").is_none());
    }
}
