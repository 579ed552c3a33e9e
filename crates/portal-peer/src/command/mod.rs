//! What the program can be told to do.

pub(crate) mod listen;
pub(crate) mod load;
pub(crate) mod publish;

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use clap::Args;
use uro_portal_peer::{Peer, Way};

use crate::{Failure, Portal, Travel};

/// What one peer is told.
#[derive(Debug, Args)]
pub(crate) struct One {
    #[command(flatten)]
    portal: Portal,
    #[command(flatten)]
    travel: Travel,
    /// End after so many seconds.
    #[arg(long, value_parser = seconds)]
    seconds: Option<f64>,
}

impl One {
    /// Joins, and says so; then its time begins. `None`: the program was ended before.
    async fn join(self, way: Way, end: &mut End) -> Result<Option<Peer>, Failure> {
        let join = self.portal.join(way)?;
        let peer = tokio::select! {
            peer = Peer::join(join) => peer?,
            () = end.comes() => return Ok(None),
        };
        println!("joined");
        end.after(self.seconds);
        Ok(Some(peer))
    }
}

/// Ctrl-C, SIGTERM, or the time that the program was given.
pub(crate) struct End {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    at: Option<Instant>,
}

impl End {
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::Other(format!("signals: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            at: None,
        })
    }

    /// The time begins now.
    pub(crate) fn after(&mut self, seconds: Option<f64>) {
        self.at = seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    }

    pub(crate) async fn comes(&mut self) {
        let at = self.at;
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = async { sleep_until(at.unwrap_or_else(Instant::now)).await }, if at.is_some() => {}
        }
    }
}

/// How long, in seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err("seconds are a number above 0, and a day at most".into()),
    }
}
