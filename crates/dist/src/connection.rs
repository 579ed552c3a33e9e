//! A connection as it runs: one future, which always reads, and never waits for its writer when it does.

use crate::dial::Connection;
use crate::frames::{FrameError, Frames};
use crate::inbox::{Full, Letters, inbox};
use crate::node::{BadFrame, CHUNK, Heard, Node};
use crate::seat::Seat;
use crate::session::Session;
use bytes::BytesMut;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Who is attached sends a heartbeat a second.
const ATTACHED_IDLE: Duration = Duration::from_secs(5);

/// Others have the BEAM's ticks only, four in a `net_ticktime` of 60 s unless that was configured.
const IDLE: Duration = Duration::from_secs(80);

/// How often we tick: a BEAM with a `net_ticktime` of 60 s wants one each 15 s.
const TICK: Duration = Duration::from_secs(5);

/// How long a piece may take to be written.
const WRITE: Duration = Duration::from_secs(10);

/// How much of a session's output waits for the connection.
const OUTPUT: usize = CHUNK;

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The BEAM closed it: it ends, or has disconnected this node.
    #[error("the other side closed the connection")]
    Closed,
    /// What came was no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What the frame held was nothing that was offered.
    #[error(transparent)]
    Bad(#[from] BadFrame),
    /// The session here does not read.
    #[error(transparent)]
    Full(#[from] Full),
    /// The BEAM does not read.
    #[error("the other side did not read for {WRITE:?}")]
    NotRead,
    /// It broke when it was written to.
    #[error(transparent)]
    Write(io::Error),
    /// Nobody wants sessions any more.
    #[error("it was given up here")]
    GivenUp,
}

struct Shared {
    node: Mutex<Node>,
    /// There are answers.
    answers: Notify,
}

impl Shared {
    fn node(&self) -> MutexGuard<'_, Node> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a session is here.
struct Current {
    letters: Letters,
    closed: watch::Sender<bool>,
}

impl Drop for Current {
    fn drop(&mut self) {
        self.closed.send_replace(true);
    }
}

/// What the writer reads a session's output from.
struct Outgoing {
    number: u32,
    /// `None` after its end.
    output: Option<DuplexStream>,
    farewell: oneshot::Receiver<String>,
}

/// What a session says here: so many bytes, or why it has ended.
enum Said {
    Bytes(usize),
    End(Option<String>),
}

impl Connection {
    /// Runs until it ends, which ends its session. Each process that attaches becomes a session; the one before is over then. While a session of
    /// another connection has the seat, nobody attaches.
    pub async fn run(self, sessions: mpsc::Sender<Session>, seat: &Seat) -> Ended {
        let shared = Shared {
            node: Mutex::new(Node::new(&self.name, self.creation)),
            answers: Notify::new(),
        };
        let (outgoing, next) = mpsc::unbounded_channel();
        tokio::select! {
            ended = read(self.input, &self.peer, &shared, (sessions, seat), outgoing) => ended,
            ended = write(self.output, &shared, next) => ended,
        }
    }
}

async fn read(
    input: impl AsyncRead + Unpin,
    peer: &str,
    shared: &Shared,
    (sessions, seat): (mpsc::Sender<Session>, &Seat),
    // As long as who attaches is answered: the answers are bounded.
    outgoing: mpsc::UnboundedSender<Outgoing>,
) -> Ended {
    let mut frames = Frames::new(input);
    let connection = seat.connection();
    let mut current: Option<Current> = None;
    loop {
        let attached = shared.node().is_attached();
        let idle = if attached { ATTACHED_IDLE } else { IDLE };
        let frame = match frames.next(idle).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ended::Closed,
            Err(error) => return error.into(),
        };
        // A tick.
        if frame.is_empty() {
            continue;
        }
        let mut node = shared.node();
        let heard = match node.hear(&frame) {
            Ok(heard) => heard,
            Err(error) => return error.into(),
        };
        drop(node);
        match heard {
            Heard::Nothing => {}
            Heard::Bytes(bytes) => {
                if let Some(current) = &current
                    && let Err(full) = current.letters.put(bytes)
                {
                    return full.into();
                }
            }
            Heard::Detached => current = None,
            Heard::Wants(wish) => {
                let place = match seat.take(connection, peer) {
                    Ok(place) => place,
                    Err(by) => {
                        shared.node().hold(&wish, &by);
                        shared.answers.notify_one();
                        continue;
                    }
                };
                let number = shared.node().attach(wish);
                let (letters, input) = inbox();
                let (closed, is_closed) = watch::channel(false);
                let (output, ours) = tokio::io::duplex(OUTPUT);
                let (farewell, said) = oneshot::channel();
                let session = Session {
                    place,
                    peer: peer.to_owned(),
                    input,
                    output,
                    closed: is_closed,
                    farewell,
                };
                current = Some(Current { letters, closed });
                let ours = Outgoing {
                    number,
                    output: Some(ours),
                    farewell: said,
                };
                // The writer ends no sooner than we do.
                let _ = outgoing.send(ours);
                match sessions.try_send(session) {
                    Ok(()) => {}
                    // It attaches faster than sessions end: this one is over, which it is told.
                    Err(mpsc::error::TrySendError::Full(_)) => {}
                    Err(mpsc::error::TrySendError::Closed(_)) => return Ended::GivenUp,
                }
            }
        }
        shared.answers.notify_one();
    }
}

async fn write(
    mut output: impl AsyncWrite + Unpin,
    shared: &Shared,
    mut next: mpsc::UnboundedReceiver<Outgoing>,
) -> Ended {
    let mut current: Option<Outgoing> = None;
    let mut bytes = BytesMut::new();
    let mut out = Vec::new();
    // Whatever else happens: frames that ask for no answer must not hold it up.
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Without it a read brings 64 bytes.
        bytes.reserve(CHUNK);
        let heard = async {
            match &mut current {
                None => std::future::pending().await,
                Some(Outgoing {
                    output: Some(output),
                    ..
                }) => {
                    let read = output.read_buf(&mut bytes).await;
                    Said::Bytes(read.unwrap_or(0))
                }
                Some(ended) => Said::End((&mut ended.farewell).await.ok()),
            }
        };
        tokio::select! {
            biased;
            another = next.recv() => match another {
                Some(mut newest) => {
                    // Those before it are over: so no more of them wait than the answers below have room for.
                    while let Ok(another) = next.try_recv() {
                        newest = another;
                    }
                    current = Some(newest);
                }
                None => return Ended::GivenUp,
            },
            () = shared.answers.notified() => {}
            said = heard => match (said, &mut current) {
                (Said::Bytes(0), Some(current)) => current.output = None,
                (Said::End(reason), Some(ended)) => {
                    let reason = reason.as_deref().unwrap_or("its session ended");
                    shared.node().end(ended.number, reason);
                    current = None;
                }
                (Said::Bytes(_), _) | (_, None) => {}
            },
            _ = ticks.tick() => out.extend_from_slice(&[0; 4]),
        }
        {
            let mut node = shared.node();
            // Answers first: they say that a session is there, before it says anything.
            out.append(&mut node.answers());
            if let Some(current) = &current {
                for piece in bytes.chunks(CHUNK) {
                    node.append(&mut out, current.number, piece);
                }
            }
        }
        bytes.clear();
        for piece in out.chunks(CHUNK) {
            match timeout(WRITE, output.write_all(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ended::Write(error),
                Err(_) => return Ended::NotRead,
            }
        }
        match timeout(WRITE, output.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Ended::Write(error),
            Err(_) => return Ended::NotRead,
        }
        out.clear();
        out.shrink_to(2 * CHUNK);
    }
}
