//! OAuth2 over sockets: what the consent page, the token endpoint and tokens do, and what they refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod events;
mod flow;
mod guilds;
mod linked_roles;
mod page;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
