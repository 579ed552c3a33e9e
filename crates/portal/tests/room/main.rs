//! Rooms in a time of their own: an hour passes in seconds.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod drift;
mod each;
mod faults;
mod loss;
mod mix;
mod people;
mod support;
mod switch;
mod to_discord;
