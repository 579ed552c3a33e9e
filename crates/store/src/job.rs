//! A job in the queue: its work, and whom to answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Session};

/// Work that may have been done, but is not answered yet. Dropped unanswered, it answers that the store is closed: nobody
/// waits for ever.
pub(crate) trait Job: Send {
    /// Does the work, once. True if it succeeded.
    fn work(&mut self, session: &Session<'_>) -> bool;

    /// Answers with what the work came to, or with `failure` if that has undone it.
    fn answer(self: Box<Self>, failure: Option<Error>);

    /// Lets go of it without an answer.
    fn abandon(self: Box<Self>);
}

pub(crate) struct Pending<W, T, A: FnOnce(Result<T, Error>)> {
    work: Option<W>,
    result: Result<T, Error>,
    answer: Option<A>,
}

impl<W, T, A: FnOnce(Result<T, Error>)> Pending<W, T, A> {
    pub(crate) fn new(work: W, answer: A) -> Self {
        Self {
            work: Some(work),
            result: Err(Error::Closed),
            answer: Some(answer),
        }
    }

    fn take(&mut self) -> Result<T, Error> {
        std::mem::replace(&mut self.result, Err(Error::Closed))
    }
}

impl<W, T, A> Job for Pending<W, T, A>
where
    W: FnOnce(&Session<'_>) -> Result<T, Error> + Send,
    T: Send,
    A: FnOnce(Result<T, Error>) + Send,
{
    fn work(&mut self, session: &Session<'_>) -> bool {
        if let Some(work) = self.work.take() {
            // The savepoint undoes what a panic left half done.
            self.result =
                catch_unwind(AssertUnwindSafe(|| work(session))).unwrap_or(Err(Error::Panicked));
        }
        self.result.is_ok()
    }

    fn answer(mut self: Box<Self>, failure: Option<Error>) {
        let result = self.take();
        if let Some(answer) = self.answer.take() {
            answer(match failure {
                Some(failure) => Err(failure),
                None => result,
            });
        }
    }

    fn abandon(mut self: Box<Self>) {
        self.answer = None;
    }
}

impl<W, T, A: FnOnce(Result<T, Error>)> Drop for Pending<W, T, A> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            answer(Err(Error::Closed));
        }
    }
}
