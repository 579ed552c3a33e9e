//! Portals, kept as Elixir wants them: the endpoint of their peers' media, and a room each, which is joined to its guild's voice session.
//!
//! The keeper runs beside the gateway; the endpoint's loops and the rooms' joints, by which every frame passes, on the media workers.

mod clips;
mod endpoint;
mod facts;
mod hearing;
mod joint;
mod settings;
mod showing;
mod still;
#[cfg(test)]
mod tests;

use crate::desired::{Desired, DesiredPortals};
use crate::media::Media;
use crate::sender::FrameSender;
use crate::voice::Calls;
use axum::Router;
pub use clips::Clips;
use endpoint::Bound;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uro_discord_net::{Backoff, Pauses};
use uro_discord_portal::Portals;
use uro_discord_wire::frame::AppendError;
use uro_discord_wire::{self as wire, FromBridge, MediaListening, MediaState, Waiting};

/// Between tries to have the endpoint.
const PAUSES: Pauses = Pauses {
    at_once: false,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};

/// What there is under `/portal/`.
#[derive(Clone, Default)]
pub enum Served {
    /// Nothing: no endpoint is wanted.
    #[default]
    Nothing,
    /// An endpoint is wanted, and tried to have.
    Soon,
    /// With whom its pages are let read what the listener itself answers.
    Routes(Router, Portals),
}

/// What all portals have in common.
pub struct Surroundings {
    pub sender: FrameSender,
    pub media: Media,
    pub calls: Calls,
    pub served: watch::Sender<Served>,
}

/// Keeps the endpoint and the portals until nobody desires anything any more.
///
/// # Errors
///
/// When a message cannot be carried to Elixir.
pub async fn run(
    mut wanted: watch::Receiver<Desired>,
    surroundings: Surroundings,
) -> Result<(), AppendError> {
    let mut keeper = Keeper {
        surroundings,
        wanted: None,
        bound: None,
        retry: None,
        backoff: Backoff::new(PAUSES),
        trouble: None,
    };
    // The last value outlives its sender, so it is asked for the sender.
    while wanted.has_changed().is_ok() {
        let (media, portals) = {
            let desired = wanted.borrow_and_update();
            (desired.media.clone(), desired.portals.clone())
        };
        keeper.serve(media).await?;
        keeper.order(portals.as_ref());
        tokio::select! {
            _ = wanted.changed() => {}
            () = at(keeper.retry) => {}
            end = ended(&mut keeper.bound) => match end {
                endpoint::End::Room => {}
                endpoint::End::Loop => keeper.broke().await?,
            },
        }
    }
    keeper.close().await;
    Ok(())
}

struct Keeper {
    surroundings: Surroundings,
    /// The endpoint that is wanted.
    wanted: Option<Arc<wire::Media>>,
    bound: Option<Bound>,
    retry: Option<Instant>,
    backoff: Backoff,
    /// Logged when it begins and when it is another one.
    trouble: Option<String>,
}

impl Keeper {
    /// Has the endpoint that is wanted, if it can be had.
    async fn serve(&mut self, wanted: Option<Arc<wire::Media>>) -> Result<(), AppendError> {
        if self.wanted != wanted {
            self.close().await;
            self.wanted = wanted;
            self.retry = None;
            self.backoff = Backoff::new(PAUSES);
            self.trouble = None;
            if self.wanted.is_none() {
                self.show(Served::Nothing);
                return self.say(MediaState::Closed).await;
            }
        }
        let Some(media) = &self.wanted else {
            return Ok(());
        };
        if self.bound.is_some() || self.retry.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        match Bound::new(media, &self.surroundings) {
            Ok(bound) => {
                self.backoff.up(Instant::now().into_std());
                self.retry = None;
                self.trouble = None;
                self.show(Served::Routes(
                    bound.portals.routes(),
                    bound.portals.clone(),
                ));
                let addresses = bound.portals.addresses();
                self.bound = Some(bound);
                self.say(MediaState::Listening(MediaListening { addresses }))
                    .await
            }
            Err(error) => self.wait(error.to_string()).await,
        }
    }

    fn order(&mut self, portals: Option<&DesiredPortals>) {
        if let Some(bound) = &mut self.bound {
            bound.order(portals, &self.surroundings);
        }
    }

    /// A loop has ended before its time, which only a panic can be the reason for: its peers and rooms are gone.
    async fn broke(&mut self) -> Result<(), AppendError> {
        self.close().await;
        let reason = "the bridge panicked, which is a fault of uro_discord's: its log has where";
        self.wait(reason.into()).await
    }

    async fn wait(&mut self, reason: String) -> Result<(), AppendError> {
        self.show(Served::Soon);
        if self.trouble.as_ref() != Some(&reason) {
            tracing::error!(
                reason,
                "portals have no endpoint; it is tried until they have"
            );
            self.trouble = Some(reason.clone());
        }
        let pause = self.backoff.failed(Instant::now().into_std());
        self.retry = Some(Instant::now() + pause);
        let retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.say(MediaState::Waiting(Waiting { reason, retry_ms }))
            .await
    }

    /// Closes the rooms and gives back the sockets.
    async fn close(&mut self) {
        if let Some(bound) = self.bound.take() {
            self.show(Served::Soon);
            bound.close().await;
        }
    }

    fn show(&self, served: Served) {
        self.surroundings.served.send_replace(served);
    }

    async fn say(&self, state: MediaState) -> Result<(), AppendError> {
        let sender = &self.surroundings.sender;
        sender.send(&FromBridge::Media(state)).await
    }
}

/// Something of the endpoint that has ended.
async fn ended(bound: &mut Option<Bound>) -> endpoint::End {
    match bound {
        Some(bound) => bound.ended().await,
        None => pending().await,
    }
}

/// At this time, if ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
