//! The transport over stdin and stdout. Not tokio's: those hand every read and write to another thread, and carry some 16,000
//! messages a second where the pipes themselves carry 400,000.

use crate::fault::Fault;
use crate::transport::Transport;
use rustix::event::{PollFd, PollFlags, poll};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::watch;

/// How long the process may take to end after its stdin was closed. Whatever it is at then, it ends.
const END: Duration = Duration::from_millis(900);

/// Exit status for a process that did not end by itself.
const STUCK: i32 = 70;

/// Takes stdin and stdout. From now on the process ends within a second of stdin's closing, even if its runtime hangs.
///
/// # Errors
///
/// [`Fault::NotAPort`] unless both are pipes.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub fn open() -> Result<Transport, Fault> {
    let stdin = own(io::stdin()).map_err(Fault::NotAPort)?;
    let input = stdin.try_clone().and_then(Receiver::from_owned_fd);
    let output = own(io::stdout()).and_then(Sender::from_owned_fd);
    Ok(Transport {
        input: Box::new(input.map_err(Fault::NotAPort)?),
        output: Box::new(output.map_err(Fault::NotAPort)?),
        closed: watch_over(stdin)?,
    })
}

fn own(stream: impl AsFd) -> io::Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}

/// Starts the thread that sees stdin's closing. A thread, since it must see it when nothing else runs any more.
fn watch_over(stdin: OwnedFd) -> io::Result<watch::Receiver<bool>> {
    let (closed, is_closed) = watch::channel(false);
    let watch = move || {
        wait_for_closing(&stdin);
        closed.send_replace(true);
        std::thread::sleep(END);
        eprintln!("uro-discord-bridge: did not end within {END:?} of its stdin's closing");
        std::process::exit(STUCK);
    };
    std::thread::Builder::new()
        .name("watchdog".into())
        .spawn(watch)?;
    Ok(is_closed)
}

/// Waits until the other end is closed, whether there are bytes to read or not.
fn wait_for_closing(pipe: &OwnedFd) {
    loop {
        // Linux tells of the closing unasked, macOS does not.
        let mut polled = [PollFd::new(pipe, PollFlags::HUP)];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => {
                tracing::error!(%error, "stdin cannot be watched, so nobody would see its closing");
                return;
            }
            Ok(_) if polled[0].revents().is_empty() => {}
            Ok(_) => return,
        }
    }
}
