//! Frames on their way from whoever makes them to the session.
//!
//! Not a channel: whoever sends a frame every 20 ms should not wake the session for each, which sleeps until the next is due.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::error::SendError;
use crate::sender::MAX_FRAME;

#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    capacity: usize,
    /// There is room again, or the session has ended.
    room: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Bytes>,
    /// The session wants to be woken by the next frame.
    waiting: Option<Waker>,
    ended: bool,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            inner: Mutex::default(),
            capacity: capacity.max(1),
            room: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in there panics.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_push(&self, frame: Bytes) -> Result<(), SendError> {
        check(&frame)?;
        let waker = {
            let mut inner = self.lock();
            if inner.ended {
                return Err(SendError::Ended);
            }
            if inner.frames.len() >= self.capacity {
                let waiting = inner.frames.len();
                return Err(SendError::Full { frame, waiting });
            }
            inner.frames.push_back(frame);
            inner.waiting.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Pushes, and drops the oldest beyond `most`. How many were dropped.
    pub(crate) fn push_latest(&self, frame: Bytes, most: usize) -> Result<usize, SendError> {
        check(&frame)?;
        let most = most.clamp(1, self.capacity);
        let (waker, dropped) = {
            let mut inner = self.lock();
            if inner.ended {
                return Err(SendError::Ended);
            }
            inner.frames.push_back(frame);
            let dropped = inner.frames.len().saturating_sub(most);
            inner.frames.drain(..dropped);
            (inner.waiting.take(), dropped)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(dropped)
    }

    pub(crate) async fn push(&self, mut frame: Bytes) -> Result<(), SendError> {
        loop {
            let room = self.room.notified();
            match self.try_push(frame) {
                Err(SendError::Full { frame: back, .. }) => {
                    frame = back;
                    room.await;
                }
                other => return other,
            }
        }
    }

    /// The next frame. If there is none, `waker` is woken by it.
    pub(crate) fn pop(&self, waker: &Waker) -> Option<Bytes> {
        let (frame, was_full) = {
            let mut inner = self.lock();
            let was_full = inner.frames.len() >= self.capacity;
            let frame = inner.frames.pop_front();
            if frame.is_none() && !inner.waiting.as_ref().is_some_and(|w| w.will_wake(waker)) {
                inner.waiting = Some(waker.clone());
            }
            (frame, was_full)
        };
        if was_full {
            self.room.notify_waiters();
        }
        frame
    }

    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        inner.frames.clear();
        inner.waiting = None;
        drop(inner);
        self.room.notify_waiters();
    }
}

fn check(frame: &Bytes) -> Result<(), SendError> {
    if frame.is_empty() || frame.len() > MAX_FRAME {
        return Err(SendError::Size {
            size: frame.len(),
            max: MAX_FRAME,
        });
    }
    Ok(())
}

/// Ends the queue when it is dropped, with whoever would have taken the frames.
pub(crate) struct EndsWithThis(pub Arc<Queue>);

impl Drop for EndsWithThis {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_who_found_nothing_is_woken() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let queue = Queue::new(4);
        let frame = Bytes::from_static(b"frame");
        queue.try_push(frame.clone()).unwrap();
        assert_eq!(queue.pop(&waker), Some(frame.clone()));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert_eq!(queue.pop(&waker), None);
        queue.try_push(frame.clone()).unwrap();
        queue.try_push(frame.clone()).unwrap();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_full_queue_gives_the_frame_back_or_waits() {
        let queue = Arc::new(Queue::new(2));
        let waker = Waker::noop();
        let frame = |byte: u8| Bytes::from(vec![byte]);
        queue.try_push(frame(0)).unwrap();
        queue.try_push(frame(1)).unwrap();
        let refused = queue.try_push(frame(2));
        assert!(matches!(refused, Err(SendError::Full { frame, waiting: 2 }) if frame[0] == 2));
        let pushing = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.push(Bytes::from_static(&[2])).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(queue.pop(waker), Some(frame(0)));
        assert_eq!(pushing.await.unwrap(), Ok(()));
        queue.end();
        assert_eq!(queue.push(frame(3)).await, Err(SendError::Ended));
    }

    #[test]
    fn of_what_is_live_the_oldest_goes() {
        let queue = Queue::new(25);
        let waker = Waker::noop();
        let frame = |byte: u8| Bytes::from(vec![byte]);
        let dropped = [0, 1, 2, 3, 4].map(|byte| queue.push_latest(frame(byte), 3).unwrap());
        assert_eq!(dropped, [0, 0, 0, 1, 1]);
        for byte in 2..5 {
            assert_eq!(queue.pop(waker), Some(frame(byte)));
        }
        assert_eq!(queue.pop(waker), None);
        queue.end();
        assert_eq!(queue.push_latest(frame(5), 3), Err(SendError::Ended));
    }

    #[test]
    fn frames_have_a_size() {
        let queue = Queue::new(2);
        for size in [0, MAX_FRAME + 1] {
            let frame = Bytes::from(vec![0; size]);
            let refused = queue.try_push(frame.clone());
            assert!(matches!(refused, Err(SendError::Size { .. })));
            let refused = queue.push_latest(frame, 1);
            assert!(matches!(refused, Err(SendError::Size { .. })));
        }
    }
}
