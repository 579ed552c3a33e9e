//! What hyper reads from and writes to: the connection, with its client looked at. It is given back in the end, since hyper
//! closes without a look at what still comes, and the client would lose the answer with the connection.

use super::client::Client;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

pub struct Watched<S: Stream> {
    stream: Option<S>,
    client: Arc<Client>,
    back: Option<oneshot::Sender<S>>,
}

impl<S: Stream> Watched<S> {
    /// The stream, and where it comes back to.
    pub fn new(stream: S, client: Arc<Client>) -> (Self, oneshot::Receiver<S>) {
        let (back, returned) = oneshot::channel();
        let watched = Self {
            stream: Some(stream),
            client,
            back: Some(back),
        };
        (watched, returned)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: Stream> Drop for Watched<S> {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Whoever does not wait for it does not want it.
            let _ = back.send(stream);
        }
    }
}

impl<S: Stream> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.client.is_cut(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        ready!(self.stream()?.poll_read(context, buffer))?;
        if let Some(bytes @ [_, ..]) = buffer.filled().get(before..) {
            self.client.read(bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.client.withholds(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let wrote = self.stream()?.poll_write(context, bytes);
        self.client.wrote(wrote.is_ready());
        wrote
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream()?.poll_flush(context);
        if flushed.is_ready() {
            self.client.flushed();
        } else {
            self.client.wrote(false);
        }
        flushed
    }

    /// Not yet: see above.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
