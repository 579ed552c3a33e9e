//! What was said to a session and not read yet. The connection never waits for its reader, since heartbeats come the same way.

use bytes::{Buf as _, Bytes};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// How much may wait. One desired state may have 16 MiB, and the BEAM has the next one wait until that is read.
const ROOM: usize = 32 * 1024 * 1024;

/// What a piece takes beside its bytes: so many small ones are as few large ones.
const PIECE: usize = 128;

/// The reader's end.
pub struct Inbox {
    pieces: mpsc::UnboundedReceiver<Bytes>,
    current: Bytes,
    waiting: Arc<AtomicUsize>,
}

/// The connection's end.
pub struct Letters {
    pieces: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// More waits than there is room for.
#[derive(Debug, thiserror::Error)]
#[error("over {ROOM} bytes were said and not read yet")]
pub struct Full;

pub fn inbox() -> (Letters, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let letters = Letters {
        pieces: sender,
        waiting: waiting.clone(),
    };
    let inbox = Inbox {
        pieces: receiver,
        current: Bytes::new(),
        waiting,
    };
    (letters, inbox)
}

impl Letters {
    /// Adds some bytes. Where nobody reads any more they are dropped.
    pub fn put(&self, bytes: &[u8]) -> Result<(), Full> {
        if bytes.is_empty() {
            return Ok(());
        }
        let takes = PIECE + bytes.len();
        if self.waiting.fetch_add(takes, Ordering::Relaxed) + takes > ROOM {
            return Err(Full);
        }
        // A copy: a part of what was read would keep all that was read with it.
        if self.pieces.send(Bytes::copy_from_slice(bytes)).is_err() {
            self.waiting.fetch_sub(takes, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl AsyncRead for Inbox {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.current.is_empty() {
            match ready!(this.pieces.poll_recv(cx)) {
                Some(bytes) => this.current = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        let some = this.current.len().min(out.remaining());
        out.put_slice(&this.current.split_to(some));
        this.waiting.fetch_sub(some, Ordering::Relaxed);
        if !this.current.has_remaining() {
            this.waiting.fetch_sub(PIECE, Ordering::Relaxed);
            this.current = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    #[tokio::test]
    async fn what_is_read_makes_room_again() {
        let (letters, mut inbox) = inbox();
        let piece = vec![7; ROOM / 2 - PIECE];
        letters.put(&piece).unwrap();
        letters.put(&piece).unwrap();
        assert!(letters.put(b"x").is_err());
        let (letters, mut other) = super::inbox();
        for _ in 0..5 {
            letters.put(&piece).unwrap();
            let mut read = vec![0; piece.len()];
            other.read_exact(&mut read).await.unwrap();
        }
        drop(letters);
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 0);
        inbox.read_u8().await.unwrap();
    }

    #[tokio::test]
    async fn many_small_pieces_are_too_many_and_empty_ones_are_nothing() {
        let (letters, inbox) = inbox();
        for _ in 0..2 * ROOM / PIECE {
            letters.put(b"").unwrap();
        }
        let fit = ROOM / (PIECE + 1);
        for _ in 0..fit {
            letters.put(b"x").unwrap();
        }
        assert!(letters.put(b"x").is_err());
        assert_eq!(inbox.pieces.len(), fit);
    }

    #[tokio::test]
    async fn what_nobody_reads_any_more_takes_no_room() {
        let (letters, inbox) = inbox();
        drop(inbox);
        for _ in 0..2 * ROOM / (1 << 20) {
            letters.put(&[0; 1 << 20]).unwrap();
        }
    }
}
