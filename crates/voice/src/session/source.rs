//! What can wake a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Something of a session that wakes it, and is then to be looked at. Most often it is the timer that wakes a session, and it need
/// not touch its sockets for that, which costs a core with many sessions more than encrypting does.
pub(super) struct Source {
    inner: Arc<Inner>,
    waker: Waker,
}

struct Inner {
    woken: AtomicBool,
    task: Arc<AtomicWaker>,
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Source {
    /// One of a task's. It is to be looked at first.
    pub(super) fn new(task: &Arc<AtomicWaker>) -> Self {
        let inner = Arc::new(Inner {
            woken: AtomicBool::new(true),
            task: Arc::clone(task),
        });
        let waker = Waker::from(Arc::clone(&inner));
        Self { inner, waker }
    }

    /// Whether it is to be looked at. If so, that must be done until it is pending.
    pub(super) fn take(&self) -> bool {
        self.inner.woken.load(Ordering::Relaxed) && self.inner.woken.swap(false, Ordering::AcqRel)
    }

    /// It is to be looked at again.
    pub(super) fn wake(&self) {
        self.waker.wake_by_ref();
    }

    /// To look at it with.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_looked_at_when_it_was_woken_itself() {
        let task = Arc::new(AtomicWaker::new());
        let [one, other] = [(); 2].map(|()| Source::new(&task));
        assert!(one.take() && other.take());
        assert!(!one.take() && !other.take());
        one.context().waker().wake_by_ref();
        assert!(one.take() && !other.take());
        other.wake();
        assert!(!one.take() && other.take());
    }
}
