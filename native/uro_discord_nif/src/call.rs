//! Work on the runtime that answers the process that asked for it by message.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;

use futures_util::FutureExt;
use rustler::{Env, LocalPid, Monitor, OwnedEnv, Reference, Resource, ResourceArc, Term};
use tokio::task::AbortHandle;

use crate::runtime;

/// What work comes to; the error is a panic.
pub(crate) type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// Work under way. It watches the process that asked: an answer that nobody waits for is not waited for.
struct Call(OnceLock<AbortHandle>);

#[rustler::resource_impl]
impl Resource for Call {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        if let Some(task) = self.0.get() {
            task.abort();
        }
    }
}

/// Does the work and sends `message` of what it came to, with `reference` in it, to the calling process. If that process
/// ends first, the work is dropped.
pub(crate) fn start<'a, T: Send + 'static>(
    env: Env<'a>,
    reference: Reference<'a>,
    work: impl Future<Output = T> + Send + 'static,
    message: impl for<'b> FnOnce(Env<'b>, Term<'b>, Outcome<T>) -> Term<'b> + Send + 'static,
) -> Result<(), String> {
    let runtime = runtime::handle()?;
    let caller = env.pid();
    let mut answer_in = OwnedEnv::new();
    let reference = answer_in.save(reference);
    let call = ResourceArc::new(Call(OnceLock::new()));
    let watching = call.clone();
    let task = runtime.spawn(async move {
        let outcome = AssertUnwindSafe(work).catch_unwind().await;
        // It fails if the caller is gone.
        let _ = answer_in.send_and_clear(&caller, |env| message(env, reference.load(env), outcome));
        drop(watching);
    });
    // In this order: a caller that is already gone makes `monitor` fail, one that goes later finds the task.
    let _ = call.0.set(task.abort_handle());
    if call.monitor(Some(env), &caller).is_none() {
        task.abort();
    }
    Ok(())
}
