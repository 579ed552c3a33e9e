//! Where a portal is.

use std::{fmt, net::IpAddr, str::FromStr};

use hyper::Uri;
use secrecy::SecretString;
use thiserror::Error;

/// A portal's URL, such as `https://uro.example.com/portal/lobby`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Without the way at its end and without a slash.
    portal: String,
    authority: String,
}

/// A portal's URL, or a link to its page, which has a token behind `#`.
#[derive(Clone, Debug)]
pub struct Link {
    /// The portal.
    pub portal: Address,
    /// The token, if there is one.
    pub token: Option<SecretString>,
}

impl FromStr for Link {
    type Err = AddressError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let (portal, token) = given.split_once('#').unwrap_or((given, ""));
        Ok(Self {
            portal: portal.parse()?,
            token: (!token.is_empty()).then(|| token.into()),
        })
    }
}

/// The endpoint of a portal that a peer goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To publish.
    Whip,
    /// To listen.
    Whep,
    /// Both.
    Peer,
}

impl Kind {
    /// The last part of the endpoint's path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
            Self::Peer => "peer",
        }
    }
}

/// Why a text is not a portal's URL.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{given:?} is not the URL of a portal: {reason}. It looks like https://uro.example.com/portal/lobby"
)]
pub struct AddressError {
    given: String,
    reason: &'static str,
}

impl Address {
    /// The URL of an endpoint.
    #[must_use]
    pub fn endpoint(&self, kind: Kind) -> String {
        format!("{}/{}", self.portal, kind.path())
    }

    /// The URL of what a `Location` header names: a whole one, or a path on this host.
    #[must_use]
    pub fn resolve(&self, location: &str) -> Option<String> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(format!("{}{location}", self.origin()));
        }
        // Somebody who asks a peer to take its token elsewhere is not followed.
        location
            .strip_prefix(self.origin())
            .filter(|path| path.starts_with('/'))
            .map(|_| location.to_owned())
    }

    fn origin(&self) -> &str {
        let scheme = self.portal.find("://").map_or(0, |at| at + 3);
        &self.portal[..scheme + self.authority.len()]
    }

    /// Whether the server is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host =
            self.authority
                .rsplit_once(':')
                .map_or(self.authority.as_str(), |(host, port)| {
                    if port.bytes().all(|byte| byte.is_ascii_digit()) {
                        host
                    } else {
                        &self.authority
                    }
                });
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| AddressError {
            given: given.to_owned(),
            reason,
        };
        if let Some((given, _)) = given.split_once('#') {
            // It may be a token.
            return Err(AddressError {
                given: given.to_owned(),
                reason: "what follows # is no part of it",
            });
        }
        let uri: Uri = given.parse().map_err(|_| wrong("it is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it begins with neither https:// nor http://"));
        }
        if uri.query().is_some() {
            return Err(wrong(
                "a portal's URL has no query; give the token by --token",
            ));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong(
                "there is a user's name in it; give the token by --token",
            ));
        }
        let mut portal = given.trim_end_matches('/');
        for kind in [Kind::Whip, Kind::Whep, Kind::Peer] {
            if let Some(rest) = portal
                .strip_suffix(kind.path())
                .and_then(|rest| rest.strip_suffix('/'))
                && !rest.ends_with("/portal")
            {
                portal = rest;
                break;
            }
        }
        if uri.path().trim_matches('/').is_empty() {
            return Err(wrong("it names no portal"));
        }
        Ok(Self {
            portal: portal.to_owned(),
            authority: authority.as_str().to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.portal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_at_its_end_is_not_part_of_it() {
        for given in [
            "http://127.0.0.1:4000/portal/lobby",
            "http://127.0.0.1:4000/portal/lobby/",
            "http://127.0.0.1:4000/portal/lobby/whip",
            "http://127.0.0.1:4000/portal/lobby/peer",
        ] {
            let address: Address = given.parse().unwrap();
            assert_eq!(address.to_string(), "http://127.0.0.1:4000/portal/lobby");
            assert_eq!(
                address.endpoint(Kind::Whep),
                "http://127.0.0.1:4000/portal/lobby/whep"
            );
        }
        // A portal may be called so.
        let address: Address = "https://a/portal/peer".parse().unwrap();
        assert_eq!(address.endpoint(Kind::Peer), "https://a/portal/peer/peer");
    }

    #[test]
    fn what_is_no_portal_is_refused() {
        for given in [
            "lobby",
            "ftp://a/portal/lobby",
            "https://a",
            "https://a/",
            "https://me@a/portal/lobby",
            "https://a/portal/lobby?token=x",
        ] {
            let error = given.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains(given), "{error}");
        }
    }

    #[test]
    fn a_link_has_a_token() {
        use secrecy::ExposeSecret as _;
        for given in [
            "https://a/portal/lobby/#x.y.z",
            "https://a/portal/lobby#x.y.z",
        ] {
            let link: Link = given.parse().unwrap();
            assert_eq!(link.portal.to_string(), "https://a/portal/lobby");
            assert_eq!(link.token.unwrap().expose_secret(), "x.y.z");
            let error = given.parse::<Address>().unwrap_err().to_string();
            assert!(!error.contains("x.y.z"), "{error}");
        }
        let link: Link = "https://a/portal/lobby".parse().unwrap();
        assert!(link.token.is_none());
    }

    #[test]
    fn a_session_is_on_the_same_host() {
        let address: Address = "https://a:1/portal/lobby".parse().unwrap();
        let session = "https://a:1/portal/lobby/peer/x";
        assert_eq!(
            address.resolve("/portal/lobby/peer/x").as_deref(),
            Some(session)
        );
        assert_eq!(address.resolve(session).as_deref(), Some(session));
        assert_eq!(address.resolve("https://a:12/portal"), None);
        assert_eq!(address.resolve("//b/portal"), None);
        assert_eq!(address.resolve("https://b/portal"), None);
    }

    #[test]
    fn loopback_is_known_by_its_name_and_numbers() {
        for (given, loopback) in [
            ("http://localhost/portal/a", true),
            ("http://127.0.0.1:1/portal/a", true),
            ("http://[::1]:1/portal/a", true),
            ("http://[::1]/portal/a", true),
            ("http://192.0.2.1/portal/a", false),
            ("http://example.com:1/portal/a", false),
        ] {
            assert_eq!(
                given.parse::<Address>().unwrap().is_loopback(),
                loopback,
                "{given}"
            );
        }
    }
}
