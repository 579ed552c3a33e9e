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

mod de;
mod error;
mod read;
mod ser;
mod skip;
mod write;

pub use error::Error;
pub use read::{MAX_DEPTH, MAX_TERMS, Reader};
pub use write::Writer;

/// The tags of the format.
mod tag {
    pub const VERSION: u8 = 131;
    pub const NEW_FLOAT: u8 = 70;
    pub const BIT_BINARY: u8 = 77;
    pub const NEW_PID: u8 = 88;
    pub const NEW_PORT: u8 = 89;
    pub const NEWER_REFERENCE: u8 = 90;
    pub const SMALL_INTEGER: u8 = 97;
    pub const INTEGER: u8 = 98;
    /// Latin-1. OTP writes it until 25, even for plain ASCII.
    pub const ATOM: u8 = 100;
    pub const SMALL_TUPLE: u8 = 104;
    pub const LARGE_TUPLE: u8 = 105;
    pub const NIL: u8 = 106;
    /// A list of bytes: what Erlang makes of every list of small integers, text or not.
    pub const STRING: u8 = 107;
    pub const LIST: u8 = 108;
    pub const BINARY: u8 = 109;
    pub const SMALL_BIG: u8 = 110;
    pub const LARGE_BIG: u8 = 111;
    pub const EXPORT: u8 = 113;
    pub const MAP: u8 = 116;
    pub const ATOM_UTF8: u8 = 118;
    pub const SMALL_ATOM_UTF8: u8 = 119;
    pub const V4_PORT: u8 = 120;
}
