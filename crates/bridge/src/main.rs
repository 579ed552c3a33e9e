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

use std::process::ExitCode;

fn main() -> ExitCode {
    log::install();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            fault.report();
            fault.exit_code()
        }
    }
}

fn run() -> Result<(), fault::Fault> {
    // twilight's TLS takes the process's provider, and panics when there is none. An error means there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(bridge::run());
    // What is still running, such as a name being resolved, must not keep the process.
    runtime.shutdown_background();
    result
}
