//! What data channels carry: `vsk-voice` and `vsk-control`.

pub(crate) mod control;
pub(crate) mod voice;

/// The labels by which the offerer makes them.
pub(crate) const CONTROL: &str = "vsk-control";
pub(crate) const VOICE: &str = "vsk-voice";
