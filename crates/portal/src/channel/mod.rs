//! What data channels carry: `vsk-voice`, `vsk-video` and `vsk-control`.

pub(crate) mod control;
pub(crate) mod video;
pub(crate) mod voice;

/// The labels by which the offerer makes them.
pub(crate) const CONTROL: &str = "vsk-control";
pub(crate) const VIDEO: &str = "vsk-video";
pub(crate) const VOICE: &str = "vsk-voice";
