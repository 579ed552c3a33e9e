//! The bridge as a program: `UroDiscord.Bridge` starts it as a Port.
#![forbid(unsafe_code)]

use std::env::args_os;
use std::ffi::OsString;
use std::process::ExitCode;
use std::thread::available_parallelism;
use tokio::runtime::Builder;
use uro_discord_bridge::{Fault, FrameSender, Media, log, run, stdio};

/// As many workers as there are cores, but no more than these unless it is said: rooms of one process do not need more.
const WORKERS: usize = 8;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.exit_code(),
    }
}

fn start() -> Result<(), Fault> {
    let workers = workers(args_os().skip(1)).inspect_err(Fault::report)?;
    // twilight's TLS takes the process's provider, and panics when there is none. An error means there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: a hop to another one would make each answer to Elixir take three times as long.
    let control = Builder::new_current_thread().enable_all().build()?;
    let media = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("media")
        .enable_all()
        .build()?;
    let sender = FrameSender::default();
    log::install(sender.clone())?;
    let result = control.block_on(async {
        let transport = stdio::open().inspect_err(Fault::report)?;
        let media = Media::new(media.handle().clone()).map_err(Fault::from);
        let media = media.inspect_err(Fault::report)?;
        // A task of its own, so that a panic in it ends like one in any other.
        let ended = tokio::spawn(run(transport, sender, media)).await;
        ended.unwrap_or(Err(Fault::Panic))
    });
    // What is still running, such as a name being resolved, must not keep the process.
    media.shutdown_background();
    control.shutdown_background();
    result
}

/// How many workers media has: nothing is said, or `--media-workers` and a number.
fn workers(mut args: impl Iterator<Item = OsString>) -> Result<usize, Fault> {
    match (args.next(), args.next(), args.next()) {
        (None, ..) => Ok(available_parallelism().map_or(1, |cores| cores.get().min(WORKERS))),
        (Some(name), Some(number), None) if name == "--media-workers" => {
            let number = number.to_str().and_then(|number| number.parse().ok());
            number.filter(|number| *number > 0).ok_or(Fault::Usage)
        }
        _ => Err(Fault::Usage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_as_many_as_are_said() {
        let workers = |args: &[&str]| workers(args.iter().map(OsString::from)).ok();
        assert_eq!(workers(&["--media-workers", "3"]), Some(3));
        assert!(workers(&[]).is_some_and(|number| (1..=WORKERS).contains(&number)));
        for wrong in [
            &["--media-workers"][..],
            &["--media-workers", "0"],
            &["--media-workers", "x"],
            &["--media-workers", "1", "2"],
            &["--help"],
        ] {
            assert_eq!(workers(wrong), None, "{wrong:?}");
        }
    }
}
