//! The bridge on another machine than Uro: a hidden node that dials every node of Uro, and serves one of them at a time as it serves the one that
//! started it on a port. It outlives them: of what the one before wanted the gateway is left, and all else goes on until the next one comes.

use crate::bridge::Core;
use crate::fault::Fault;
use crate::gateway::WINDOW;
use crate::log::Listeners;
use crate::media::Media;
use crate::options::Remote;
use crate::panics::passed_on;
use crate::sender::FrameSender;
use crate::transport::Transport;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uro_discord_dist::{Address, Connection, Dialer, Seat, Session};
use uro_discord_net::{Backoff, Pauses};

/// How often it is looked which addresses a name has.
const LOOK: Duration = Duration::from_secs(10);

/// A name that stands for more than this stands for something else than the nodes of Uro.
const ADDRESSES: usize = 64;

/// Sessions that wait for the end of the one before.
const SESSIONS: usize = 4;

/// How long calls and portals go on without a Uro. By then Discord has forgotten the gateway's session, and with that where the bot is in voice.
const ALONE: Duration = Duration::from_secs(120);

/// How long a Uro may take from its coming until it has said of each call and portal that it wants it.
const KEEP: Duration = Duration::from_secs(30);

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
    /// Whoever attaches goes here, when nobody sits on the seat.
    sessions: mpsc::Sender<Session>,
    seat: Seat,
    /// Turns true when the process is to end.
    ends: watch::Receiver<bool>,
    /// Whom there is a task for.
    kept: Arc<Mutex<HashSet<SocketAddr>>>,
}

/// Dials and serves until the process is told to end.
///
/// # Errors
///
/// What is wrong here, and not with a Uro; [`Fault::Io`] when it cannot be told to end.
pub async fn serve(remote: Remote, media: Media, listeners: Listeners) -> Result<(), Fault> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let (end, ends) = watch::channel(false);
    let (sender, sessions) = mpsc::channel(SESSIONS);
    let shared = Shared {
        dialer: Arc::new(remote.dialer),
        sessions: sender,
        seat: Seat::default(),
        ends,
        kept: Arc::default(),
    };
    let mut served = JoinSet::new();
    served.spawn(serve_sessions(sessions, media, listeners));
    let mut looking = JoinSet::new();
    for address in remote.uro {
        looking.spawn(look(address, shared.clone()));
    }
    drop(shared);
    let result = tokio::select! {
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
        // It goes on as long as the process.
        Some(_) = looking.join_next() => Err(Fault::Panic),
        Some(ended) = served.join_next() => ended.unwrap_or(Err(Fault::Panic)),
    };
    end.send_replace(true);
    // Connections end, so does their session, and when nobody is left who might bring another, all is closed.
    let all = async {
        while looking.join_next().await.is_some() {}
        served.join_next().await
    };
    match timeout(END, all).await {
        Ok(Some(ended)) => result.and(ended.unwrap_or(Err(Fault::Panic))),
        Ok(None) => result,
        Err(_) => {
            tracing::warn!("not all could be closed in time");
            result
        }
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
                backoff.up(Instant::now().into_std());
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
            () = sleep(backoff.failed(Instant::now().into_std())) => {}
        }
    }
    shared.kept().remove(&at);
}

/// Serves over a connection until it ends.
async fn hold(connection: Connection, at: SocketAddr, shared: &Shared) {
    let peer = connection.peer().to_owned();
    tracing::info!(peer, %at, "connected to Uro");
    tokio::select! {
        ended = connection.run(shared.sessions.clone(), &shared.seat) => {
            tracing::warn!(peer, %at, "the connection to Uro ended: {ended}");
        }
        () = shared.over() => tracing::info!(peer, %at, "this bridge ends"),
    }
}

/// Serves each process that attaches, one after the other, until nobody is left who might.
async fn serve_sessions(
    mut sessions: mpsc::Receiver<Session>,
    media: Media,
    listeners: Listeners,
) -> Result<(), Fault> {
    let sender = FrameSender::outliving();
    let _listening = listeners.add(sender.clone());
    let mut core = Core::start(&sender, &media, WINDOW).inspect_err(Fault::report)?;
    loop {
        let alone = core.is_busy();
        let session = tokio::select! {
            // Whoever comes too late finds no calls and portals.
            biased;
            result = core.ended() => return result.inspect_err(Fault::report),
            session = sessions.recv() => session,
            () = sleep(ALONE), if alone => {
                tracing::warn!("no Uro has come for {ALONE:?}: its calls and portals are closed");
                core.give_up();
                continue;
            }
        };
        let Some(session) = session else { break };
        let Session {
            peer,
            input,
            output,
            closed,
            farewell,
            place: _place,
        } = session;
        tracing::info!(peer, "a process of Uro has attached");
        let transport = Transport {
            input: Box::new(input),
            output: Box::new(output),
            closed,
        };
        let served = core.serve(transport, KEEP).await;
        let reason = match &served {
            Ok(Ok(())) => "it was told to stop".to_owned(),
            Ok(Err(fault)) | Err(fault) => {
                fault.report();
                fault.to_string()
            }
        };
        // Who is not there any more need not be told.
        let _ = farewell.send(reason);
        // What is wrong with one Uro is no matter to the next one.
        drop(served?);
    }
    core.end().await
}
