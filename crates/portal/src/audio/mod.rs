//! What is done to samples, and when.

mod delay;
mod jitter;
mod level;
mod limiter;
mod moments;
mod numbers;
mod warp;

pub(crate) use jitter::{Jitter, Slot};
pub(crate) use level::{Activity, QUIET, level};
pub(crate) use limiter::Limiter;
pub(crate) use moments::Moments;
pub(crate) use numbers::{Numbers, Place};
pub(crate) use warp::Warp;
