//! The session of a guild, as a portal hears it and speaks in it.

use crate::voice::Live;
use bytes::Bytes;
use futures_util::FutureExt as _;
use std::future::pending;
use tokio::sync::OwnedMutexGuard;
use uro_discord_voice::{Frames, Received, SendError};

/// Frames that wait to be sent, 20 ms each: a stall longer than these is not kept as delay.
const WAITING: usize = 3;

/// A session's frames are wanted while this has them.
#[derive(Default)]
pub struct Hearing {
    live: Option<Live>,
    frames: Option<OwnedMutexGuard<Frames>>,
}

impl Hearing {
    /// Turns to another session, or away from any.
    pub async fn turn_to(&mut self, live: Option<Live>) {
        let same = match (&self.live, &live) {
            (Some(one), Some(other)) => one.is(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        if !same {
            self.turn_away().await;
            self.live = live;
        }
    }

    /// Nobody listens any more.
    pub async fn turn_away(&mut self) {
        if self.frames.is_some()
            && let Some(session) = self.live.as_ref().and_then(|live| live.session.upgrade())
        {
            session.want_audio(false).await;
        }
        // Only now: whoever has them next wants audio.
        self.frames = None;
        self.live = None;
    }

    /// The next frame, when there is one. Nothing is lost when this is dropped.
    pub async fn next(&mut self) -> Received {
        if let Some(live) = &self.live {
            let frames = match &mut self.frames {
                Some(frames) => frames,
                none => none.insert(begin(live).await),
            };
            if let Some(received) = frames.next().await {
                return received;
            }
            // The session is over, and another one will be told of.
            self.frames = None;
            self.live = None;
        }
        pending().await
    }

    /// Says this in the call, at once. Returns how many frames were dropped.
    pub fn say(&self, frame: Bytes) -> u64 {
        let Some(session) = self.live.as_ref().and_then(|live| live.session.upgrade()) else {
            return 1;
        };
        match session.send_latest_opus(frame, WAITING) {
            Ok(dropped) => dropped.try_into().unwrap_or(u64::MAX),
            Err(SendError::Ended) => 1,
            Err(error) => {
                tracing::error!(%error, "a room made a frame that no session takes");
                1
            }
        }
    }
}

/// Takes a session's frames, once nobody else has them, and begins to want them.
async fn begin(live: &Live) -> OwnedMutexGuard<Frames> {
    let mut frames = live.frames.clone().lock_owned().await;
    // Left by somebody who had them before.
    while let Some(Some(_)) = frames.next().now_or_never() {}
    if let Some(session) = live.session.upgrade() {
        session.want_audio(true).await;
    }
    frames
}
