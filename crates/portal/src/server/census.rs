//! How many peers there are of each portal, token and address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::Limits;

/// What peers are counted by.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Key {
    Portal(String),
    Token(String),
    Address(IpAddr),
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Portal,
    Token,
    Address,
}

#[derive(Clone, Default)]
pub(crate) struct Census(Arc<Mutex<HashMap<Key, usize>>>);

/// A peer's place; it is free again when this is dropped.
pub(crate) struct Seat {
    census: Census,
    keys: Vec<Key>,
}

impl Census {
    pub(crate) fn seat(
        &self,
        limits: &Limits,
        portal: &str,
        token: &str,
        address: Option<IpAddr>,
    ) -> Result<Seat, Full> {
        let mut wanted = vec![
            (
                Key::Portal(portal.into()),
                limits.portal_peers,
                Full::Portal,
            ),
            (Key::Token(token.into()), limits.token_peers, Full::Token),
        ];
        if let Some(address) = address {
            wanted.push((
                Key::Address(site(address)),
                limits.address_peers,
                Full::Address,
            ));
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, limit, full) in &wanted {
            if counts.get(key).is_some_and(|count| count >= limit) || *limit == 0 {
                return Err(*full);
            }
        }
        let mut keys = Vec::with_capacity(wanted.len());
        for (key, ..) in wanted {
            let count = counts.entry(key.clone()).or_default();
            *count = count.saturating_add(1);
            keys.push(key);
        }
        Ok(Seat {
            census: self.clone(),
            keys,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.census.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some(count) = counts.get_mut(key) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
    }
}

/// Who has one address of IPv6 has the /64 that it is in.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_peer_goes() {
        let limits = Limits {
            portal_peers: 3,
            token_peers: 2,
            address_peers: 2,
            ..Limits::default()
        };
        let census = Census::default();
        let seat = |portal: &str, token: &str, address: &str| {
            census.seat(&limits, portal, token, Some(address.parse().unwrap()))
        };
        let first = seat("a", "1", "2001:db8::1");
        let _second = seat("a", "1", "10.0.0.1");
        assert_eq!(seat("a", "1", "10.0.0.2").err(), Some(Full::Token));
        let third = seat("a", "2", "2001:db8::2");
        assert!(third.is_ok());
        assert_eq!(seat("a", "3", "10.0.0.2").err(), Some(Full::Portal));
        assert_eq!(seat("b", "3", "2001:db8::3").err(), Some(Full::Address));
        drop(first);
        assert!(seat("a", "1", "2001:db8::3").is_ok());
        drop(third);
        drop(_second);
        assert!(census.0.lock().unwrap().is_empty());
    }
}
