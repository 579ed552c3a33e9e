//! What Elixir wants of the endpoint at which portals' peers have their media.

use crate::Secret;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

/// The `"media"` part of the desired state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Media {
    /// A UDP socket each. Port 0 takes a free one.
    pub addresses: Vec<SocketAddr>,
    /// Under which addresses peers reach these; none: under their own.
    #[serde(default)]
    pub public: Vec<IpAddr>,
    /// Each signs tokens. The first of several is Elixir's today; those behind it are on their way out.
    pub keys: Vec<Secret>,
    /// Web pages whose scripts may ask: `https://uro.example`, or `*`.
    #[serde(default)]
    pub origins: Vec<String>,
    /// How many peers there may be, and how much each may send.
    pub limits: MediaLimits,
}

/// How many peers there may be at once, and how much each may send.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MediaLimits {
    /// In one portal.
    pub portal_peers: NonZeroU32,
    /// Of one person, whatever tokens he has.
    #[serde(default = "subject_peers")]
    pub subject_peers: NonZeroU32,
    /// With one token.
    pub token_peers: NonZeroU32,
    /// From one address.
    pub address_peers: NonZeroU32,
    /// Datagrams a second from one peer.
    #[serde(default = "packets")]
    pub packets: NonZeroU32,
    /// Bits a second from one peer, of sound and pictures together.
    #[serde(default = "bits")]
    pub bits: NonZeroU32,
}

const fn subject_peers() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(7)
}

const fn packets() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(1_999)
}

const fn bits() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(11_999_999)
}
