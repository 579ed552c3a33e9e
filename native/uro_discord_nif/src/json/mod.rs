//! JSON, so that Elixir needs no library for it.

mod decode;
mod encode;

use rustler::{Binary, Encoder, Env, NewBinary, Term};

use self::encode::Failure;
use crate::atoms;

/// How deep lists and maps may nest. serde_json keeps the same limit when it reads.
const MAX_DEPTH: usize = 128;

/// The longest JSON text that is read or written, in bytes.
const MAX_SIZE: usize = 32 << 20;

/// What is written on a normal scheduler, in bytes: most messages. It takes well below a millisecond, and a move to a dirty
/// scheduler costs more than the work.
const INLINE_SIZE: usize = 8 << 10;

/// `{:ok, json}` or `{:error, reason}`. Maps have binary or atom keys; `nil`, `true` and `false` are JSON's own and other
/// atoms become strings.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_encode_dirty<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    encode(env, term, MAX_SIZE).unwrap_or_else(|| {
        let reason = format!("more than {MAX_SIZE} bytes of JSON");
        (atoms::error(), reason).encode(env)
    })
}

/// The same, but `:too_long` for more than `INLINE_SIZE`.
#[rustler::nif]
fn json_encode_inline<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    encode(env, term, INLINE_SIZE).unwrap_or_else(|| atoms::too_long().encode(env))
}

fn encode<'a>(env: Env<'a>, term: Term<'a>, max_size: usize) -> Option<Term<'a>> {
    match encode::encode(term, max_size) {
        Ok(json) => {
            let mut binary = NewBinary::new(env, json.len());
            binary.as_mut_slice().copy_from_slice(&json);
            Some((atoms::ok(), Binary::from(binary)).encode(env))
        }
        Err(Failure::TooLong) => None,
        Err(Failure::Refused(reason)) => Some((atoms::error(), reason).encode(env)),
    }
}

/// `{:ok, term}` or `{:error, reason}`. Keys become binaries, `null` becomes `nil`; of a key that comes twice the last
/// value is kept. The rest is as `uro_discord_json` has it.
#[rustler::nif(schedule = "DirtyCpu")]
fn json_decode_dirty<'a>(env: Env<'a>, json: Binary<'a>) -> Term<'a> {
    decode(env, &json)
}

/// The same, for short JSON.
#[rustler::nif]
fn json_decode_inline<'a>(env: Env<'a>, json: Binary<'a>) -> Term<'a> {
    decode(env, &json)
}

fn decode<'a>(env: Env<'a>, json: &[u8]) -> Term<'a> {
    match decode::decode(env, json) {
        Ok(term) => (atoms::ok(), term).encode(env),
        Err(reason) => (atoms::error(), reason).encode(env),
    }
}
