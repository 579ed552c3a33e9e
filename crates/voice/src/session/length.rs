//! Work that takes milliseconds, among tasks that have their next frame due by then.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does what takes milliseconds, be it that others wait for this thread: where the runtime has several, the others' turn
/// is on another one meanwhile. Where it has one, there is nowhere to go.
pub(super) fn at_length<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_even_with_one_worker() {
        let long = tokio::spawn(async {
            let (told, tells) = std::sync::mpsc::channel();
            // Its turn is after this one, on the same worker.
            let other = tokio::spawn(async move { told.send("another room's frame") });
            let heard = at_length(move || tells.recv_timeout(Duration::from_secs(20)));
            other.await.unwrap().unwrap();
            heard
        });
        assert_eq!(long.await.unwrap(), Ok("another room's frame"));
    }

    #[tokio::test]
    async fn without_another_thread_it_is_done_here() {
        assert_eq!(at_length(|| 7), 7);
    }
}
