//! Events, from the session to whoever listens.

use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use crate::error::End;
use crate::event::Event;

/// The session's end of it. A listener who is too slow misses events, and is told how many.
pub(crate) struct EventSender {
    sender: mpsc::Sender<Event>,
    missed: u64,
    end: Arc<OnceLock<End>>,
}

/// A session's events, in order. After [`Event::Ended`] there are no more.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    end: Arc<OnceLock<End>>,
    ended: bool,
}

pub(crate) fn channel(capacity: usize) -> (EventSender, Events) {
    let (sender, receiver) = mpsc::channel(capacity.max(2));
    let end = Arc::new(OnceLock::new());
    let sender = EventSender {
        sender,
        missed: 0,
        end: Arc::clone(&end),
    };
    let events = Events {
        receiver,
        end,
        ended: false,
    };
    (sender, events)
}

impl EventSender {
    pub(crate) fn send(&mut self, event: Event) {
        // One place is kept for saying that some were missed.
        if self.sender.capacity() < 2 {
            self.missed += 1;
            return;
        }
        if self.missed > 0 {
            let missed = Event::Missed(std::mem::take(&mut self.missed));
            // It fails if nobody listens.
            let _ = self.sender.try_send(missed);
        }
        let _ = self.sender.try_send(event);
    }

    pub(crate) fn end(&mut self, end: End) {
        if self.missed > 0 {
            let _ = self.sender.try_send(Event::Missed(self.missed));
        }
        // It can be set once, and is.
        let _ = self.end.set(end);
    }
}

impl Events {
    /// The next event; `None` after the last one.
    pub async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        if let Some(event) = self.receiver.recv().await {
            Some(event)
        } else {
            self.ended = true;
            let end = self.end.get().cloned();
            Some(Event::Ended(end.unwrap_or(End::Dropped)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_too_slow_is_told_and_the_end_is_never_missed() {
        let (mut sender, mut events) = channel(4);
        let joined = |user_id| Event::UserJoined { user_id };
        for user in 0..6 {
            sender.send(joined(user));
        }
        for user in 0..3 {
            assert_eq!(events.next().await, Some(joined(user)));
        }
        sender.send(joined(6));
        assert_eq!(events.next().await, Some(Event::Missed(3)));
        for user in 7..12 {
            sender.send(joined(user));
        }
        sender.end(End::RateLimited);
        drop(sender);
        for user in 6..9 {
            assert_eq!(events.next().await, Some(joined(user)));
        }
        assert_eq!(events.next().await, Some(Event::Missed(3)));
        assert_eq!(events.next().await, Some(Event::Ended(End::RateLimited)));
        assert_eq!(events.next().await, None);
    }
}
