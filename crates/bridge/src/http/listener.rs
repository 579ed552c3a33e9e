//! The socket that listens, as it is wanted.

use super::budget::{Budget, Full};
use super::client::Client;
use super::connection;
use super::refusal::Refusal;
use super::tls::{Identity, TlsError};
use crate::sender::FrameSender;
use axum::Router;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uro_discord_wire::frame::AppendError;
use uro_discord_wire::{FromBridge, Http, HttpState, Listening, Panicked, Waiting};

/// Connections that the system holds until they are taken.
const BACKLOG: u32 = 1024;

/// What the system holds of answers that a client does not read.
const UNREAD: u32 = 64 * 1024;

/// How often it is looked whether there is another certificate.
const RENEW: Duration = Duration::from_secs(60);

/// The first and the longest pause before it is tried again to listen.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// No file descriptors: some are given back soon.
const PAUSE: Duration = Duration::from_millis(100);

/// The same trouble is not logged again for so long.
const SAID_FOR: Duration = Duration::from_secs(60);

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error("{ip} port {port} cannot be listened on: {source}")]
    Socket {
        ip: IpAddr,
        port: u16,
        source: io::Error,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Listens as `wanted` says, until that ends; then until the last connection has ended.
pub async fn run(
    mut wanted: watch::Receiver<Option<Arc<Http>>>,
    sender: FrameSender,
    routes: Router,
) -> Result<(), AppendError> {
    let mut connections = JoinSet::new();
    let mut pause = RETRY.0;
    let mut said = false;
    // Logged when it begins and when it is another one.
    let mut trouble = None;
    loop {
        let http = wanted.borrow_and_update().clone();
        // Dropped when something else is wanted: then its connections end.
        let (open, closing) = watch::channel(false);
        let went_on = match http {
            None => {
                // Nobody asks of one that was never wanted.
                if said {
                    say(&sender, HttpState::Closed).await?;
                }
                wanted.changed().await.is_ok()
            }
            Some(http) => match Socket::open(&http) {
                Ok(socket) => {
                    pause = RETRY.0;
                    trouble = None;
                    say(&sender, HttpState::Listening(socket.listening.clone())).await?;
                    let routes = &routes;
                    tokio::select! {
                        () = socket.accept(routes, &closing, &mut connections, &sender) => true,
                        changed = wanted.changed() => changed.is_ok(),
                    }
                }
                Err(error) => {
                    let reason = error.to_string();
                    if trouble.as_ref() != Some(&reason) {
                        tracing::error!(reason, "HTTP is not served; it is tried until it is");
                        trouble = Some(reason.clone());
                    }
                    let waiting = Waiting {
                        reason,
                        retry_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                    };
                    say(&sender, HttpState::Waiting(waiting)).await?;
                    tokio::select! {
                        () = sleep(pause) => {
                            pause = (pause * 2).min(RETRY.1);
                            true
                        }
                        changed = wanted.changed() => changed.is_ok(),
                    }
                }
            },
        };
        said = true;
        open.send_replace(true);
        if !went_on {
            break;
        }
    }
    while let Some(ended) = connections.join_next().await {
        note(ended, &sender);
    }
    Ok(())
}

async fn say(sender: &FrameSender, state: HttpState) -> Result<(), AppendError> {
    sender.send(&FromBridge::Http(state)).await
}

struct Socket {
    listener: TcpListener,
    listening: Listening,
    identity: Option<Identity>,
    budget: Budget,
}

impl Socket {
    fn open(http: &Http) -> Result<Self, ListenError> {
        let identity = http.tls.as_ref().map(Identity::load).transpose()?;
        let (listener, address) =
            bind(http.ip, http.port).map_err(|source| ListenError::Socket {
                ip: http.ip,
                port: http.port,
                source,
            })?;
        Ok(Self {
            listener,
            listening: Listening {
                ip: address.ip(),
                port: address.port(),
                tls: identity.is_some(),
            },
            identity,
            budget: Budget::new(http.connections),
        })
    }

    async fn accept(
        mut self,
        routes: &Router,
        closing: &watch::Receiver<bool>,
        connections: &mut JoinSet<()>,
        sender: &FrameSender,
    ) {
        let mut renew = interval(RENEW);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said: Option<Instant> = None;
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        self.take(stream, peer.ip(), routes, closing, connections).await;
                    }
                    // The client has gone again.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        // It is tried ten times a second.
                        if said.is_none_or(|at| at.elapsed() >= SAID_FOR) {
                            tracing::warn!(%error, "cannot take a connection; it is tried until it can");
                            said = Some(Instant::now());
                        }
                        sleep(PAUSE).await;
                    }
                },
                Some(ended) = connections.join_next() => note(ended, sender),
                _ = renew.tick() => self.renew(),
            }
        }
    }

    /// Nobody else is taken while room is made for this one: those behind it would find none either.
    async fn take(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        routes: &Router,
        closing: &watch::Receiver<bool>,
        connections: &mut JoinSet<()>,
    ) {
        match self.budget.enter(peer, 1).await {
            Ok(share) => {
                let client = Arc::new(Client::new(peer, share));
                let tls = self.identity.as_ref().map(Identity::acceptor);
                connections.spawn(connection::serve(
                    stream,
                    tls,
                    client,
                    routes.clone(),
                    closing.clone(),
                ));
            }
            Err(Full) if self.identity.is_none() => {
                // As much as fits at once; the client may have gone.
                let _ = stream.try_write(&Refusal::Busy.bytes());
            }
            Err(Full) => {}
        }
    }

    fn renew(&mut self) {
        match self.identity.as_mut().map(Identity::renew) {
            Some(Ok(true)) => tracing::info!("there is another certificate"),
            Some(Err(error)) => {
                tracing::warn!(%error, "the other certificate cannot be used; the one before goes on");
            }
            Some(Ok(false)) | None => {}
        }
    }
}

fn bind(ip: IpAddr, port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if ip.is_ipv6() {
        TcpSocket::new_v6()
    } else {
        TcpSocket::new_v4()
    }?;
    socket.set_reuseaddr(true)?;
    // Connections have it from the socket that listens.
    socket.set_send_buffer_size(UNREAD)?;
    socket.bind((ip, port).into())?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A panic ends one connection, and nothing else.
fn note(ended: Result<(), JoinError>, sender: &FrameSender) {
    if ended.is_err_and(|error| error.is_panic())
        && let Err(error) = sender.send_now(&FromBridge::Panic(Panicked::Connection))
    {
        tracing::error!(%error, "a message cannot be carried to Elixir");
    }
}
