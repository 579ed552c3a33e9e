#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod connection;
mod error;
mod job;
mod reader;
mod session;
mod store;
mod writer;

pub use error::Error;
pub use rusqlite::types::{Value, ValueRef};
pub use session::{Answer, Session};
pub use store::{Mode, Options, Store};
