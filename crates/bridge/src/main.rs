//! The bridge as a program: `UroDiscord.Bridge` starts it as a Port, or it dials Uro from another machine.
#![forbid(unsafe_code)]

use std::env::args_os;
use std::process::ExitCode;
use tokio::runtime::Builder;
use uro_discord_bridge::log::{self, Listeners, Stderr};
use uro_discord_bridge::{Fault, FrameSender, Media, Options, remote, run, stdio};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.exit_code(),
    }
}

fn start() -> Result<(), Fault> {
    let options = Options::read(args_os().skip(1)).map_err(Fault::from);
    let options = options.inspect_err(Fault::report)?;
    // twilight's TLS takes the process's provider, and panics when there is none. An error means there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: a hop to another one would make each answer to Elixir take three times as long.
    let control = Builder::new_current_thread().enable_all().build()?;
    let media = Builder::new_multi_thread()
        .worker_threads(options.workers)
        .thread_name("media")
        .enable_all()
        .build()?;
    let listeners = Listeners::default();
    let stderr = options.remote.is_some().then(Stderr::start).transpose()?;
    log::install(listeners.clone(), stderr.clone())?;
    let result = control.block_on(async {
        let workers = Media::new(media.handle().clone()).map_err(Fault::from);
        // A task of its own, so that a panic in it ends like one in any other.
        let ended = match options.remote {
            Some(remote) => {
                let media = workers.inspect_err(Fault::report)?;
                tokio::spawn(remote::serve(remote, media, listeners))
            }
            None => {
                let sender = FrameSender::default();
                let listening = listeners.add(sender.clone());
                let transport = stdio::open().inspect_err(Fault::report)?;
                let media = workers.inspect_err(Fault::report)?;
                tokio::spawn(async {
                    let _listening = listening;
                    run(transport, sender, media).await
                })
            }
        };
        ended.await.unwrap_or(Err(Fault::Panic))
    });
    // What is still running, such as a name being resolved, must not keep the process.
    media.shutdown_background();
    control.shutdown_background();
    if let Some(stderr) = stderr {
        stderr.flush();
    }
    result
}
