//! The thread that writes: all that waits, in one transaction.

use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use crate::job::Job;
use crate::{Error, Session};

/// Ends when all senders are gone and the queue is empty.
pub(crate) fn run(connection: &Connection, jobs: &Receiver<Box<dyn Job>>, batch: usize) {
    while let Ok(first) = jobs.recv() {
        let mut waiting = vec![first];
        waiting.extend(jobs.try_iter().take(batch.saturating_sub(1)));
        let failure = together(connection, &mut waiting).err();
        for job in waiting {
            job.answer(failure.clone());
        }
    }
}

/// Runs the jobs in one transaction. An error has undone all of them.
fn together(connection: &Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), Error> {
    control(connection, "BEGIN IMMEDIATE")?;
    let done = jobs
        .iter_mut()
        .try_for_each(|job| alone(connection, job.as_mut()))
        .and_then(|()| control(connection, "COMMIT"));
    if done.is_err() && !connection.is_autocommit() {
        control(connection, "ROLLBACK")?;
    }
    done
}

/// Runs one job; if it fails, what it did is undone, and nothing else.
fn alone(connection: &Connection, job: &mut dyn Job) -> Result<(), Error> {
    control(connection, "SAVEPOINT job")?;
    let succeeded = job.work(&Session::new(connection));
    // A full disk and the like make SQLite roll the whole transaction back: https://www.sqlite.org/lang_transaction.html
    if connection.is_autocommit() {
        return Err(Error::Disk("SQLite undid the transaction".into()));
    }
    if !succeeded {
        control(connection, "ROLLBACK TO job")?;
    }
    control(connection, "RELEASE job")
}

pub(crate) fn control(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.raw_execute()?;
    Ok(())
}
