//! The Tokio runtime that everything asynchronous runs on.

use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Starts the runtime, once; the library is never unloaded while its threads run.
pub(crate) fn start() -> io::Result<()> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("uro_discord_nif")
        .enable_all()
        .build()?;
    // Loaded a second time: the first runtime stays.
    if let Err(second) = RUNTIME.set(runtime) {
        second.shutdown_background();
    }
    Ok(())
}

/// The runtime; an error cannot be, as `load` fails without it.
pub(crate) fn handle() -> Result<&'static Handle, String> {
    RUNTIME
        .get()
        .map(Runtime::handle)
        .ok_or_else(|| "the runtime is not running".into())
}
