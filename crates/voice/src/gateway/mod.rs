//! The voice gateway: its messages, and when to speak, resume or give up.
#![warn(clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        reason = "a test that panics has failed"
    )
)]

mod close;
pub(crate) mod link;
pub(crate) mod message;

pub(crate) use close::Close;
