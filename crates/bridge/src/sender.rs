//! What waits to be written to Elixir.
//!
//! Messages are encoded straight into one buffer, and the writer takes the buffer whole: one write carries as many messages as came
//! up during the write before. Whoever sends waits while the buffer is full, so a slow reader slows its senders
//! and costs no memory.
//!
//! A sender may outlive who hears it: while nobody does, messages are dropped, and nobody waits. What of them still holds is told to the next
//! one from a [`Ledger`].

use crate::ledger::{Ledger, Subject};
use crate::log::Lane;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use uro_discord_wire::FromBridge;
use uro_discord_wire::frame::{self, AppendError};

/// From how many waiting bytes on senders wait. The last one in may pass it by a frame.
const FULL: usize = 1024 * 1024;

/// A handle to send by.
#[derive(Clone, Default)]
pub struct FrameSender(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Lines of the log: apart from what waits, so that neither takes the other's room.
    log: Mutex<Lane>,
    finished: AtomicBool,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Nobody hears it.
    unheard: bool,
    /// How often somebody attached.
    attached: u64,
    /// Only where one may come after the other.
    ledger: Option<Ledger>,
}

impl Waiting {
    fn append(&mut self, message: &FromBridge<'_>) -> Result<(), AppendError> {
        frame::append(&mut self.bytes, |out| message.encode(out))
    }

    /// Sends it, or knows it for the next one who hears.
    fn put(&mut self, message: &FromBridge<'_>) -> Result<(), AppendError> {
        if let Some(ledger) = &mut self.ledger {
            ledger.note(message);
        }
        if self.unheard {
            return Ok(());
        }
        self.append(message)
    }
}

impl FrameSender {
    /// One that nobody hears until somebody attaches, and that outlives who does.
    #[must_use]
    pub fn outliving() -> Self {
        let sender = Self::default();
        *sender.waiting() = Waiting {
            bytes: Vec::new(),
            unheard: true,
            attached: 0,
            ledger: Some(Ledger::default()),
        };
        sender
    }

    /// Somebody hears it from now on, and this first. There is no writer of those before any more.
    pub(crate) fn attach(&self, first: &FromBridge<'_>) -> Result<(), AppendError> {
        self.0.finished.store(false, Ordering::Release);
        let mut waiting = self.waiting();
        waiting.unheard = false;
        waiting.attached += 1;
        let result = waiting.append(first);
        self.0.filled.notify_one();
        result
    }

    /// Nobody hears it any more.
    pub(crate) fn detach(&self) {
        let mut waiting = self.waiting();
        waiting.unheard = true;
        waiting.bytes = Vec::new();
        self.0.drained.notify_waiters();
    }

    /// Whether somebody hears it.
    pub(crate) fn is_heard(&self) -> bool {
        !self.waiting().unheard
    }

    /// Another number is somebody else who hears it.
    pub(crate) fn audience(&self) -> u64 {
        self.waiting().attached
    }

    /// Tells what still holds of this.
    pub(crate) fn tell_anew(&self, of: &Subject) -> Result<(), AppendError> {
        let mut waiting = self.waiting();
        let Waiting {
            bytes,
            unheard: false,
            ledger: Some(ledger),
            ..
        } = &mut *waiting
        else {
            return Ok(());
        };
        for message in ledger.tell(of) {
            frame::append(bytes, |out| message.encode(out))?;
        }
        self.0.filled.notify_one();
        Ok(())
    }

    /// Sends a message once nothing else waits: for what is large, and in no hurry.
    ///
    /// # Errors
    ///
    /// Those of [`FrameSender::send`].
    pub async fn send_last(&self, message: &FromBridge<'_>) -> Result<(), AppendError> {
        self.has_less_than(1).await;
        self.send_now(message)
    }

    /// Sends a message once there is room.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded, or not within a frame's length.
    pub async fn send(&self, message: &FromBridge<'_>) -> Result<(), AppendError> {
        self.room().await;
        self.send_now(message)
    }

    /// Sends a message at once, past the limit: for facts, of which few come up while Elixir does not read. To wait for it would keep a
    /// shard from seeing that its lease is over.
    ///
    /// # Errors
    ///
    /// Those of [`FrameSender::send`].
    pub fn send_now(&self, message: &FromBridge<'_>) -> Result<(), AppendError> {
        let result = self.waiting().put(message);
        self.0.filled.notify_one();
        result
    }

    /// Sends a message if somebody hears it and there is room: for what the next one makes up for. Whether it was sent.
    ///
    /// # Errors
    ///
    /// Those of [`FrameSender::send`].
    pub fn offer(&self, message: &FromBridge<'_>) -> Result<bool, AppendError> {
        let mut waiting = self.waiting();
        if let Some(ledger) = &mut waiting.ledger {
            ledger.note(message);
        }
        if waiting.unheard || waiting.bytes.len() >= FULL {
            return Ok(false);
        }
        waiting.append(message)?;
        self.0.filled.notify_one();
        Ok(true)
    }

    /// Has whole frames written to the buffer, if there is room. The ledger does not see them: they are events, and no facts.
    pub fn try_append<T>(&self, write: impl FnOnce(&mut Vec<u8>) -> T) -> Option<T> {
        let mut waiting = self.waiting();
        if waiting.unheard {
            return Some(write(&mut Vec::new()));
        }
        if waiting.bytes.len() >= FULL {
            return None;
        }
        let result = write(&mut waiting.bytes);
        self.0.filled.notify_one();
        Some(result)
    }

    /// Waits until there is room.
    pub async fn room(&self) {
        self.has_less_than(FULL).await;
    }

    async fn has_less_than(&self, bytes: usize) {
        loop {
            // Made before looking, so that a drain in between is not missed.
            let drained = self.0.drained.notified();
            if self.waiting().bytes.len() < bytes {
                return;
            }
            drained.await;
        }
    }

    /// Whether this is a handle to the same.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Adds a line of the log, if there is room for it.
    pub fn log(&self, line: &FromBridge<'_>) {
        lock(&self.0.log).put(line, Instant::now());
        self.0.filled.notify_one();
    }

    /// Nothing more comes: the writer ends when it has written what there is.
    pub fn finish(&self) {
        self.0.finished.store(true, Ordering::Release);
        self.0.filled.notify_one();
    }

    /// Writes what comes, until [`FrameSender::finish`], or until the other side no longer reads.
    pub async fn write_to(self, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut batch = Vec::new();
        loop {
            self.0.filled.notified().await;
            let last = self.0.finished.load(Ordering::Acquire);
            std::mem::swap(&mut batch, &mut self.waiting().bytes);
            self.0.drained.notify_waiters();
            // Behind the messages: the first of all must be hello.
            if last {
                lock(&self.0.log).take_last(&mut batch);
            } else {
                lock(&self.0.log).take(&mut batch, Instant::now());
            }
            match output.write_all(&batch).await {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                result => result?,
            }
            if last {
                return Ok(());
            }
            batch.clear();
            // One large message must not be paid for ever after.
            batch.shrink_to(FULL);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.0.waiting)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under it panics half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
