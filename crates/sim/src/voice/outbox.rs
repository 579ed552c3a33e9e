//! What a session sends: numbered messages, which are kept for a resume (`voice-connections`, "Buffered Resume").

use std::collections::VecDeque;

use axum::extract::ws::Message;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::gateway::End;

/// Messages of one session that are kept for a resume.
const KEPT: usize = 512;
/// What a connection may have waiting: a whole replay, and more.
pub const WAITING: usize = 2 * KEPT;

/// A session's end of its connection.
#[derive(Clone)]
pub struct Link {
    /// The connection's number.
    pub id: u64,
    pub messages: mpsc::Sender<Message>,
    /// Ends it at once.
    pub ends: mpsc::Sender<End>,
}

impl Link {
    /// Sends a message without a number.
    pub fn send(&self, op: u8, data: Value) {
        self.pass(text(&json!({"op": op, "d": data})));
    }

    /// A client that does not read is cut off; it may resume.
    fn pass(&self, message: Message) {
        if self.messages.try_send(message).is_err() {
            self.end(End::Drop);
        }
    }

    pub fn end(&self, end: End) {
        // A full queue means that it is being ended already.
        let _ = self.ends.try_send(end);
    }
}

/// A session's messages.
#[derive(Default)]
pub struct Outbox {
    pub link: Option<Link>,
    /// How many numbered messages there were. A message's number is its place, modulo 2^16.
    sent: u64,
    kept: VecDeque<Message>,
}

impl Outbox {
    /// Sends JSON with the next number.
    pub fn send(&mut self, op: u8, data: &Value) {
        let number = self.next_number();
        self.push(text(&json!({"op": op, "d": data, "seq": number})));
    }

    /// Sends bytes with the next number.
    pub fn send_binary(&mut self, op: u8, payload: &[u8]) {
        let mut message = self.next_number().to_be_bytes().to_vec();
        message.push(op);
        message.extend_from_slice(payload);
        self.push(Message::Binary(message.into()));
    }

    /// The number of the newest message.
    pub fn last(&self) -> u16 {
        low(self.sent)
    }

    /// Whether a message with this number was sent, not long ago.
    pub fn knows(&self, number: u16) -> bool {
        u64::from(self.last().wrapping_sub(number)) <= self.sent
    }

    /// Sends again what came after message `number` (after none). `false`: some of it is not kept.
    pub fn replay(&mut self, number: Option<u16>) -> bool {
        let missed = match number {
            Some(number) => u64::from(self.last().wrapping_sub(number)),
            None => self.sent,
        };
        let Some(skip) = usize::try_from(missed)
            .ok()
            .and_then(|missed| self.kept.len().checked_sub(missed))
        else {
            return false;
        };
        if let Some(link) = &self.link {
            for message in self.kept.iter().skip(skip) {
                link.pass(message.clone());
            }
        }
        true
    }

    fn next_number(&mut self) -> u16 {
        self.sent += 1;
        low(self.sent)
    }

    fn push(&mut self, message: Message) {
        if let Some(link) = &self.link {
            link.pass(message.clone());
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(message);
    }
}

fn low(number: u64) -> u16 {
    (number & 0xffff) as u16
}

fn text(payload: &Value) -> Message {
    Message::Text(payload.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked(outbox: &mut Outbox) -> mpsc::Receiver<Message> {
        let (messages, received) = mpsc::channel(WAITING);
        let (ends, _) = mpsc::channel(1);
        outbox.link = Some(Link {
            id: 1,
            messages,
            ends,
        });
        received
    }

    fn numbers(received: &mut mpsc::Receiver<Message>) -> Vec<u64> {
        std::iter::from_fn(|| received.try_recv().ok())
            .map(|message| match message {
                Message::Text(text) => {
                    let payload: Value = serde_json::from_str(&text).unwrap();
                    payload["seq"].as_u64().unwrap()
                }
                Message::Binary(bytes) => u64::from(u16::from_be_bytes([bytes[0], bytes[1]])),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_was_missed_is_sent_again() {
        let mut outbox = Outbox::default();
        let mut received = linked(&mut outbox);
        for _ in 0..3 {
            outbox.send(5, &json!({}));
            outbox.send_binary(27, &[1]);
        }
        assert_eq!(numbers(&mut received), [1, 2, 3, 4, 5, 6]);
        assert!(outbox.replay(Some(4)));
        assert_eq!(numbers(&mut received), [5, 6]);
        assert!(outbox.replay(None));
        assert_eq!(numbers(&mut received), [1, 2, 3, 4, 5, 6]);
        assert!(outbox.knows(0) && outbox.knows(6));
        assert!(!outbox.knows(7) && !outbox.replay(Some(7)));
    }

    #[test]
    fn numbers_wrap_and_old_messages_go() {
        let mut outbox = Outbox::default();
        for _ in 0..70_000 {
            outbox.send(5, &json!({}));
        }
        let mut received = linked(&mut outbox);
        assert_eq!(u64::from(outbox.last()), 70_000 - 65_536);
        assert!(outbox.replay(Some(outbox.last() - 2)));
        assert_eq!(numbers(&mut received), [4_463, 4_464]);
        assert!(outbox.replay(Some(outbox.last() - KEPT as u16)));
        assert!(!outbox.replay(Some(outbox.last() - KEPT as u16 - 1)));
        assert!(!outbox.replay(None));
    }
}
