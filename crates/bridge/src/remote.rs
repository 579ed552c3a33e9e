//! The bridge on another machine than Uro: a hidden node that dials every node of Uro, and is for each what it is on a port for the one
//! that started it. Each has its own gateway lease, desired state and end; they share the process.

use crate::bridge::run;
use crate::fault::Fault;
use crate::log::Listeners;
use crate::media::Media;
use crate::options::Remote;
use crate::panics::passed_on;
use crate::sender::FrameSender;
use crate::transport::Transport;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uro_discord_dist::{Address, Connection, Dialer, Session};
use uro_discord_net::{Backoff, Pauses};

/// How often it is looked which addresses a name has.
const LOOK: Duration = Duration::from_secs(10);

/// A name that stands for more than this stands for something else than the nodes of Uro.
const ADDRESSES: usize = 64;

/// Sessions of a connection that wait for the end of the one before.
const SESSIONS: usize = 4;

/// How long what runs may take to end when the process is told to.
const END: Duration = Duration::from_millis(1500);

const PAUSES: Pauses = Pauses {
    at_once: false,
    first: Duration::from_millis(500),
    longest: Duration::from_secs(15),
};

#[derive(Clone)]
struct Shared {
    dialer: Arc<Dialer>,
    media: Media,
    listeners: Listeners,
    /// Turns true when the process is to end.
    ends: watch::Receiver<bool>,
    /// Whom there is a task for.
    kept: Arc<Mutex<HashSet<SocketAddr>>>,
}

/// Dials and serves until the process is told to end.
///
/// # Errors
///
/// [`Fault::Panic`], and [`Fault::Io`] when it cannot be told to end.
pub async fn serve(remote: Remote, media: Media, listeners: Listeners) -> Result<(), Fault> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let (end, ends) = watch::channel(false);
    let shared = Shared {
        dialer: Arc::new(remote.dialer),
        media,
        listeners,
        ends,
        kept: Arc::default(),
    };
    let mut looking = JoinSet::new();
    for address in remote.uro {
        looking.spawn(look(address, shared.clone()));
    }
    let ended = tokio::select! {
        _ = terminated.recv() => None,
        _ = interrupted.recv() => None,
        ended = looking.join_next() => ended,
    };
    end.send_replace(true);
    // Connections end, so do their sessions, which leave the gateway so that it can be resumed.
    let all = async { while looking.join_next().await.is_some() {} };
    if timeout(END, all).await.is_err() {
        tracing::warn!("not all sessions could be closed in time");
    }
    match ended {
        Some(Err(_)) => Err(Fault::Panic),
        _ => Ok(()),
    }
}

/// Keeps a connection to each node at an address.
async fn look(address: Address, shared: Shared) {
    let mut nodes = JoinSet::new();
    let (addresses, wanted) = watch::channel(HashSet::new());
    let mut said = None;
    loop {
        let resolved = tokio::select! {
            () = shared.over() => break,
            resolved = shared.dialer.resolve(&address) => resolved,
        };
        let wrong = match resolved {
            Ok(found) => {
                let found: HashSet<_> = found.into_iter().take(ADDRESSES).collect();
                for at in &found {
                    // Another name may have it too.
                    if shared.kept().insert(*at) {
                        let kept = keep(address.clone(), *at, wanted.clone(), shared.clone());
                        nodes.spawn(kept);
                    }
                }
                addresses.send_replace(found);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = wrong.as_ref().filter(|_| wrong != said) {
            tracing::warn!(%address, "it could not be found out where Uro is: {reason}");
        }
        said = wrong;
        tokio::select! {
            () = shared.over() => break,
            Some(ended) = nodes.join_next() => passed_on(ended).unwrap_or_default(),
            () = sleep(LOOK) => {}
        }
    }
    while let Some(ended) = nodes.join_next().await {
        passed_on(ended);
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the process is told to end.
    async fn over(&self) {
        let _ = self.ends.clone().wait_for(|ends| *ends).await;
    }
}

/// Keeps a connection to a node, as long as there is one or it is wanted.
async fn keep(
    address: Address,
    at: SocketAddr,
    wanted: watch::Receiver<HashSet<SocketAddr>>,
    shared: Shared,
) {
    let mut backoff = Backoff::new(PAUSES);
    let mut said = String::new();
    loop {
        let dialled = tokio::select! {
            () = shared.over() => break,
            dialled = shared.dialer.dial(&address, at) => dialled,
        };
        match dialled {
            Ok(connection) => {
                backoff.up(Instant::now());
                said.clear();
                hold(connection, at, &shared).await;
            }
            Err(_) if !wanted.borrow().contains(&at) => break,
            Err(error) => {
                let reason = error.to_string();
                if reason != said {
                    tracing::warn!(%at, "Uro could not be reached: {reason}");
                }
                said = reason;
            }
        }
        tokio::select! {
            () = shared.over() => break,
            () = sleep(backoff.failed(Instant::now())) => {}
        }
    }
    shared.kept().remove(&at);
}

/// Serves over a connection until it ends.
async fn hold(connection: Connection, at: SocketAddr, shared: &Shared) {
    let peer = connection.peer().to_owned();
    tracing::info!(peer, %at, "connected to Uro");
    let (sender, sessions) = mpsc::channel(SESSIONS);
    let mut served = JoinSet::new();
    served.spawn(serve_sessions(sessions, shared.clone()));
    tokio::select! {
        ended = connection.run(sender) => {
            tracing::warn!(peer, %at, "the connection to Uro ended: {ended}");
        }
        () = shared.over() => tracing::info!(peer, %at, "this bridge ends"),
    }
    // With the connection its session is closed: the next one begins when that has ended.
    while let Some(ended) = served.join_next().await {
        passed_on(ended);
    }
}

/// Serves each process that attaches, one after the other.
async fn serve_sessions(mut sessions: mpsc::Receiver<Session>, shared: Shared) {
    while let Some(session) = sessions.recv().await {
        let sender = FrameSender::default();
        let _listening = shared.listeners.add(sender.clone());
        tracing::info!(peer = session.peer, "a process of Uro has attached");
        let transport = Transport {
            input: Box::new(session.input),
            output: Box::new(session.output),
            closed: session.closed,
        };
        let result = run(transport, sender, shared.media.clone()).await;
        let reason = match result {
            Ok(()) => "it was told to stop".to_owned(),
            Err(fault) => fault.to_string(),
        };
        // Who is not there any more need not be told.
        let _ = session.farewell.send(reason);
    }
}
