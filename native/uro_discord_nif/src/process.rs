//! The end of a process that does not end by itself.

use crate::atoms;
use rustix::process::{Pid, Signal, getpid, kill_process};
use rustler::{Atom, Error, NifResult};

/// Kills one process: no number that stands for several, and not this one.
#[rustler::nif]
fn kill(os_pid: i32) -> NifResult<Atom> {
    match Pid::from_raw(os_pid) {
        Some(process) if os_pid > 1 && process != getpid() => {
            kill_process(process, Signal::KILL)
                .map_err(|error| Error::Term(Box::new(error.to_string())))?;
            Ok(atoms::ok())
        }
        _ => Err(Error::BadArg),
    }
}
