//! The limiter between tasks: calls wait here for their turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::limiter::{Limiter, Outcome, Status, Ticket, Verdict};
use crate::rate_limit::Scope;
use crate::request::Priority;
use crate::target::Key;

/// Owns the limiter and the task that wakes it; the task ends with the gate.
#[derive(Debug)]
pub(crate) struct Gate {
    shared: Arc<Shared>,
    _timer: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    /// The timer must look again, because something is due earlier than it knows.
    sooner: Notify,
}

#[derive(Debug)]
struct Inner {
    limiter: Limiter,
    waiting: HashMap<Ticket, oneshot::Sender<Verdict>>,
    /// When the timer will look again by itself.
    timer_at: Option<Instant>,
}

impl Gate {
    /// Must be called within a Tokio runtime.
    pub(crate) fn new(limiter: Limiter) -> Self {
        let inner = Inner {
            limiter,
            waiting: HashMap::new(),
            timer_at: None,
        };
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            sooner: Notify::new(),
        });
        let mut timer = JoinSet::new();
        timer.spawn(run_timer(shared.clone()));
        Self {
            shared,
            _timer: timer,
        }
    }

    /// A place for one call, for all its attempts; `None` if too many wait.
    pub(crate) fn enter(&self, key: Key, priority: Priority) -> Option<Turn> {
        let ticket = self.shared.lock().limiter.enter(key, priority)?;
        Some(Turn {
            shared: self.shared.clone(),
            ticket,
        })
    }

    pub(crate) fn status(&self) -> Status {
        self.shared.lock().limiter.status(Instant::now().into_std())
    }
}

/// A call's place. Dropping it frees it, whatever the call was doing.
#[derive(Debug)]
pub(crate) struct Turn {
    shared: Arc<Shared>,
    ticket: Ticket,
}

impl Turn {
    /// Waits until the call may send once.
    pub(crate) async fn wait(&self) -> Verdict {
        let (sender, receiver) = oneshot::channel();
        self.shared.with(|inner, now| {
            inner.waiting.insert(self.ticket, sender);
            inner.limiter.queue(self.ticket, now);
        });
        match receiver.await {
            Ok(verdict) => verdict,
            // The sender is kept until it is used, or this turn is dropped.
            Err(_) => std::future::pending().await,
        }
    }

    /// Until when the call certainly cannot send, and why.
    pub(crate) fn held_until(&self) -> Option<(Instant, Scope)> {
        let held = self
            .shared
            .lock()
            .limiter
            .held_until(self.ticket, Instant::now().into_std());
        held.map(|(until, scope)| (Instant::from_std(until), scope))
    }

    /// The attempt that `wait` allowed has ended.
    pub(crate) fn done(&self, outcome: Outcome<'_>) {
        self.shared
            .with(|inner, now| inner.limiter.done(self.ticket, outcome, now));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.with(|inner, now| {
            inner.waiting.remove(&self.ticket);
            inner.limiter.leave(self.ticket, now);
        });
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in there panics; were it so, a limiter that goes on is better than none.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the limiter and tells those who may go now.
    fn with(&self, change: impl FnOnce(&mut Inner, std::time::Instant)) {
        let mut inner = self.lock();
        change(&mut inner, Instant::now().into_std());
        let wake_at = inner.advance();
        if wake_at.is_some_and(|at| inner.timer_at.is_none_or(|timer| at < timer)) {
            self.sooner.notify_one();
        }
    }
}

impl Inner {
    fn advance(&mut self) -> Option<Instant> {
        let (verdicts, wake_at) = self.limiter.advance(Instant::now().into_std());
        for (ticket, verdict) in verdicts {
            if let Some(waiting) = self.waiting.remove(&ticket) {
                // It fails if the call was dropped at this moment; its `Turn` is about to free the place.
                let _ = waiting.send(verdict);
            }
        }
        wake_at.map(Instant::from_std)
    }
}

async fn run_timer(shared: Arc<Shared>) {
    loop {
        let wake_at = {
            let mut inner = shared.lock();
            inner.timer_at = inner.advance();
            inner.timer_at
        };
        match wake_at {
            Some(at) => tokio::select! {
                () = sleep_until(at) => {}
                () = shared.sooner.notified() => {}
            },
            None => shared.sooner.notified().await,
        }
    }
}
