//! Erlang's [external term format], as far as the protocol needs it.
//!
//! A message is a tuple of atoms, numbers and payloads, read with [`Reader`] and written with [`Writer`]. A payload is what JSON
//! can say, and both are serde data formats for it: `nil`, `true`, `false`, integers of 64 bits, floats, UTF-8 binaries,
//! lists, and maps with binary keys. So a payload becomes any type that has `Deserialize`, and JSON text becomes a payload
//! in one pass ([`Writer::json`]).
//!
//! Reading trusts nothing: every length is held against the bytes that are there before any memory is taken for it, and
//! both the depth ([`MAX_DEPTH`]) and the number of terms ([`MAX_TERMS`]) are limited.
//!
//! [external term format]: https://www.erlang.org/doc/apps/erts/erl_ext_dist.html
#![warn(
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    unreachable_pub
)]
#![cfg_attr(
    test,
    allow(
        clippy::pedantic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a test that panics has failed"
    )
)]

mod de;
mod error;
mod read;
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "places are in what it wrote itself"
)]
mod ser;
mod skip;
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "places are in what it wrote itself"
)]
mod write;

pub use error::Error;
pub use read::{MAX_DEPTH, MAX_TERMS, Reader};
pub use write::Writer;

/// The tags of the format.
mod tag {
    pub(super) const VERSION: u8 = 131;
    pub(super) const NEW_FLOAT: u8 = 70;
    pub(super) const BIT_BINARY: u8 = 77;
    pub(super) const NEW_PID: u8 = 88;
    pub(super) const NEW_PORT: u8 = 89;
    pub(super) const NEWER_REFERENCE: u8 = 90;
    pub(super) const SMALL_INTEGER: u8 = 97;
    pub(super) const INTEGER: u8 = 98;
    /// Latin-1. OTP writes it until 25, even for plain ASCII.
    pub(super) const ATOM: u8 = 100;
    pub(super) const SMALL_TUPLE: u8 = 104;
    pub(super) const LARGE_TUPLE: u8 = 105;
    pub(super) const NIL: u8 = 106;
    /// A list of bytes: what Erlang makes of every list of small integers, text or not.
    pub(super) const STRING: u8 = 107;
    pub(super) const LIST: u8 = 108;
    pub(super) const BINARY: u8 = 109;
    pub(super) const SMALL_BIG: u8 = 110;
    pub(super) const LARGE_BIG: u8 = 111;
    pub(super) const EXPORT: u8 = 113;
    pub(super) const MAP: u8 = 116;
    pub(super) const ATOM_UTF8: u8 = 118;
    pub(super) const SMALL_ATOM_UTF8: u8 = 119;
    pub(super) const V4_PORT: u8 = 120;
}
