//! Events between Discord and Elixir: each costs a credit, and while there is none they wait here. The gateway stops reading from
//! Discord while there is no room.

use crate::outbox::Outbox;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};

/// From how many waiting bytes on there is no room: 8 MiB. The last event in may pass it.
const ROOM: usize = 8 * 1024 * 1024;

/// What an event costs beside its bytes.
const OVERHEAD: usize = 64;

/// A handle to the queue.
#[derive(Clone, Default)]
pub struct Events(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    came: Notify,
    went: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Events {
    /// Whether Discord may be read.
    pub fn has_room(&self) -> bool {
        self.queue().bytes < ROOM
    }

    /// Waits until there is room.
    pub async fn room(&self) {
        loop {
            // Made before looking, so that a change in between is not missed.
            let went = self.0.went.notified();
            if self.has_room() {
                return;
            }
            went.await;
        }
    }

    /// Adds an event, as a frame. It is for the caller to look for room before it reads another.
    pub fn put(&self, frame: Vec<u8>) {
        let mut queue = self.queue();
        queue.bytes += frame.len() + OVERHEAD;
        queue.frames.push_back(frame);
        self.0.came.notify_one();
    }

    /// Sends each event on as soon as there is credit for it. Never ends.
    pub async fn forward(self, credits: Arc<Semaphore>, outbox: Outbox) {
        loop {
            let Some(frame) = self.queue().frames.pop_front() else {
                self.0.came.notified().await;
                continue;
            };
            if let Ok(credit) = credits.acquire().await {
                credit.forget();
            }
            outbox.send_frames(&frame).await;
            self.queue().bytes -= frame.len() + OVERHEAD;
            self.0.went.notify_waiters();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // After a panic the process ends anyway.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
