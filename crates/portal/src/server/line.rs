//! What is between a page's WebSocket and its loop: messages both ways, bounded, and the end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::media::Wake;
use super::session::Left;
use crate::tv::message::{FromPage, ToPage};

/// Bytes that wait for the socket. The picture stops long before; a page for which so much waits does not read.
const BYTES: usize = 8 * 1024 * 1024;

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

    /// Nothing comes after what is there. The first reason counts.
    pub(super) fn end(&self, why: Left) {
        self.state().ended.get_or_insert(why);
        self.pushed.notify_one();
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
        assert!(line.push(ToPage::Text("last".into())));
        line.end(Left::Stuck);
        drop(LoopEnd(line.clone()));
        assert_eq!(line.next().await, Ok(ToPage::Text("last".into())));
        assert_eq!(line.next().await, Err(Left::Stuck));
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
