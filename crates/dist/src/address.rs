//! Where a BEAM is.

use crate::name::{BadName, NodeName};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where a BEAM is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// A node of this name, whose port EPMD at its host knows.
    Named(NodeName),
    /// A host and a port, whichever node that is; a name may stand for several.
    Port(String, u16),
}

/// A text that is neither.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    /// It has an `@`, and is no name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// It has none, and no host with a port.
    #[error(
        "{0:?} is neither a host and a port, such as uro.example:4370, nor a node whose port EPMD knows, such as uro@uro.example"
    )]
    Port(String),
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text.contains('@') {
            return Ok(Self::Named(text.parse()?));
        }
        let wrong = || BadAddress::Port(text.chars().take(255).collect());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0);
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        match (bare.unwrap_or(host), port) {
            ("", _) | (_, None) => Err(wrong()),
            (host, _) if bare.is_none() && host.contains(':') => Err(wrong()),
            (host, Some(port)) => Ok(Self::Port(host.to_owned(), port)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(formatter),
            Self::Port(host, port) if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Self::Port(host, port) => write!(formatter, "{host}:{port}"),
        }
    }
}

impl Address {
    /// What TLS expects the certificate to name.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Named(name) => name.host(),
            Self::Port(host, _) => host,
        }
    }
}

/// Whether anybody may be on the way to it: it is of no private network.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xC0 == 64;
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || shared)
        }
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_or_a_name() {
        for text in [
            "uro.example:4370",
            "[::1]:4370",
            "uro@10.0.0.1",
            "10.0.0.1:1",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "uro",
            ":1",
            "uro:",
            "uro:0",
            "uro:65536",
            "::1:80",
            "[::1]",
            "a b@c",
            "@",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_of_a_private_network_is_public() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "0.0.0.0",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
