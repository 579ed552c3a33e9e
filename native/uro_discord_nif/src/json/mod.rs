//! JSON, so that Elixir needs no library for it.

mod decode;
mod encode;

use rustler::{Binary, Encoder, Env, NewBinary, Term};

use crate::atoms;

/// How deep lists and maps may nest. serde_json keeps the same limit when it reads.
const MAX_DEPTH: usize = 128;

/// The longest JSON text that is read or written, in bytes.
const MAX_SIZE: usize = 32 << 20;

/// `{:ok, json}` or `{:error, reason}`. Maps have binary or atom keys; `nil`, `true` and `false` are JSON's own and other
/// atoms become strings.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_encode<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    match encode::encode(term) {
        Ok(json) => {
            let mut binary = NewBinary::new(env, json.len());
            binary.as_mut_slice().copy_from_slice(&json);
            (atoms::ok(), Binary::from(binary)).encode(env)
        }
        Err(reason) => (atoms::error(), reason).encode(env),
    }
}

/// `{:ok, term}` or `{:error, reason}`. Keys become binaries, `null` becomes `nil`; of a key that comes twice the last
/// value is kept. Integers beyond 64 bits become floats.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_decode<'a>(env: Env<'a>, json: Binary<'a>) -> Term<'a> {
    match decode::decode(env, &json) {
        Ok(term) => (atoms::ok(), term).encode(env),
        Err(reason) => (atoms::error(), reason).encode(env),
    }
}
