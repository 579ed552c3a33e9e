//! What can go wrong, by what the caller can do about it.

use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why a store could not be opened, or why a job failed; nothing of a job that failed is stored.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file or its folder cannot be made, opened or written.
    #[error("{path}: {reason}")]
    Open {
        /// The database file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The file is no SQLite database, or a damaged one.
    #[error("the file is damaged or not a SQLite database: {0}")]
    Corrupt(String),
    /// Another process has held the write lock for longer than the busy timeout.
    #[error("another process keeps the database locked: {0}")]
    Busy(String),
    /// A row with this key is already there.
    #[error("{0}")]
    Unique(String),
    /// Another constraint: NOT NULL, CHECK, or a foreign key.
    #[error("{0}")]
    Constraint(String),
    /// The disk is full, or failed.
    #[error("cannot write to the disk: {0}")]
    Disk(String),
    /// The statement is wrong: its SQL, or its parameters.
    #[error("{0}")]
    Statement(String),
    /// A parameter cannot be stored: the caller's input, not the statement, is wrong.
    #[error("{0}")]
    Input(String),
    /// As many jobs wait as may.
    #[error("{0} jobs wait already")]
    QueueFull(usize),
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
    /// A job panicked.
    #[error("a fault in the store; see stderr")]
    Panicked,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let message = error.to_string();
        let Some(failure) = error.sqlite_error() else {
            return Self::Statement(message);
        };
        match (failure.code, failure.extended_code) {
            (
                _,
                ffi::SQLITE_CONSTRAINT_UNIQUE
                | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                | ffi::SQLITE_CONSTRAINT_ROWID,
            ) => Self::Unique(message),
            // A value of another type than the (STRICT) table's column.
            (_, ffi::SQLITE_CONSTRAINT_DATATYPE) => Self::Statement(message),
            (ErrorCode::ConstraintViolation, _) => Self::Constraint(message),
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Self::Busy(message),
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Self::Corrupt(message),
            (
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed,
                _,
            ) => Self::Disk(message),
            (ErrorCode::TooBig, _) => Self::Input(message),
            _ => Self::Statement(message),
        }
    }
}
