//! Append-only, bounded logs: what happened, and every REST request.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::id::unix_ms;

/// Events kept; the oldest go first.
const KEPT_EVENTS: usize = 10_000;
/// Requests kept; the oldest go first.
const KEPT_REQUESTS: usize = 10_000;

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
pub struct LoggedEvent {
    /// Its number: 1 for the first one since the simulator started, without gaps.
    pub number: u64,
    /// Unix time in milliseconds.
    pub time: u64,
    /// What kind of thing: `message_create`, `identify`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The particulars.
    #[serde(flatten)]
    pub data: Map<String, Value>,
}

/// The log of what happened, which one can wait for.
#[derive(Debug)]
pub struct EventLog {
    kept: VecDeque<LoggedEvent>,
    last: watch::Sender<u64>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
            last: watch::Sender::new(0),
        }
    }
}

impl EventLog {
    /// Appends; `data` must be an object.
    pub fn push(&mut self, kind: &'static str, data: Value) {
        let Value::Object(data) = data else {
            debug_assert!(false, "an event's data is an object");
            return;
        };
        let number = *self.last.borrow() + 1;
        if self.kept.len() == KEPT_EVENTS {
            self.kept.pop_front();
        }
        self.kept.push_back(LoggedEvent {
            number,
            time: unix_ms(),
            kind,
            data,
        });
        self.last.send_replace(number);
    }

    /// The events after number `after` that are of one of these kinds (all kinds, if none are named).
    pub fn after(&self, after: u64, kinds: &[&str]) -> Vec<LoggedEvent> {
        self.kept
            .iter()
            .skip_while(|event| event.number <= after)
            .filter(|event| kinds.is_empty() || kinds.contains(&event.kind))
            .cloned()
            .collect()
    }

    /// The number of the newest event, now and whenever it changes.
    pub fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Forgets the events; numbers go on.
    pub fn clear(&mut self) {
        self.kept.clear();
    }
}

/// A REST request and how it was answered.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// When it arrived, Unix milliseconds.
    pub time: u64,
    /// HTTP method.
    pub method: String,
    /// The API's version.
    pub version: u8,
    /// Path under `/api/v10`, or another version's prefix, with the query.
    pub path: String,
    /// The route it matched, such as `/channels/{channel_id}/messages`; `null` when none.
    pub route: Option<String>,
    /// HTTP status; `null` when the connection was dropped without an answer.
    pub status: Option<u16>,
    /// The rate limit bucket it counted in.
    pub bucket: String,
    /// Who sent it; `null` without a valid token.
    pub user_id: Option<crate::id::Id>,
    /// How long the answer took, in milliseconds.
    pub took: u64,
}

/// The methods that are counted by themselves.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// How often each method of a route was answered with each status; 0: not at all.
type Counts = BTreeMap<(String, String), BTreeMap<u16, u64>>;

/// The newest REST requests, and counts of all.
#[derive(Debug, Default)]
pub struct RequestLog {
    newest: VecDeque<RequestRecord>,
    counts: Counts,
}

impl RequestLog {
    /// Appends.
    pub fn push(&mut self, record: RequestRecord) {
        let route = record.route.clone().unwrap_or_default();
        // A client can make up as many methods as it likes.
        let known = METHODS.into_iter().find(|known| *known == record.method);
        let method = known.unwrap_or("*").to_owned();
        let statuses = self.counts.entry((method, route)).or_default();
        *statuses.entry(record.status.unwrap_or(0)).or_default() += 1;
        if self.newest.len() == KEPT_REQUESTS {
            self.newest.pop_front();
        }
        self.newest.push_back(record);
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &RequestRecord> {
        self.newest.iter()
    }

    /// By method and route, which is empty for what no route matched.
    pub fn counts(&self) -> impl Iterator<Item = (&(String, String), &BTreeMap<u16, u64>)> {
        self.counts.iter()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_kept_of_methods_that_there_are() {
        let mut log = RequestLog::default();
        let made_up = (0..100).map(|number| format!("METHOD{number}"));
        for method in made_up.chain(["PATCH".to_owned()]) {
            log.push(RequestRecord {
                time: 0,
                method,
                version: 10,
                path: "/x".to_owned(),
                route: None,
                status: Some(405),
                bucket: String::new(),
                user_id: None,
                took: 0,
            });
        }
        let counted: Vec<_> = log
            .counts()
            .map(|((method, _), statuses)| (method.as_str(), statuses[&405]))
            .collect();
        assert_eq!(counted, [("*", 100), ("PATCH", 1)]);
    }
}
