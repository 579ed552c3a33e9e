//! An HTTP request that Elixir answers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Its head: all that Elixir sees before the body is read.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct RequestHead {
    /// Such as `POST`.
    pub method: String,
    /// What follows `/discord/`, as it came: percent-encoded.
    pub path: String,
    /// What follows the question mark, as it came.
    pub query: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The client's address.
    pub peer: String,
}

/// Headers hold keys.
impl fmt::Debug for RequestHead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// How a request goes on after its head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The most bytes that its body may have.
    pub limit: u32,
    /// Whether the head has shown that the client may send it. Else that is seen from the body.
    pub known: bool,
}

/// The answer to a request.
#[derive(Clone, Eq, PartialEq)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: &'a [u8],
}

/// It may be a secret.
impl fmt::Debug for Answer<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Answer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
