//! Events between Discord and Elixir: each costs a credit, and while there is none they wait here. The gateway stops reading from
//! Discord while there is no room. Interactions cost none, and go before what waits: somebody waits for their answer, for 3 s.

use crate::sender::FrameSender;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use uro_discord_wire::FromBridge;
use uro_discord_wire::frame::{self, AppendError};

/// From how many waiting bytes on there is no room: 4 MiB. The last event in may pass it.
const ROOM: usize = 4 * 1024 * 1024;

/// What an event costs beside its bytes.
const OVERHEAD: usize = 64;

/// A handle to the queue.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    sender: FrameSender,
    queue: Mutex<Queue>,
    /// There is something to send, or credit for it.
    ready: Notify,
    went: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Box<[u8]>>,
    /// Frames that need no credit, while there is no room in the sender.
    urgent: VecDeque<Box<[u8]>>,
    /// Of both.
    bytes: usize,
    credit: u64,
}

impl Events {
    pub fn new(sender: FrameSender) -> Self {
        Self(Arc::new(Shared {
            sender,
            queue: Mutex::default(),
            ready: Notify::new(),
            went: Notify::new(),
        }))
    }

    /// So many more may be sent.
    pub fn grant(&self, more: u32) {
        let mut queue = self.queue();
        queue.credit = queue.credit.saturating_add(more.into());
        self.0.ready.notify_one();
    }

    /// Who was to have what waits is gone, and so is his credit. Discord is asked for it again by whoever comes next.
    pub fn reset(&self) {
        *self.queue() = Queue::default();
        self.0.went.notify_waiters();
    }

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

    /// Sends an event as soon as there is credit for it. It is for the caller to look for room before it reads another.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded, or not within a frame's length.
    pub fn put(&self, event: &FromBridge<'_>) -> Result<(), AppendError> {
        let write = |out: &mut Vec<u8>| frame::append(out, |out| event.encode(out));
        let mut queue = self.queue();
        // Nearly always there is nothing to wait for.
        if queue.frames.is_empty()
            && queue.credit > 0
            && let Some(sent) = self.0.sender.try_append(write)
        {
            if sent.is_ok() {
                queue.credit -= 1;
            }
            return sent;
        }
        let mut frame = Vec::new();
        write(&mut frame)?;
        queue.bytes += frame.len() + OVERHEAD;
        queue.frames.push_back(frame.into());
        self.0.ready.notify_one();
        Ok(())
    }

    /// Sends an event that costs no credit, before those that wait for it.
    ///
    /// # Errors
    ///
    /// As [`Events::put`].
    pub fn put_urgent(&self, event: &FromBridge<'_>) -> Result<(), AppendError> {
        let write = |out: &mut Vec<u8>| frame::append(out, |out| event.encode(out));
        let mut queue = self.queue();
        if queue.urgent.is_empty()
            && let Some(sent) = self.0.sender.try_append(write)
        {
            return sent;
        }
        let mut frame = Vec::new();
        write(&mut frame)?;
        queue.bytes += frame.len() + OVERHEAD;
        queue.urgent.push_back(frame.into());
        self.0.ready.notify_one();
        Ok(())
    }

    /// Sends what waits as credit comes. Never ends.
    pub async fn forward(self) {
        loop {
            let before = self.queue().bytes;
            let waits_for_sender = self.send_waiting();
            if self.queue().bytes < before {
                self.0.went.notify_waiters();
            }
            if waits_for_sender {
                self.0.sender.room().await;
            } else {
                self.0.ready.notified().await;
            }
        }
    }

    /// Sends what it can. Whether it is the sender that has no room for more.
    fn send_waiting(&self) -> bool {
        let mut queue = self.queue();
        while let Some(frame) = queue.urgent.front() {
            if self
                .0
                .sender
                .try_append(|out| out.extend_from_slice(frame))
                .is_none()
            {
                return true;
            }
            queue.bytes -= frame.len() + OVERHEAD;
            queue.urgent.pop_front();
        }
        while queue.credit > 0
            && let Some(frame) = queue.frames.front()
        {
            let sent = self.0.sender.try_append(|out| out.extend_from_slice(frame));
            if sent.is_none() {
                return true;
            }
            queue.bytes -= frame.len() + OVERHEAD;
            queue.credit -= 1;
            queue.frames.pop_front();
        }
        false
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Whoever panicked while it encoded its event has not put it here yet.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
