//! The bridge as a program: `UroDiscord.Bridge` starts it as a Port.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use uro_discord_bridge::{Fault, Outbox, log, run, stdio};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.exit_code(),
    }
}

fn start() -> Result<(), Fault> {
    // twilight's TLS takes the process's provider, and panics when there is none. An error means there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: a hop to another one would make each answer to Elixir take three times as long.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outbox = Outbox::default();
    log::install(outbox.clone())?;
    let result = runtime.block_on(async {
        let transport = stdio::open().inspect_err(Fault::report)?;
        // A task of its own, so that a panic in it ends like one in any other.
        let ended = tokio::spawn(run(transport, outbox)).await;
        ended.unwrap_or(Err(Fault::Panic))
    });
    // What is still running, such as a name being resolved, must not keep the process.
    runtime.shutdown_background();
    result
}
