//! Queues between a portal's handle and its loop: a frame never waits, and what is told is never lost.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Frames that wait: a second and a half of one stream. What is older is stale.
const FRAMES: usize = 512;

/// Whether an item may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The oldest goes when there are too many.
    Frame,
    /// It stays.
    Fact,
}

pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    pushed: Notify,
}

struct State<T> {
    items: VecDeque<(Worth, T)>,
    frames: usize,
    dropped: u64,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                frames: 0,
                dropped: 0,
                closed: false,
            }),
            pushed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, worth: Worth, item: T) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        if worth == Worth::Frame {
            if state.frames >= FRAMES {
                let oldest = state.items.iter().position(|(it, _)| *it == Worth::Frame);
                if let Some(oldest) = oldest {
                    state.items.remove(oldest);
                    state.dropped = state.dropped.saturating_add(1);
                }
            } else {
                state.frames = state.frames.saturating_add(1);
            }
        }
        state.items.push_back((worth, item));
        drop(state);
        self.pushed.notify_one();
    }

    /// Nothing comes after what is there.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.pushed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Frames that were lost because nobody took them in time.
    pub(super) fn dropped(&self) -> u64 {
        self.state().dropped
    }

    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.state();
        let (worth, item) = state.items.pop_front()?;
        if worth == Worth::Frame {
            state.frames = state.frames.saturating_sub(1);
        }
        Some(item)
    }

    /// The next one, for the queue's only reader. `None`: it is closed and empty.
    pub(super) async fn next(&self) -> Option<T> {
        loop {
            let pushed = self.pushed.notified();
            let closed = self.is_closed();
            if let Some(item) = self.pop() {
                return Some(item);
            }
            if closed {
                return None;
            }
            pushed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_frame_goes_and_facts_stay() {
        let queue = Queue::new();
        queue.push(Worth::Fact, 1_000);
        for frame in 0..FRAMES + 3 {
            queue.push(Worth::Frame, frame);
        }
        assert_eq!(queue.dropped(), 3);
        assert_eq!(queue.pop(), Some(1_000));
        assert_eq!(queue.pop(), Some(3));
        queue.close();
        queue.push(Worth::Fact, 2_000);
        assert_eq!(std::iter::from_fn(|| queue.pop()).last(), Some(FRAMES + 2));
    }

    #[tokio::test]
    async fn a_closed_queue_ends_when_it_is_empty() {
        let queue = Queue::new();
        queue.push(Worth::Fact, 1);
        queue.close();
        assert_eq!(queue.next().await, Some(1));
        assert_eq!(queue.next().await, None);
    }
}
