//! Media loops, each with one UDP port for all of its peers, and the handles to them.

mod admission;
mod config;
mod counters;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handle;
mod host;
mod line;
mod media;
mod paths;
mod queue;
mod session;
mod socket;
mod ssrcs;
mod stopped;
mod stun;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::clip::{Clip, NoClip};
use crate::peer::{Identity, PeerError};
use crate::room::Options;
use crate::token::Keys;
pub(crate) use admission::{Admission, Full, Permit};
pub use config::{BindError, Endpoint, Limits};
pub use counters::Counters;
use counters::{Counts, count};
pub(crate) use handle::RoomLink;
pub use handle::{Ended, Happened, Portal, PortalEvent};
pub(crate) use line::{Heard, Line};
pub(crate) use media::{Command, NoSession, Refused, Restarted, SessionAddress};
use media::{Media, Wake};
use queue::Queue;
pub use session::Left;
pub(crate) use session::PeerInfo;
use socket::Socket;

/// Commands that a loop has not looked at.
const COMMANDS: usize = 256;

/// Characters of a portal's id.
const ID: usize = 64;

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
    /// It sees and hears by a WebSocket.
    Tv,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
            Self::Peer => "peer",
            Self::Tv => "tv",
        })
    }
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

/// All portals of an endpoint. Every clone is the same one.
#[derive(Clone)]
pub struct Portals(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) keys: Keys,
    pub(crate) origins: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) admission: Admission,
    handles: Vec<LoopHandle>,
    links: Mutex<HashMap<String, Arc<RoomLink>>>,
    next: AtomicU64,
    counts: Arc<Counts>,
}

/// A loop as others see it.
pub(crate) struct LoopHandle {
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
        endpoint.check()?;
        let certificate = |error: PeerError| BindError::Certificate(Box::new(error));
        let identity = Identity::new().map_err(certificate)?;
        let mut by_port: BTreeMap<u16, Vec<SocketAddr>> = BTreeMap::new();
        for address in &endpoint.addresses {
            by_port.entry(address.port()).or_default().push(*address);
        }
        let counts = Arc::new(Counts::default());
        let (mut handles, mut loops) = (Vec::new(), Vec::new());
        for addresses in by_port.into_values() {
            let mut sockets = Vec::new();
            for address in addresses {
                let fault = |source| BindError::Socket { address, source };
                sockets.push(Socket::bind(address).map_err(fault)?);
            }
            let wake = Arc::new(Wake::default());
            let (commands, taken) = mpsc::channel(COMMANDS);
            handles.push(LoopHandle {
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
            admission: Admission::default(),
            handles,
            links: Mutex::default(),
            next: AtomicU64::new(0),
            counts,
        };
        Ok((Self(Arc::new(shared)), loops))
    }

    /// The addresses that are bound, as the system gave them.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let handles = self.0.handles.iter();
        handles
            .flat_map(|handle| handle.addresses.clone())
            .collect()
    }

    /// Everything under `/portal/`.
    ///
    /// A request's address is that of the extension [`crate::ClientAddress`], if there is one; without it, peers are not counted by
    /// address.
    pub fn routes(&self) -> axum::Router {
        crate::endpoint::routes(self.0.clone())
    }

    /// The pages that may connect, as [`Endpoint::origins`] has them.
    #[must_use]
    pub fn origins(&self) -> &[String] {
        &self.0.origins
    }

    /// Lets the page of an `Origin` read an answer to it, if it may ask: for answers of whoever serves [`routes`](Self::routes).
    pub fn allow(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        crate::endpoint::allow(&self.0, origin, headers);
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
        let mut links = self.0.links();
        if links.contains_key(id) {
            return Err(OpenError::Taken);
        }
        // The loop with the fewest rooms.
        let handles = self.0.handles.iter().enumerate();
        let running = handles.filter(|(_, handle)| !handle.wake.stopped.load(Ordering::Acquire));
        let (media_loop, LoopHandle { wake, .. }) = running
            .min_by_key(|(_, handle)| handle.wake.rooms.load(Ordering::Relaxed))
            .ok_or(OpenError::Stopped)?;
        wake.rooms.fetch_add(1, Ordering::Relaxed);
        let link = Arc::new(RoomLink {
            id: id.to_owned(),
            key: self.0.next.fetch_add(1, Ordering::Relaxed),
            media_loop,
            options,
            inbox: Queue::new(),
            outbox: Queue::new(),
            woken: AtomicBool::new(false),
        });
        links.insert(id.to_owned(), link.clone());
        drop(links);
        Ok(Portal::new(link, self.0.clone()))
    }

    /// A file of what was on air of late in a portal, as far as [`Portal::clips`] has it kept: so long, or as far as the keyframe before that.
    ///
    /// # Errors
    ///
    /// See [`NoClip`].
    pub async fn clip(&self, id: &str, length: Duration) -> Result<Clip, NoClip> {
        let link = self.0.link(id).ok_or(NoClip::Closed)?;
        let handle = self.0.media_loop(&link).ok_or(NoClip::Closed)?;
        let (reply, answer) = oneshot::channel();
        let command = Command::Clip {
            link,
            length,
            reply,
        };
        let asked = handle.commands.send(command).await;
        asked.map_err(|_| NoClip::Closed)?;
        let cut = answer.await.map_err(|_| NoClip::Closed)??;
        // Of 10 MiB it takes so long that voice on this worker would wait.
        let clip = tokio::task::spawn_blocking(move || cut.clip());
        clip.await.map_err(|_| NoClip::Fault)?
    }

    /// What was counted since the sockets were bound.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.counts.read()
    }
}

impl Shared {
    /// What is between a page and the loop of its room.
    pub(crate) fn line(&self, link: &RoomLink, session: String) -> Option<Arc<Line>> {
        let wake = self.handles.get(link.media_loop)?.wake.clone();
        Some(Arc::new(Line::new(session, wake)))
    }

    fn links(&self) -> MutexGuard<'_, HashMap<String, Arc<RoomLink>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn link(&self, id: &str) -> Option<Arc<RoomLink>> {
        self.links().get(id).cloned()
    }

    pub(crate) fn media_loop(&self, link: &RoomLink) -> Option<&LoopHandle> {
        self.handles.get(link.media_loop)
    }

    /// The portal's name is free again.
    fn forget(&self, link: &RoomLink) {
        let mut links = self.links();
        if links.get(&link.id).is_some_and(|it| it.key == link.key) {
            links.remove(&link.id);
        }
        drop(links);
        if let Some(handle) = self.handles.get(link.media_loop) {
            handle.wake.rooms.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
