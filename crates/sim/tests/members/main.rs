//! Members and bans: who is renamed, gets roles and is thrown out, by whom, and who is told.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod changes;
mod control;
mod leaving;
mod permissions;
mod place;
#[path = "../support/mod.rs"]
mod support;
