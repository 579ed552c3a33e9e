//! How many peers there are of each portal, person, token and address, and how often they come.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Kind, Limits};
use crate::rate::Rate;
use crate::token::Claims;

/// How many times its limit of peers a token, or an address, may join at once. An offer costs a loop a millisecond and more.
const AT_ONCE: u32 = 4;

/// How often a token may have the still picture, a second, and how often at once. An address may as often as so many tokens as it may have peers.
const STILLS: (f64, u32) = (2.0, 8);

/// So many are remembered before those are forgotten who have not come for long.
const REMEMBERED: usize = 1024;

/// What peers are counted by.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Key {
    Portal(String),
    /// In one portal: who has many tokens is one person still.
    Subject(String, String),
    Token(String),
    Address(IpAddr),
    /// Who asks for the still picture.
    TokenStill(String),
    AddressStill(IpAddr),
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Portal,
    Subject,
    Token,
    Address,
    /// There is room, but it is asked for too often.
    Often,
}

#[derive(Default)]
struct State {
    counts: HashMap<Key, usize>,
    arrivals: HashMap<Key, Rate>,
}

#[derive(Clone, Default)]
pub(crate) struct Admission(Arc<Mutex<State>>);

/// One peer may be there; another may when this is dropped.
pub(crate) struct Permit {
    admission: Admission,
    keys: Vec<Key>,
}

impl Admission {
    pub(crate) fn permit(
        &self,
        limits: &Limits,
        claims: &Claims,
        kind: Kind,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<Permit, Full> {
        let Claims {
            portal, sub, jti, ..
        } = claims;
        let mut wanted = vec![
            (
                Key::Portal(portal.clone()),
                limits.portal_peers,
                Full::Portal,
            ),
            (
                Key::Subject(portal.clone(), sub.clone()),
                limits.subject_peers,
                Full::Subject,
            ),
            (Key::Token(jti.clone()), limits.token_peers, Full::Token),
        ];
        // All who watch in Discord come by its proxy, which says of nobody where he is.
        if let Some(address) = address.filter(|_| kind != Kind::Tv) {
            wanted.push((
                Key::Address(site(address)),
                limits.address_peers,
                Full::Address,
            ));
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, limit, full) in &wanted {
            if state.counts.get(key).is_some_and(|count| count >= limit) || *limit == 0 {
                return Err(*full);
            }
        }
        for (key, limit, full) in &wanted {
            // A quarter of the limit may each second.
            let limit = u32::try_from(*limit).unwrap_or(u32::MAX);
            let rate = (f64::from(limit) / 4.0, limit.saturating_mul(AT_ONCE));
            if *full != Full::Portal && !state.arrives(key, rate, now) {
                return Err(Full::Often);
            }
        }
        let mut keys = Vec::with_capacity(wanted.len());
        for (key, ..) in wanted {
            let count = state.counts.entry(key.clone()).or_default();
            *count = count.saturating_add(1);
            keys.push(key);
        }
        Ok(Permit {
            admission: self.clone(),
            keys,
        })
    }

    /// Whether somebody may have the still picture now. Each time a loop is asked.
    pub(crate) fn still(
        &self,
        limits: &Limits,
        token: &str,
        address: Option<IpAddr>,
        now: Instant,
    ) -> bool {
        let (per_second, at_once) = STILLS;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.arrives(&Key::TokenStill(token.into()), STILLS, now) {
            return false;
        }
        address.is_none_or(|address| {
            let peers = u32::try_from(limits.address_peers).unwrap_or(u32::MAX);
            let rate = (per_second * f64::from(peers), at_once.saturating_mul(peers));
            state.arrives(&Key::AddressStill(site(address)), rate, now)
        })
    }
}

impl State {
    /// Whether one more may come: so many a second, and so many at once.
    fn arrives(&mut self, key: &Key, (per_second, at_once): (f64, u32), now: Instant) -> bool {
        if self.arrivals.len() >= REMEMBERED && !self.arrivals.contains_key(key) {
            self.arrivals.retain(|_, rate| !rate.is_full(now));
        }
        let rate = || Rate::within(at_once, per_second, now);
        let rate = self.arrivals.entry(key.clone()).or_insert_with(rate);
        rate.take(1, now)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self
            .admission
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some(count) = state.counts.get_mut(key) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    state.counts.remove(key);
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
    use crate::token::Role;
    use std::time::Duration;

    fn claims(portal: &str, sub: &str, jti: &str) -> Claims {
        Claims {
            iss: "uro_discord".into(),
            portal: portal.into(),
            role: Role::Peer,
            sub: sub.into(),
            name: sub.into(),
            iat: 0,
            exp: 1,
            jti: jti.into(),
        }
    }

    #[test]
    fn whoever_has_many_tokens_has_the_places_of_one() {
        let limits = Limits {
            subject_peers: 3,
            token_peers: 2,
            ..Limits::default()
        };
        let admission = Admission::default();
        let now = Instant::now();
        let permit = |portal: &str, sub: &str, token: &str| {
            admission.permit(&limits, &claims(portal, sub, token), Kind::Tv, None, now)
        };
        let _places = [
            permit("a", "ann", "1").ok().unwrap(),
            permit("a", "ann", "2").ok().unwrap(),
            permit("a", "ann", "3").ok().unwrap(),
        ];
        for token in 4..200 {
            let came = permit("a", "ann", &token.to_string());
            assert_eq!(came.err(), Some(Full::Subject));
        }
        assert!(permit("a", "bob", "200").is_ok());
        assert!(permit("b", "ann", "201").is_ok(), "another portal");
    }

    #[test]
    fn those_who_watch_are_not_counted_by_the_proxy_that_they_come_by() {
        let limits = Limits {
            address_peers: 2,
            ..Limits::default()
        };
        let admission = Admission::default();
        let now = Instant::now();
        let permit = |kind: Kind, n: u32| {
            let claims = claims("a", &format!("user:{n}"), &n.to_string());
            let proxy = Some("203.0.113.9".parse().unwrap());
            admission.permit(&limits, &claims, kind, proxy, now)
        };
        let pages: Vec<_> = (0..40).map_while(|n| permit(Kind::Tv, n).ok()).collect();
        assert_eq!(pages.len(), 40);
        let peers: Vec<_> = (40..44).map_while(|n| permit(Kind::Peer, n).ok()).collect();
        assert_eq!(peers.len(), 2);
    }

    #[test]
    fn a_place_is_free_again_when_its_peer_goes() {
        let limits = Limits {
            portal_peers: 3,
            token_peers: 2,
            address_peers: 2,
            ..Limits::default()
        };
        let admission = Admission::default();
        let now = Instant::now();
        let permit = |portal: &str, token: &str, address: &str| {
            let claims = claims(portal, "ann", token);
            let address = Some(address.parse().unwrap());
            admission.permit(&limits, &claims, Kind::Peer, address, now)
        };
        let first = permit("a", "1", "2001:db8::1");
        let _second = permit("a", "1", "10.0.0.1");
        assert_eq!(permit("a", "1", "10.0.0.2").err(), Some(Full::Token));
        let third = permit("a", "2", "2001:db8::2");
        assert!(third.is_ok());
        assert_eq!(permit("a", "3", "10.0.0.2").err(), Some(Full::Portal));
        assert_eq!(permit("b", "3", "2001:db8::3").err(), Some(Full::Address));
        drop(first);
        assert!(permit("a", "1", "2001:db8::3").is_ok());
        drop(third);
        drop(_second);
        assert!(admission.0.lock().unwrap().counts.is_empty());
    }

    #[test]
    fn a_still_picture_is_had_so_often() {
        let limits = Limits {
            address_peers: 2,
            ..Limits::default()
        };
        let admission = Admission::default();
        let start = Instant::now();
        let had = |token: &str, address: &str, after: u64| {
            let now = start + Duration::from_millis(after);
            admission.still(&limits, token, Some(address.parse().unwrap()), now)
        };
        assert!((0..8).all(|_| had("1", "10.0.0.1", 0)));
        assert!(!had("1", "10.0.0.2", 0));
        assert!((0..8).all(|_| had("2", "10.0.0.1", 0)));
        assert!(!had("3", "10.0.0.1", 0), "of two tokens' worth");
        assert!(had("3", "10.0.0.2", 0));
        assert!(had("1", "10.0.0.1", 500));
        assert!(!had("1", "10.0.0.1", 500));
    }

    #[test]
    fn who_comes_and_goes_all_the_time_waits() {
        let limits = Limits {
            token_peers: 4,
            ..Limits::default()
        };
        let admission = Admission::default();
        let start = Instant::now();
        let come = |token: &str, seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            let claims = claims("a", token, token);
            admission
                .permit(&limits, &claims, Kind::Peer, None, now)
                .map(drop)
        };
        for _ in 0..16 {
            assert_eq!(come("1", 0), Ok(()));
        }
        assert_eq!(come("1", 0), Err(Full::Often));
        assert_eq!(come("2", 0), Ok(()));
        assert_eq!(come("1", 1), Ok(()));
        assert_eq!(come("1", 1), Err(Full::Often));
        for token in 10..5_000 {
            assert_eq!(come(&token.to_string(), token), Ok(()));
        }
        assert!(admission.0.lock().unwrap().arrivals.len() <= REMEMBERED + 1);
    }
}
