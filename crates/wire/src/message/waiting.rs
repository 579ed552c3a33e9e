use serde::{Deserialize, Serialize};

/// Why something is not served.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Waiting {
    /// In words.
    pub reason: String,
    /// When it is tried again.
    pub retry_ms: u64,
}
