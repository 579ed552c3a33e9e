//! What is between a page's WebSocket and its loop: messages both ways, bounded, and the end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::media::Wake;
use super::session::Left;
use crate::tv::message::{FromPage, ToPage};

/// Bytes that wait for the socket: a frame has 2 MiB at most. The picture stops long before; a page for which so much waits does not read.
const BYTES: usize = 4 * 1024 * 1024;

/// Messages that wait, both ways.
const TO_PAGE: usize = 4_096;
const FROM_PAGE: usize = 64;

/// What comes of a page.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Said(FromPage),
    /// Its browser answers.
    Alive,
    /// Its socket is closed.
    Gone,
}

pub(crate) struct Line {
    /// The session that it is of.
    pub(super) session: String,
    wake: Arc<Wake>,
    state: Mutex<State>,
    pushed: Notify,
    /// The loop was told to look.
    pub(super) woken: AtomicBool,
}

#[derive(Default)]
struct State {
    to_page: VecDeque<ToPage>,
    bytes: usize,
    /// Frames that the socket has taken.
    frames: u64,
    from_page: VecDeque<Heard>,
    gone: bool,
    ended: Option<Left>,
}

impl State {
    fn next(&mut self) -> Option<Result<ToPage, Left>> {
        let Some(message) = self.to_page.pop_front() else {
            return self.ended.map(Err);
        };
        self.bytes = self.bytes.saturating_sub(message.len());
        if matches!(message, ToPage::Frame(_)) {
            self.frames = self.frames.saturating_add(1);
        }
        Some(Ok(message))
    }
}

/// The loop's end of a line: it ends with the session.
pub(super) struct LoopEnd(pub(super) Arc<Line>);

impl Drop for LoopEnd {
    fn drop(&mut self) {
        self.0.end(Left::Closed);
    }
}

impl Line {
    pub(super) fn new(session: String, wake: Arc<Wake>) -> Self {
        Self {
            session,
            wake,
            state: Mutex::default(),
            pushed: Notify::new(),
            woken: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page says something. Whether there was room for it: who says so much that there is none does not want to be heard.
    pub(crate) fn hear(self: &Arc<Self>, heard: Heard) -> bool {
        let mut state = self.state();
        let heard = match heard {
            // A page that has more than it was sent would be sent ever more.
            Heard::Said(FromPage::Ack { count }) => {
                let count = count.min(state.frames);
                Heard::Said(FromPage::Ack { count })
            }
            heard => heard,
        };
        if heard == Heard::Gone {
            state.gone = true;
        } else if state.from_page.len() >= FROM_PAGE {
            return false;
        } else {
            state.from_page.push_back(heard);
        }
        drop(state);
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.wake.hear(self.clone());
        }
        true
    }

    /// What the page said.
    pub(super) fn heard(&self) -> Option<Heard> {
        let mut state = self.state();
        let next = state.from_page.pop_front();
        next.or_else(|| state.gone.then_some(Heard::Gone))
    }

    /// A message for the page. Whether there was room for it.
    pub(super) fn push(&self, message: ToPage) -> bool {
        let mut state = self.state();
        let bytes = state.bytes.saturating_add(message.len());
        if bytes > BYTES || state.to_page.len() >= TO_PAGE {
            return false;
        }
        state.bytes = bytes;
        state.to_page.push_back(message);
        drop(state);
        self.pushed.notify_one();
        true
    }

    /// Nothing comes after the words that are there; frames that wait are of no use any more, and would hold memory for as long as the socket
    /// takes. The first reason counts.
    pub(super) fn end(&self, why: Left) {
        let mut state = self.state();
        state.ended.get_or_insert(why);
        state.to_page.retain(|it| matches!(it, ToPage::Text(_)));
        state.bytes = state.to_page.iter().map(ToPage::len).sum();
        drop(state);
        self.pushed.notify_one();
    }

    /// Whether the session has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.state().ended.is_some()
    }

    /// The next message for the page, for the only one who asks; or why there is none any more.
    pub(crate) async fn next(&self) -> Result<ToPage, Left> {
        loop {
            let pushed = self.pushed.notified();
            if let Some(next) = self.state().next() {
                return next;
            }
            pushed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn line() -> Arc<Line> {
        Arc::new(Line::new("1".into(), Arc::default()))
    }

    #[tokio::test]
    async fn what_was_said_before_the_end_is_sent() {
        let line = line();
        assert!(line.push(ToPage::Frame(Bytes::from_static(b"a picture"))));
        assert!(line.push(ToPage::Text("last".into())));
        assert!(!line.is_over());
        line.end(Left::Stuck);
        drop(LoopEnd(line.clone()));
        assert_eq!(line.next().await, Ok(ToPage::Text("last".into())));
        assert_eq!(line.next().await, Err(Left::Stuck));
        assert!(line.is_over());
        assert_eq!(line.state().bytes, 0);
    }

    #[tokio::test]
    async fn a_page_has_no_more_frames_than_its_socket_took() {
        let line = line();
        let frame = ToPage::Frame(Bytes::from_static(b"a picture"));
        let heard = |count| {
            assert!(line.hear(Heard::Said(FromPage::Ack { count })));
            line.heard()
        };
        let counted = |count| Some(Heard::Said(FromPage::Ack { count }));
        for _ in 0..3 {
            assert!(line.push(frame.clone()) && line.push(ToPage::Text("x".into())));
        }
        assert_eq!(heard(u64::MAX), counted(0));
        for _ in 0..4 {
            line.next().await.unwrap();
        }
        assert_eq!(heard(1), counted(1));
        assert_eq!(heard(3), counted(2));
    }

    #[tokio::test]
    async fn there_is_room_for_so_much() {
        let line = line();
        let large = ToPage::Frame(Bytes::from(vec![0; BYTES / 2]));
        assert!(line.push(large.clone()) && line.push(large.clone()));
        assert!(!line.push(ToPage::Text("x".into())));
        assert_eq!(line.next().await, Ok(large.clone()));
        assert!(line.push(large));
        for _ in 0..FROM_PAGE {
            assert!(line.hear(Heard::Alive));
        }
        assert!(!line.hear(Heard::Alive));
        // That it is gone is always heard, in the end.
        assert!(line.hear(Heard::Gone));
        let heard: Vec<Heard> = std::iter::from_fn(|| line.heard()).take(99).collect();
        assert_eq!(heard[FROM_PAGE - 1], Heard::Alive);
        assert_eq!(heard[FROM_PAGE], Heard::Gone);
    }
}
