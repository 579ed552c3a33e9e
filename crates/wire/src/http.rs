//! What Elixir wants of the HTTP listener.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The `"http"` part of the desired state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Http {
    /// The address to listen on.
    pub ip: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// How many connections there may be.
    pub connections: usize,
    /// HTTPS, and no plain HTTP.
    pub tls: Option<Tls>,
    /// Whether Elixir answers `/discord/…` here. Else another bridge's listener is for that.
    #[serde(default = "always", skip_serializing_if = "Clone::clone")]
    pub discord: bool,
}

fn always() -> bool {
    true
}

/// Files in PEM, as an ACME client writes them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tls {
    /// The certificate, and behind it those that lead to a root.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}
