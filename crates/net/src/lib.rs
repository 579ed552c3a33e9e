//! What every connection to others shares. REST, the gateway and voice had each their own, and no two were alike.
//!
//! [`Backoff`] says how long to wait before another try.
#![forbid(unsafe_code)]

mod backoff;

pub use backoff::{Backoff, Pauses};
