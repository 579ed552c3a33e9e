//! Why there is no answer.

use std::time::Duration;

use thiserror::Error;

use crate::error::{Source, innermost};

/// What can go wrong with a request. No variant shows the address or a header, which may hold a secret.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not one of a web server.
    #[error("the address cannot be used: {0}")]
    Address(&'static str),
    /// There is no connection.
    #[error("the server cannot be reached: {}", innermost(.0.as_ref()))]
    Connect(#[source] Source),
    /// The connection ended before the answer was whole, or what came over it is no HTTP, or has a head that is too large.
    #[error("the answer cannot be read: {}", innermost(.0))]
    Broken(#[from] hyper::Error),
    /// The answer has more bytes than are taken.
    #[error("the answer has more than {limit} bytes")]
    BodyTooLarge {
        /// The most that are taken.
        limit: usize,
    },
    /// The answer is compressed, although we asked for one that is not.
    #[error("the answer is compressed, although we asked for one that is not")]
    Encoded,
    /// The answer sends to where we do not go.
    #[error("the server sends elsewhere ({status}): {reason}")]
    Redirect {
        /// The HTTP status.
        status: u16,
        /// Why we do not go there.
        reason: String,
    },
    /// The time was up.
    #[error("the server did not answer within {} ms", after.as_millis())]
    Timeout {
        /// The time there was.
        after: Duration,
    },
}
