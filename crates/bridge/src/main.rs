//! The bridge: the process beside the BEAM that holds Discord's connections. `UroDiscord.Bridge` starts it as a Port and tells it
//! what is wanted; `docs/bridge-protocol.md` says in which words.
#![forbid(unsafe_code)]

mod bridge;
mod desired;
mod events;
mod fault;
mod gateway;
mod log;
mod outbox;
mod presence;
mod stdio;
mod voice;

use fault::Fault;
use std::process::ExitCode;

fn main() -> ExitCode {
    let ended = log::install().map_err(Fault::Io).and_then(|stderr| {
        let result = run();
        if let Err(fault) = &result {
            fault.report();
        }
        stderr.flush();
        result
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.exit_code(),
    }
}

fn run() -> Result<(), Fault> {
    // twilight's TLS takes the process's provider, and panics when there is none. An error means there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: a hop to another one would make each answer to Elixir take three times as long.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // A task of its own, so that a panic in it ends like one in any other.
    let result = runtime.block_on(async { tokio::spawn(bridge::run()).await });
    // What is still running, such as a name being resolved, must not keep the process.
    runtime.shutdown_background();
    result.unwrap_or(Err(Fault::Panic))
}
