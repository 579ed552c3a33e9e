//! The handle, and the threads behind it.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::job::{Job, Pending};
use crate::{Error, Session, connection, reader, writer};

/// What may be chosen; the defaults are good.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many jobs may wait for each thread; one more is refused. Default 8192.
    pub queue: usize,
    /// How many jobs share a transaction at most. Default 1024.
    pub batch: usize,
    /// How long to wait for another process's write. Default 5 s.
    pub busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 8192,
            batch: 1024,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// Whether a job writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It only reads: it runs beside writes, and sees every write that was answered before it was submitted.
    Read,
    /// It may write.
    Write,
}

/// An open database. Dropped, it lets the jobs that wait finish, and its threads end; [`Store::close`] waits for that.
pub struct Store {
    writer: Thread,
    reader: Thread,
    queue: usize,
}

struct Thread {
    jobs: SyncSender<Box<dyn Job>>,
    handle: JoinHandle<()>,
}

impl Store {
    /// Opens a database file, which is made if it is not there (mode 0600), like its folder.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], [`Error::Corrupt`], or [`Error::Busy`] where another process has it to itself.
    pub fn open(path: &Path, options: Options) -> Result<Self, Error> {
        let path = connection::prepare_file(path)?;
        let writing = connection::writer(&path, &options)?;
        let reading = connection::reader(&path, &options)?;
        let Options { queue, batch, .. } = options;
        let writer = Thread::start("store_write", queue, move |jobs| {
            writer::run(&writing, &jobs, batch);
        })?;
        let reader = Thread::start("store_read", queue, move |jobs| {
            reader::run(&reading, &jobs);
        })?;
        Ok(Self {
            writer,
            reader,
            queue,
        })
    }

    /// Queues a job and returns at once; `answer` is called on one of the store's threads, when what was written is on
    /// the disk.
    ///
    /// # Errors
    ///
    /// [`Error::QueueFull`] or [`Error::Closed`]; `answer` is not called then.
    pub fn submit<T, W, A>(&self, mode: Mode, work: W, answer: A) -> Result<(), Error>
    where
        T: Send + 'static,
        W: FnOnce(&Session<'_>) -> Result<T, Error> + Send + 'static,
        A: FnOnce(Result<T, Error>) + Send + 'static,
    {
        let thread = match mode {
            Mode::Read => &self.reader,
            Mode::Write => &self.writer,
        };
        let job = Box::new(Pending::new(work, answer));
        thread
            .jobs
            .try_send(job)
            .map_err(|refused| match refused {
                TrySendError::Full(job) => (job, Error::QueueFull(self.queue)),
                TrySendError::Disconnected(job) => (job, Error::Closed),
            })
            .map_err(|(job, error)| {
                job.abandon();
                error
            })
    }

    /// Runs a job and waits for it.
    ///
    /// # Errors
    ///
    /// The job's own, and those of [`Store::submit`].
    pub fn run<T, W>(&self, mode: Mode, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Session<'_>) -> Result<T, Error> + Send + 'static,
    {
        let (sender, receiver) = sync_channel(1);
        self.submit(mode, work, move |result| {
            // The receiver below is there.
            let _ = sender.send(result);
        })?;
        receiver.recv().unwrap_or(Err(Error::Closed))
    }

    /// Finishes the jobs that wait, closes the file and returns when that is done.
    pub fn close(self) {
        for thread in [self.writer, self.reader] {
            drop(thread.jobs);
            // It has answered for a panic already.
            let _ = thread.handle.join();
        }
    }
}

impl Thread {
    fn start(
        name: &str,
        queue: usize,
        run: impl FnOnce(Receiver<Box<dyn Job>>) + Send + 'static,
    ) -> Result<Self, Error> {
        let (jobs, receiver) = sync_channel(queue);
        let handle = thread::Builder::new()
            .name(name.into())
            .spawn(move || run(receiver))
            .map_err(|error| Error::Disk(format!("no thread: {error}")))?;
        Ok(Self { jobs, handle })
    }
}
