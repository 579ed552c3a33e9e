//! The picture of a portal of which Elixir is told now and then, for a message that shows it.

use std::future::pending;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};
use uro_discord_portal::Portal;

/// Something has changed, and the picture comes in a moment.
const SOON: Duration = Duration::from_secs(1);

/// How long the loop may take to say what there is. The portal's voice waits meanwhile, of which a loop that is busy makes none.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Default)]
pub struct Still {
    /// What Elixir has (empty: none), which is this one of those that came.
    told: Bytes,
    audience: u64,
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
    pub async fn look(
        &mut self,
        portal: &Portal,
        pause: Option<NonZeroU32>,
        audience: u64,
    ) -> Option<Bytes> {
        if self.audience != audience {
            self.told(Bytes::new(), audience);
        }
        let pause = pause.map(|ms| Duration::from_millis(ms.get().into()));
        self.due = pause.map(|pause| Instant::now() + pause);
        let picture = match pause {
            Some(_) => match timeout(PATIENCE, portal.still()).await {
                Ok(Ok(picture)) => picture.unwrap_or_default(),
                // It is not known that there is none.
                Ok(Err(_)) | Err(_) => {
                    self.look_soon();
                    return None;
                }
            },
            None => Bytes::new(),
        };
        (picture != self.told).then_some(picture)
    }

    /// Elixir has it.
    pub fn told(&mut self, picture: Bytes, audience: u64) {
        self.told = picture;
        self.audience = audience;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use uro_discord_portal::{Endpoint, Limits, Options, Portals};

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_answer_takes_no_picture_away() {
        let (portals, loops) = Portals::bind(Endpoint {
            addresses: vec!["127.0.0.1:0".parse().unwrap()],
            public: vec![],
            keys: vec!["a-key-of-thirty-two-bytes-0123456".into()],
            origins: vec![],
            limits: Limits::default(),
        })
        .unwrap();
        let portal = portals.open("lobby", Options::default()).unwrap();
        let pause = NonZeroU32::new(60_000);
        let mut still = Still::default();
        still.told(Bytes::from_static(b"picture"), 1);
        // It is busy: nobody runs it.
        let busy = timeout(Duration::from_secs(10), still.look(&portal, pause, 1));
        assert_eq!(busy.await.unwrap(), None);
        // It is looked again, sooner than usual.
        timeout(SOON * 2, still.due()).await.unwrap();
        // It has ended.
        drop(loops);
        assert_eq!(still.look(&portal, pause, 1).await, None);
        // None is wanted any more.
        assert_eq!(still.look(&portal, None, 1).await, Some(Bytes::new()));
        // Whoever comes next has none.
        assert_eq!(still.look(&portal, None, 2).await, None);
    }
}
