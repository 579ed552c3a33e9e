//! The part of a session that does its work.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Does a session's work: nothing happens unless it is polled, as by `tokio::spawn`. It is over when the session is, and the voice
/// server has been told.
///
/// Whoever joins decides where it runs: on a runtime of its own, say. That must be tokio's, with IO and time. Dropped, it takes the
/// session with it, which then [ends](crate::End::Dropped).
#[must_use = "a session does nothing unless its connection is polled"]
pub struct Connection(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Connection {
    pub(super) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(work))
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
