//! The functions of `UroDiscord.Native`.
//!
//! Thin: each decodes terms, calls a crate and encodes terms. None holds a normal scheduler for a millisecond: what may
//! take longer runs on a dirty scheduler, or on the runtime's own threads and answers by message. A panic becomes an
//! Elixir error (`:nif_panicked`) by rustler, or an error message where it happens on one of our threads.

mod atoms;
mod call;
mod json;
mod options;
mod poll;
mod process;
mod reply;
mod request;
mod rest;
mod route;
mod runtime;
mod signature;
mod store;

use rustler::{Env, Term};

fn load(_env: Env<'_>, _info: Term<'_>) -> bool {
    // It is there already if the library was loaded before; that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime::start().is_ok()
}

/// Panics, so that a test can see what becomes of it: there is no input that does.
#[rustler::nif]
#[allow(clippy::panic)]
fn panic_for_test() -> bool {
    panic!("asked to")
}

rustler::init!("Elixir.UroDiscord.Native", load = load);
