//! SQLite with group commit.
//!
//! A write is durable when it is answered, and that costs an fsync, which takes milliseconds. So one thread owns the
//! connection that writes; it takes every job that waits, runs each in a savepoint of one transaction, commits once, and
//! then answers them all. A job that fails is rolled back alone. Reads have a thread and a connection of their own, and
//! wait for no fsync (the journal is a write-ahead log: <https://www.sqlite.org/wal.html>).
//!
//! ```
//! # use uro_discord_store::{Mode, Options, Store, ValueRef};
//! # let folder = tempfile::tempdir().unwrap();
//! let store = Store::open(&folder.path().join("uro.db"), Options::default())?;
//! store.run(Mode::Write, |session| {
//!     session.execute("CREATE TABLE t (id BIGINT)", &[])?;
//!     session.execute("INSERT INTO t VALUES ($1)", &[ValueRef::Integer(7)])
//! })?;
//! let answer = store.run(Mode::Read, |session| session.execute("SELECT id FROM t", &[]))?;
//! assert_eq!(answer.rows, [[7.into()]]);
//! # Ok::<(), uro_discord_store::Error>(())
//! ```

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
