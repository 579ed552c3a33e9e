//! Whose publishing a moderator has ended. Their tokens are good for whatever else they are for, and nobody gets around it with a new one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Until when, by the subject of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stopped(BTreeMap<String, Instant>);

impl Stopped {
    /// From times in seconds since 1970, of which it is `unix` at `now`.
    pub(super) fn new(until: &BTreeMap<String, u64>, unix: Duration, now: Instant) -> Self {
        let ends = |(subject, until): (&String, &u64)| {
            let left = Duration::from_secs(*until).checked_sub(unix)?;
            Some((subject.clone(), now.checked_add(left)?))
        };
        Self(until.iter().filter_map(ends).collect())
    }

    /// Whether somebody is among them who was not before.
    pub(super) fn adds_to(&self, before: &Self) -> bool {
        self.0.keys().any(|subject| !before.0.contains_key(subject))
    }

    pub(super) fn has(&self, subject: &str, now: Instant) -> bool {
        self.0.get(subject).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_its_time_is() {
        let now = Instant::now();
        let until = [("ann", 1_060), ("bob", 1_000), ("cid", 999)];
        let until = until.map(|(subject, until)| (subject.to_owned(), until));
        let stopped = Stopped::new(&until.into(), Duration::from_secs(1_000), now);
        let has = |subject, after| stopped.has(subject, now + Duration::from_secs(after));
        assert!(has("ann", 0) && has("ann", 59) && !has("ann", 60));
        let none = Stopped::default();
        assert!(stopped.adds_to(&none) && !stopped.adds_to(&stopped) && !none.adds_to(&stopped));
        assert!(!has("bob", 0) && !has("cid", 0) && !has("dan", 0));
    }
}
