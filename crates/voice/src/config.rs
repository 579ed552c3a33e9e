//! What a session is given.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use secrecy::SecretString;
use uro_discord_net::{is_loopback, tls};

use crate::error::ConfigError;
use crate::video::VideoConfig;

/// Where to join and as whom: what the main gateway gives. `Debug` does not show token and session id.
#[derive(Clone, Debug)]
pub struct JoinInfo {
    /// The voice server as `VOICE_SERVER_UPDATE` has it: `host:port`, without a scheme. The port matters.
    pub endpoint: String,
    /// The guild.
    pub guild_id: u64,
    /// The voice or stage channel.
    pub channel_id: u64,
    /// The bot's own user.
    pub user_id: u64,
    /// From our own `VOICE_STATE_UPDATE`.
    pub session_id: SecretString,
    /// From `VOICE_SERVER_UPDATE`.
    pub token: SecretString,
}

/// How the voice gateway is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// TLS, as Discord demands.
    #[default]
    Wss,
    /// In clear, to a loopback address only.
    Ws,
}

/// The settings of a session. Cloning it is cheap and shares what TLS needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The voice gateway's version. Others than 8 are not documented.
    pub gateway_version: u8,
    /// How the voice gateway is reached.
    pub scheme: Scheme,
    /// Whom TLS trusts.
    pub tls: Tls,
    /// How long each step of joining may take: connecting, being greeted, agreeing on encryption.
    pub step_timeout: Duration,
    /// How long the main gateway may take to name another voice server, after a move or a region's change.
    pub move_timeout: Duration,
    /// How often a broken connection to the voice gateway is tried again.
    pub attempts: u32,
    /// Whether others' audio is wanted, until [`Session::want_audio`](crate::Session::want_audio) says otherwise. Where nobody takes frames, it costs next to nothing: packets are counted
    /// ([`ReceiveStats::unread`](crate::ReceiveStats::unread)) and not decrypted, but for the one with which somebody begins to
    /// speak, so that [`Event::Speaking`](crate::Event::Speaking) is told all the same.
    pub receive: bool,
    /// Frames that may wait to be sent, 20 ms each.
    pub send_queue: usize,
    /// Received frames that may wait to be taken. What comes then is dropped, and counted.
    pub receive_queue: usize,
    /// Events that may wait to be taken. What comes then is dropped, and the next one taken says how many.
    pub event_queue: usize,
    /// Video, which is off unless this is set: Discord does not let bots send it, and documents nothing about it. What is
    /// here speaks as its own clients do, for the day it changes.
    pub video: Option<VideoConfig>,
}

impl Config {
    /// The settings for Discord itself.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, ConfigError> {
        Ok(Self::with_tls(Tls::new(None)?))
    }

    /// The settings for Discord itself, and whom TLS trusts.
    #[must_use]
    pub fn with_tls(tls: Tls) -> Self {
        Self {
            gateway_version: 8,
            scheme: Scheme::Wss,
            tls,
            step_timeout: Duration::from_secs(10),
            move_timeout: Duration::from_secs(15),
            attempts: 5,
            receive: true,
            send_queue: 25,
            receive_queue: 256,
            event_queue: 256,
            video: None,
        }
    }
}

/// Whom TLS trusts: Mozilla's certificate authorities, and maybe one's own.
#[derive(Clone)]
pub struct Tls(pub(crate) Arc<ClientConfig>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Mozilla's, and those in a PEM file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has no certificate in it.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(tls::client_config(ca_file)?)))
    }
}

/// A voice server's address, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A name, or an IP address without brackets.
    pub host: String,
    pub port: u16,
    /// Both, as a URL has them.
    pub authority: String,
}

impl Endpoint {
    pub(crate) fn parse(endpoint: &str, scheme: Scheme) -> Result<Self, ConfigError> {
        let invalid = || ConfigError::Endpoint(endpoint.into());
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        if endpoint.is_empty() || endpoint.len() > 255 || !endpoint.bytes().all(fit) {
            return Err(invalid());
        }
        let default = match scheme {
            Scheme::Wss => 443,
            Scheme::Ws => 80,
        };
        let (host, port) = match endpoint
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((host, port)) => {
                host.parse::<std::net::Ipv6Addr>().map_err(|_| invalid())?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':').ok_or_else(invalid)?),
                };
                (host, port)
            }
            None => match endpoint.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (endpoint, None),
            },
        };
        let port = port.map_or(Some(default), |port| port.parse().ok());
        let port = port.filter(|port| *port > 0).ok_or_else(invalid)?;
        if host.is_empty() || endpoint.starts_with('[') != host.contains(':') {
            return Err(invalid());
        }
        if scheme == Scheme::Ws && !is_loopback(host) {
            return Err(ConfigError::PlainText(endpoint.into()));
        }
        let authority = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        Ok(Self {
            host: host.into(),
            port,
            authority,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(endpoint: &str, scheme: Scheme) -> Option<(String, u16)> {
        Endpoint::parse(endpoint, scheme)
            .map(|endpoint| (endpoint.host, endpoint.port))
            .ok()
    }

    #[test]
    fn the_port_is_kept() {
        let is = |endpoint, host: &str, port| {
            assert_eq!(parse(endpoint, Scheme::Wss), Some((host.into(), port)));
        };
        is(
            "rotterdam1.discord.media:2053",
            "rotterdam1.discord.media",
            2053,
        );
        is("rotterdam1.discord.media", "rotterdam1.discord.media", 443);
        is("[::1]:4443", "::1", 4443);
        for bad in [
            "", ":443", "a:0", "a:x", "a:1:2", "a b", "a/b", "[::1", "[a]:1", "[::1]1", "u@a",
        ] {
            assert_eq!(parse(bad, Scheme::Wss), None, "{bad}");
        }
    }

    #[test]
    fn clear_text_is_for_loopback_only() {
        for good in ["localhost:1", "127.0.0.1:1", "[::1]:1"] {
            assert!(parse(good, Scheme::Ws).is_some(), "{good}");
        }
        assert!(parse("127.0.0.1.example.com:1", Scheme::Ws).is_none());
        assert!(parse("discord.media:80", Scheme::Ws).is_none());
    }

    #[test]
    fn debug_does_not_show_secrets() {
        let info = JoinInfo {
            endpoint: "a".into(),
            guild_id: 1,
            channel_id: 2,
            user_id: 3,
            session_id: "s3ssion".into(),
            token: "t0ken".into(),
        };
        let shown = format!("{info:?}");
        assert!(
            !shown.contains("s3ssion") && !shown.contains("t0ken"),
            "{shown}"
        );
    }
}
