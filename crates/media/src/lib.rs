#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub
)]
#![allow(
    clippy::duration_suboptimal_units,
    reason = "seconds are what is counted in"
)]
#![cfg_attr(
    test,
    allow(
        clippy::pedantic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a test that panics has failed"
    )
)]

pub mod assembler;
mod codec;
pub mod feedback;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
pub mod h264;
pub mod rtcp;
pub mod rtp;
pub mod rtx;
pub mod sequence;
pub mod sps;
pub mod vp8;
pub mod window;

pub use codec::VideoCodec;

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);
