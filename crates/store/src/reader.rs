//! The thread that reads: each job sees one state of the database.

use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use crate::Session;
use crate::job::Job;
use crate::writer::control;

/// Ends when all senders are gone and the queue is empty.
pub(crate) fn run(connection: &Connection, jobs: &Receiver<Box<dyn Job>>) {
    for mut job in jobs {
        let failure = control(connection, "BEGIN").err();
        if failure.is_none() {
            job.work(&Session::new(connection));
        }
        let ended = control(connection, "ROLLBACK").err();
        job.answer(failure.or(ended));
    }
}
