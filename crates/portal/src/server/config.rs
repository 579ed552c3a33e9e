//! What an endpoint is made of, and whether it can be.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::token::SHORTEST_KEY;

/// Where and for whom portals are served.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// UDP sockets. Those of one port (of IPv4 and IPv6, or of several networks) belong to one media loop; each port is another loop.
    pub addresses: Vec<SocketAddr>,
    /// The addresses that peers are told; empty: those that are bound.
    pub public: Vec<IpAddr>,
    /// What tokens are signed with; any one is good.
    pub keys: Vec<SecretString>,
    /// Pages that may connect (CORS); `*`: all.
    pub origins: Vec<String>,
    /// How much is enough.
    pub limits: Limits,
}

/// How much is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Peers of one portal.
    pub portal_peers: usize,
    /// Peers of one person in one portal, whatever tokens he has.
    pub subject_peers: usize,
    /// Peers with one token.
    pub token_peers: usize,
    /// Peers from one address (of IPv6: from one /64). Those who watch by a WebSocket are not counted by it.
    pub address_peers: usize,
    /// Datagrams a second from one peer.
    pub packets: u32,
    /// Bits a second from one peer.
    pub bits: u32,
    /// A peer of which nothing is heard for so long has gone.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            portal_peers: 64,
            subject_peers: 8,
            token_peers: 4,
            address_peers: 32,
            packets: 2000,
            bits: 12_000_000,
            silence: Duration::from_secs(15),
        }
    }
}

/// Why portals cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Nothing to listen on.
    #[error("there is no address to listen on; give one, as 0.0.0.0:7882")]
    NoAddress,
    /// An address of the system.
    #[error("UDP {address} cannot be had: {source}")]
    Socket {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Nobody could come.
    #[error("there is no key; tokens are checked with at least one")]
    NoKey,
    /// Too easy to guess.
    #[error("a key has {0} bytes; it needs {SHORTEST_KEY} at least")]
    ShortKey(usize),
    /// No page is called that.
    #[error("{0:?} is no origin; give one as https://example.org, or *")]
    Origin(String),
    /// The certificate of DTLS.
    #[error("no certificate for DTLS can be made")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Endpoint {
    /// What no system is needed for to see.
    pub(super) fn check(&self) -> Result<(), BindError> {
        if self.addresses.is_empty() {
            return Err(BindError::NoAddress);
        }
        if self.keys.is_empty() {
            return Err(BindError::NoKey);
        }
        for key in &self.keys {
            let length = key.expose_secret().len();
            if length < SHORTEST_KEY {
                return Err(BindError::ShortKey(length));
            }
        }
        for origin in &self.origins {
            let scheme = origin.starts_with("http://") || origin.starts_with("https://");
            let bare = origin.matches('/').count() == 2 && origin.is_ascii();
            if origin != "*" && !(scheme && bare) {
                return Err(BindError::Origin(origin.clone()));
            }
        }
        Ok(())
    }
}
