//! What every connection to others shares. REST, the gateway and voice had each their own, and no two were alike.
//!
//! [`Backoff`] says how long to wait before another try, [`is_loopback`] where a secret may go without TLS, and `tls` (a feature) whom
//! TLS trusts. [`Snowflake`] is an id of Discord's.
#![forbid(unsafe_code)]

mod backoff;
mod loopback;
mod snowflake;
#[cfg(feature = "tls")]
pub mod tls;

pub use backoff::{Backoff, Pauses};
pub use loopback::is_loopback;
pub use snowflake::{NotAnId, Snowflake};
