//! The picture of a portal of which Elixir is told now and then, for a message that shows it.

use std::future::pending;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use uro_discord_portal::Portal;

/// Something has changed, and the picture comes in a moment.
const SOON: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Still {
    /// What Elixir has; empty: none.
    told: Bytes,
    due: Option<Instant>,
}

impl Still {
    /// Another camera is on air, pictures are wanted otherwise, or Elixir did not read.
    pub fn look_soon(&mut self) {
        let soon = Instant::now() + SOON;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// Waits until it is time to look.
    pub async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
    }

    /// The picture that is to be told, if Elixir has another one; and when to look again, if that is wanted.
    pub async fn look(&mut self, portal: &Portal, pause: Option<NonZeroU32>) -> Option<Bytes> {
        let pause = pause.map(|ms| Duration::from_millis(ms.get().into()));
        self.due = pause.map(|pause| Instant::now() + pause);
        let picture = match pause {
            Some(_) => portal.still().await.unwrap_or_default(),
            None => Bytes::new(),
        };
        (picture != self.told).then_some(picture)
    }

    /// Elixir has it.
    pub fn told(&mut self, picture: Bytes) {
        self.told = picture;
    }
}
