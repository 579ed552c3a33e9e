//! Opening the file: who may read it, and what SQLite must promise.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{Error, Options};

/// All statements of a user of this crate should fit.
const CACHED_STATEMENTS: usize = 128;

/// Between two attempts at what SQLite does not wait for by itself.
const AGAIN: Duration = Duration::from_millis(5);

/// The file, made if it is not there, readable by its owner only; its folder too. SQLite gives the files that it puts
/// beside it the same mode.
pub(crate) fn prepare_file(path: &Path) -> Result<PathBuf, Error> {
    let failed = |error: io::Error| Error::Open {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    // SQLite gives names such as `:memory:` and `file:…` a meaning; an absolute path has none.
    let path = std::path::absolute(path).map_err(failed)?;
    if let Some(folder) = path.parent() {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    Ok(path)
}

/// The connection that writes.
pub(crate) fn writer(path: &Path, options: &Options) -> Result<Connection, Error> {
    let connection = connect(path, options)?;
    let mode = write_ahead(&connection, options).map_err(|error| opening(path, error))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Error::Open {
            path: path.display().to_string(),
            reason: format!("its file system cannot hold a write-ahead log (mode is {mode})"),
        });
    }
    // A commit is on the disk when it returns; on macOS, fsync alone does not promise that.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// The journal's mode, which is to be a write-ahead log. The first to open a file changes it; who comes meanwhile is told at once that it
/// is busy, whatever the busy timeout: two that both wait to change it would wait for each other.
fn write_ahead(connection: &Connection, options: &Options) -> rusqlite::Result<String> {
    let deadline = Instant::now() + options.busy_timeout;
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                thread::sleep(AGAIN);
            }
            result => return result,
        }
    }
}

/// The connection that reads.
pub(crate) fn reader(path: &Path, options: &Options) -> Result<Connection, Error> {
    let connection = connect(path, options)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path, options: &Options) -> Result<Connection, Error> {
    // Each connection stays on its own thread.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| opening(path, error))?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(connection)
}

fn opening(path: &Path, error: rusqlite::Error) -> Error {
    match Error::from(error) {
        Error::Corrupt(reason) => Error::Corrupt(format!("{}: {reason}", path.display())),
        Error::Busy(reason) => Error::Busy(format!("{}: {reason}", path.display())),
        error => Error::Open {
            path: path.display().to_string(),
            reason: error.to_string(),
        },
    }
}
