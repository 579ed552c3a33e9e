//! What peers of a portal send: offers, tokens, checks of ICE, messages on data channels, voice, pictures; and a peer's session as a machine.

use crate::Target;
use uro_discord_portal::fuzzing;

pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("portal-control", fuzzing::control),
    ("portal-fragment", fuzzing::fragment),
    ("portal-offer", fuzzing::offer),
    ("portal-picture", fuzzing::picture),
    ("portal-rtp", fuzzing::rtp),
    ("portal-session", fuzzing::session),
    ("portal-dtls", fuzzing::dtls),
    ("portal-stun", fuzzing::stun),
    ("portal-stage", fuzzing::stage),
    ("portal-token", fuzzing::token),
    ("portal-tv", fuzzing::tv),
    ("portal-voice", fuzzing::voice),
];
