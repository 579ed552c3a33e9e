//! One connection's client: whose turn it is, and for how long it may be.

use super::budget::{Share, Turn};
use futures_util::task::AtomicWaker;
use hyper::StatusCode;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;
use tokio::time::Instant;

/// From the first byte of a request of HTTP/1 to the end of its head; and from connecting to the first one.
const HEAD: Duration = Duration::from_secs(10);

/// Between requests.
const IDLE: Duration = Duration::from_secs(30);

/// Without reading a byte of what waits for it.
const UNREAD: Duration = Duration::from_secs(10);

/// What HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI ";

pub struct Client {
    /// Its address.
    pub peer: IpAddr,
    share: Share,
    progress: Mutex<Progress>,
    /// It is to end, whoever has it.
    cut: AtomicBool,
    reader: AtomicWaker,
}

struct Progress {
    /// Requests that have no answer yet.
    open: usize,
    /// Those of them whose body is waited for.
    reading: usize,
    /// Requests that had one.
    answered: u64,
    /// Since when the connection is where it is.
    since: Instant,
    /// The first byte of a request has come.
    head: bool,
    /// Bytes have come since the last answer.
    fresh: bool,
    /// The client asked for more before it could have read the last answer.
    pipelined: bool,
    /// Since when nothing can be written.
    stalled: Option<Instant>,
    /// An answer of ours is on its way to the socket.
    answering: bool,
    version: Version,
    /// What hyper would answer to what is no request.
    refused: Option<StatusCode>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Version {
    Unknown,
    One,
    Two,
}

impl Client {
    pub fn new(peer: IpAddr, share: Share) -> Self {
        Self {
            peer,
            share,
            progress: Mutex::new(Progress {
                open: 0,
                reading: 0,
                answered: 0,
                since: Instant::now(),
                head: false,
                fresh: false,
                pipelined: false,
                stalled: None,
                answering: false,
                version: Version::Unknown,
                refused: None,
            }),
            cut: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        }
    }

    /// Ends the connection when it has gone elsewhere, as that of a WebSocket has: it reads nothing any more.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// Whether nothing is to be read any more; else who reads is woken when that changes.
    pub fn is_cut(&self, context: &Context<'_>) -> bool {
        self.reader.register(context.waker());
        self.cut.load(Ordering::Acquire)
    }

    /// Waits until somebody else has got the place.
    pub async fn evicted(&self) {
        self.share.evicted().await;
    }

    /// Until when the client may take its time; `None` while the time is ours.
    pub fn deadline(&self) -> Option<Instant> {
        let progress = self.progress();
        if let Some(since) = progress.stalled {
            return Some(since + UNREAD);
        }
        if progress.open > 0 {
            return None;
        }
        let first = progress.answered == 0 && progress.version != Version::Two;
        let time = if progress.head || first { HEAD } else { IDLE };
        Some(progress.since + time)
    }

    /// Whether a refusal can be written past hyper, as the head of a request of HTTP/1 is under way.
    pub fn in_head(&self) -> bool {
        let progress = self.progress();
        progress.version == Version::One && progress.head && progress.stalled.is_none()
    }

    /// What hyper wanted to say last.
    pub fn refused(&self) -> Option<StatusCode> {
        self.progress().refused
    }

    /// Bytes have come.
    pub fn read(&self, bytes: &[u8]) {
        self.change(|progress| {
            if progress.version == Version::Unknown {
                progress.version = if bytes.starts_with(PREFACE) {
                    Version::Two
                } else {
                    Version::One
                };
            }
            progress.fresh = true;
            if progress.open == 0 && !progress.head && progress.version == Version::One {
                progress.head = true;
                progress.since = Instant::now();
            }
        });
    }

    /// Whether these bytes are hyper's own word on what is no request, which has no body: the caller says it better.
    pub fn withholds(&self, bytes: &[u8]) -> bool {
        let mut progress = self.progress();
        let status = bytes
            .strip_prefix(b"HTTP/1.1 ")
            .and_then(|rest| rest.first_chunk::<3>())
            .and_then(|digits| StatusCode::from_bytes(digits).ok())
            .filter(StatusCode::is_client_error);
        if progress.answering || progress.open > 0 || status.is_none() {
            return false;
        }
        progress.refused = status;
        true
    }

    /// The socket took something, or it cannot.
    pub fn wrote(&self, some: bool) {
        self.change(|progress| {
            progress.stalled = match progress.stalled {
                _ if some => None,
                None => Some(Instant::now()),
                since => since,
            }
        });
    }

    /// All has been written.
    pub fn flushed(&self) {
        self.change(|progress| {
            progress.stalled = None;
            progress.answering = false;
        });
    }

    /// The head of a request is there; `read`: and it has no body; `two`: it is of HTTP/2.
    pub fn asks(self: &Arc<Self>, read: bool, two: bool) -> Work {
        self.change(|progress| {
            if two {
                progress.version = Version::Two;
            }
            progress.pipelined = !progress.fresh && progress.answered > 0;
            progress.open += 1;
            progress.head = false;
        });
        Work {
            client: self.clone(),
            read: AtomicBool::new(read),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress();
        change(&mut progress);
        let turn = progress.turn();
        drop(progress);
        self.share.turn(turn);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Nothing that runs under it panics half way.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Who asks for much at once is at work for long, and is not to keep others out by it.
    fn turn(&self) -> Turn {
        let clients = if self.answered == 0 {
            Turn::ClientBegins
        } else {
            Turn::ClientAgain
        };
        if self.stalled.is_some() {
            Turn::ClientReads
        } else if self.open == self.reading {
            clients
        } else if self.open > 1 || (self.pipelined && self.version != Version::Two) {
            Turn::ClientReads
        } else {
            Turn::Ours
        }
    }
}

/// A request, until its answer is there. Whoever answers has it from the request's extensions.
pub struct Work {
    client: Arc<Client>,
    read: AtomicBool,
}

impl Work {
    /// Its body has been read to the end. Else no other request can come after it on a connection of HTTP/1.
    pub fn has_read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    pub fn was_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// Its body is waited for, or no longer.
    pub fn reads(&self, reads: bool) {
        self.client.change(|progress| {
            progress.reading = if reads {
                progress.reading + 1
            } else {
                progress.reading.saturating_sub(1)
            };
        });
    }

    /// How many requests this client has under way.
    pub fn open(&self) -> usize {
        self.client.progress().open
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.client.change(|progress| {
            progress.open -= 1;
            progress.answered += 1;
            progress.answering = true;
            progress.fresh = false;
            progress.since = Instant::now();
        });
    }
}
