//! Fuzz targets in one program, which is built and linked once. `FUZZ_TARGET` names the one to run; without it their names are
//! printed. `bin/fuzz` runs them all.
//!
//! A target asserts; whatever it is given, it neither panics nor takes long.
#![no_main]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is what is looked for"
)]

mod bridge;
mod dist;
mod json;
mod media;
mod portal;
mod rest;
mod room;
mod voice;
mod wire;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// Takes any bytes.
type Target = fn(&[u8]);

const TARGETS: [&[(&str, Target)]; 9] = [
    bridge::TARGETS,
    dist::TARGETS,
    json::TARGETS,
    media::TARGETS,
    portal::TARGETS,
    rest::TARGETS,
    room::TARGETS,
    voice::TARGETS,
    wire::TARGETS,
];

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let targets = || TARGETS.into_iter().flatten();
    let wanted = std::env::var("FUZZ_TARGET").ok();
    match targets().find(|(name, _)| wanted.as_deref() == Some(name)) {
        Some((_, target)) => *target,
        None => {
            for (name, _) in targets() {
                println!("{name}");
            }
            std::process::exit(i32::from(wanted.is_some()));
        }
    }
});

fuzz_target!(
    init: { LazyLock::force(&TARGET); },
    |data: &[u8]| TARGET(data)
);
