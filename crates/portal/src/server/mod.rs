//! Media loops, each with one UDP port for all of its peers, and the handles to them.

mod census;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handle;
mod host;
mod media;
mod place;
mod queue;
mod rate;
mod session;
mod socket;
mod ssrcs;
mod stun;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::peer::{Identity, PeerError};
use crate::room::Options;
use crate::token::{Keys, SHORTEST_KEY};
pub(crate) use census::{Census, Full};
pub(crate) use handle::Hall;
pub use handle::{Happened, Portal, PortalEvent};
pub(crate) use media::{Command, NoSession, Refused, Restarted, SessionAddress};
use media::{Media, Wake};
use queue::Queue;
pub use session::Left;
pub(crate) use session::Passport;
use socket::Socket;

/// Commands that a loop has not looked at.
const COMMANDS: usize = 256;

/// Characters of a portal's id.
const ID: usize = 64;

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
    /// Peers with one token.
    pub token_peers: usize,
    /// Peers from one address (of IPv6: from one /64).
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
            token_peers: 4,
            address_peers: 32,
            packets: 2000,
            bits: 12_000_000,
            silence: Duration::from_secs(15),
        }
    }
}

/// How a peer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It publishes (RFC 9725).
    Whip,
    /// It listens to the mix.
    Whep,
    /// Both ways, by tracks or data channels.
    Peer,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
            Self::Peer => "peer",
        })
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

/// Why a portal cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is one.
    #[error("the portal is open already")]
    Taken,
    /// It is part of a path.
    #[error("a portal's id has 1 to {ID} characters: a to z, A to Z, 0 to 9, - and _")]
    Id,
    /// Its future was dropped, or has ended.
    #[error("the media loop does not run any more")]
    Stopped,
}

/// What counts over all loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams in.
    pub received: u64,
    /// Datagrams out.
    pub sent: u64,
    /// Datagrams that the system did not take.
    pub unsent: u64,
    /// Datagrams of nobody known.
    pub unknown: u64,
    /// Binding requests whose signature was not good.
    pub unsigned: u64,
    /// Addresses that somebody wanted while another peer was there.
    pub refused: u64,
    /// Peers that moved to another address.
    pub moved: u64,
    /// Datagrams beyond what a peer may send.
    pub limited: u64,
    /// Rooms and peers that panicked.
    pub panics: u64,
}

#[derive(Default)]
struct Counts {
    received: AtomicU64,
    sent: AtomicU64,
    unsent: AtomicU64,
    unknown: AtomicU64,
    unsigned: AtomicU64,
    refused: AtomicU64,
    moved: AtomicU64,
    limited: AtomicU64,
    panics: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// All portals of an endpoint. Every clone is the same one.
#[derive(Clone)]
pub struct Portals(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) keys: Keys,
    pub(crate) origins: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) census: Census,
    homes: Vec<Home>,
    halls: Mutex<HashMap<String, Arc<Hall>>>,
    next: AtomicU64,
    counts: Arc<Counts>,
}

/// A loop as others see it.
pub(crate) struct Home {
    pub(crate) commands: mpsc::Sender<Command>,
    wake: Arc<Wake>,
    addresses: Vec<SocketAddr>,
}

/// One port's peers and rooms, to be spawned by the caller. It ends when all handles are gone.
#[must_use = "nothing happens until it is spawned"]
pub struct MediaLoop(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Future for MediaLoop {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl Portals {
    /// Takes the sockets. To be called within a runtime of tokio; the loops are for the caller to spawn.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn bind(endpoint: Endpoint) -> Result<(Self, Vec<MediaLoop>), BindError> {
        check(&endpoint)?;
        let certificate = |error: PeerError| BindError::Certificate(Box::new(error));
        let identity = Identity::new().map_err(certificate)?;
        let mut by_port: BTreeMap<u16, Vec<SocketAddr>> = BTreeMap::new();
        for address in &endpoint.addresses {
            by_port.entry(address.port()).or_default().push(*address);
        }
        let counts = Arc::new(Counts::default());
        let (mut homes, mut loops) = (Vec::new(), Vec::new());
        for addresses in by_port.into_values() {
            let mut sockets = Vec::new();
            for address in addresses {
                let fault = |source| BindError::Socket { address, source };
                sockets.push(Socket::bind(address).map_err(fault)?);
            }
            let wake = Arc::new(Wake::default());
            let (commands, taken) = mpsc::channel(COMMANDS);
            homes.push(Home {
                commands,
                wake: wake.clone(),
                addresses: sockets.iter().map(Socket::address).collect(),
            });
            let media = Media::new(
                sockets,
                &endpoint.public,
                identity.clone(),
                endpoint.limits,
                counts.clone(),
                wake,
            );
            loops.push(MediaLoop(Box::pin(media.run(taken))));
        }
        let shared = Shared {
            keys: Keys::new(&endpoint.keys),
            origins: endpoint.origins,
            limits: endpoint.limits,
            census: Census::default(),
            homes,
            halls: Mutex::default(),
            next: AtomicU64::new(0),
            counts,
        };
        Ok((Self(Arc::new(shared)), loops))
    }

    /// The addresses that are bound, as the system gave them.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let homes = self.0.homes.iter();
        homes.flat_map(|home| home.addresses.clone()).collect()
    }

    /// Everything under `/portal/`.
    ///
    /// A request's address is that of the extension [`crate::ClientAddress`], if there is one; without it, peers are not counted by
    /// address.
    pub fn routes(&self) -> axum::Router {
        crate::endpoint::routes(self.0.clone())
    }

    /// Opens a portal.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(&self, id: &str, options: Options) -> Result<Portal, OpenError> {
        let good = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
        if !(1..=ID).contains(&id.len()) || !id.chars().all(good) {
            return Err(OpenError::Id);
        }
        let mut halls = self.0.halls();
        if halls.contains_key(id) {
            return Err(OpenError::Taken);
        }
        // The loop with the fewest rooms.
        let homes = self.0.homes.iter().enumerate();
        let running = homes.filter(|(_, home)| !home.wake.stopped.load(Ordering::Acquire));
        let (home, Home { wake, .. }) = running
            .min_by_key(|(_, home)| home.wake.rooms.load(Ordering::Relaxed))
            .ok_or(OpenError::Stopped)?;
        wake.rooms.fetch_add(1, Ordering::Relaxed);
        let hall = Arc::new(Hall {
            id: id.to_owned(),
            key: self.0.next.fetch_add(1, Ordering::Relaxed),
            home,
            options,
            inbox: Queue::new(),
            outbox: Queue::new(),
            woken: AtomicBool::new(false),
        });
        halls.insert(id.to_owned(), hall.clone());
        drop(halls);
        Ok(Portal::new(hall, self.0.clone()))
    }

    /// What was counted since the sockets were bound.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.0.counts;
        Counters {
            received: of(&counts.received),
            sent: of(&counts.sent),
            unsent: of(&counts.unsent),
            unknown: of(&counts.unknown),
            unsigned: of(&counts.unsigned),
            refused: of(&counts.refused),
            moved: of(&counts.moved),
            limited: of(&counts.limited),
            panics: of(&counts.panics),
        }
    }
}

impl Shared {
    fn halls(&self) -> MutexGuard<'_, HashMap<String, Arc<Hall>>> {
        self.halls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hall(&self, id: &str) -> Option<Arc<Hall>> {
        self.halls().get(id).cloned()
    }

    pub(crate) fn home(&self, hall: &Hall) -> Option<&Home> {
        self.homes.get(hall.home)
    }

    /// The portal's name is free again.
    fn forget(&self, hall: &Hall) {
        let mut halls = self.halls();
        if halls.get(&hall.id).is_some_and(|it| it.key == hall.key) {
            halls.remove(&hall.id);
        }
        drop(halls);
        if let Some(home) = self.homes.get(hall.home) {
            home.wake.rooms.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn check(endpoint: &Endpoint) -> Result<(), BindError> {
    if endpoint.addresses.is_empty() {
        return Err(BindError::NoAddress);
    }
    if endpoint.keys.is_empty() {
        return Err(BindError::NoKey);
    }
    for key in &endpoint.keys {
        let length = key.expose_secret().len();
        if length < SHORTEST_KEY {
            return Err(BindError::ShortKey(length));
        }
    }
    for origin in &endpoint.origins {
        let scheme = origin.starts_with("http://") || origin.starts_with("https://");
        let bare = origin.matches('/').count() == 2 && origin.is_ascii();
        if origin != "*" && !(scheme && bare) {
            return Err(BindError::Origin(origin.clone()));
        }
    }
    Ok(())
}
