//! What a panic costs: what panicked, and nothing else.
//!
//! - A **room's** panic, be it in its call, its session or its player, ends that room. Elixir is told that it ended and when it is
//!   joined again, with the pauses of any other loss.
//! - A **shard's** ends its gateway connection, which is opened again as any that was lost, and resumes.
//! - A **portal's**, be it in its room or in what joins it to a voice session, ends that room, which is opened anew after a pause. One in a loop of the
//!   endpoint ends all rooms of the endpoint, which is bound anew.
//! - An **HTTP connection's** ends that connection.
//!
//! Each is a line of the log, on stderr, and a [`Panic`](uro_discord_wire::FromBridge::Panic) to Elixir, which counts them. Whatever else
//! panics is plumbing that all of these need: the bridge ends with [`Fault::Panic`](crate::Fault::Panic), and OTP starts another.
//!
//! What rooms and shards share stays whole when one of them unwinds: a message is in the [sender](crate::FrameSender) as a whole frame or not at all,
//! and no lock is held while anything runs that might panic half way.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::task::JoinError;

/// It panicked. The panic hook has said why.
#[derive(Debug)]
pub struct Panicked;

/// Runs a future to its end, or to its panic, with which it is dropped.
pub async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let ended = AssertUnwindSafe(future).catch_unwind().await;
    ended.map_err(|_| Panicked)
}

/// Makes the panic of a task that belongs to the caller the caller's own. `None`: the task was aborted.
pub fn passed_on<T>(ended: Result<T, JoinError>) -> Option<T> {
    match ended.map_err(JoinError::try_into_panic) {
        Ok(value) => Some(value),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_goes_as_far_as_whoever_catches_it() {
        let inner = async {
            let task = tokio::spawn(async { panic!("of a task") });
            passed_on::<()>(task.await)
        };
        assert!(caught(inner).await.is_err());
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        assert_eq!(
            caught(async { passed_on(task.await) }).await.ok(),
            Some(None)
        );
    }
}
