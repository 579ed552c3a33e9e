//! Queues between a portal's handle and its loop: a frame never waits, what is told is never lost, and both are bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Frames that wait: a second and a half of one stream. What is older is stale.
const FRAMES: usize = 512;

/// Facts that wait. A reader that lets so many wait does not read any more: the queue closes, and the room is opened anew.
const FACTS: usize = 16_384;

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

/// Items have their place in the order of both.
struct State<T> {
    frames: VecDeque<(u64, T)>,
    facts: VecDeque<(u64, T)>,
    next: u64,
    dropped: u64,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                frames: VecDeque::new(),
                facts: VecDeque::new(),
                next: 0,
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
        let place = state.next;
        state.next = place.wrapping_add(1);
        match worth {
            Worth::Frame => {
                if state.frames.len() >= FRAMES {
                    state.frames.pop_front();
                    state.dropped = state.dropped.saturating_add(1);
                }
                state.frames.push_back((place, item));
            }
            Worth::Fact if state.facts.len() >= FACTS => state.closed = true,
            Worth::Fact => state.facts.push_back((place, item)),
        }
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
        let frame = state.frames.front().map(|(place, _)| *place);
        let fact = state.facts.front().map(|(place, _)| *place);
        let first = match (frame, fact) {
            (Some(frame), Some(fact)) if fact < frame => &mut state.facts,
            (Some(_), _) => &mut state.frames,
            (None, _) => &mut state.facts,
        };
        first.pop_front().map(|(_, item)| item)
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

    #[test]
    fn a_reader_that_does_not_read_loses_the_queue_and_no_fact_that_was_taken() {
        let queue = Queue::new();
        for fact in 0..FACTS + 5 {
            queue.push(Worth::Fact, fact);
        }
        assert!(queue.is_closed());
        let facts: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(facts, (0..FACTS).collect::<Vec<_>>());
    }

    #[test]
    fn frames_and_facts_keep_their_order() {
        let queue = Queue::new();
        for item in 0..6 {
            let worth = [Worth::Frame, Worth::Fact][item % 2];
            queue.push(worth, item);
        }
        let items: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(items, [0, 1, 2, 3, 4, 5]);
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
