//! Whose publishing a moderator has ended. Their tokens are good for whatever else they are for, and nobody gets around it with a new one.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Until when, in seconds since 1970, by the subject of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped(pub BTreeMap<String, u64>);

impl Stopped {
    pub(crate) fn has(&self, subject: &str) -> bool {
        let now = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs()
        };
        self.0.get(subject).is_some_and(|until| *until > now())
    }
}
