//! JSON text to terms, without a tree in between. What is read, and how, is in `crates/json`.

use rustler::{Encoder, Env, NewBinary, Term};
use uro_discord_json::Build;

use super::MAX_SIZE;
use crate::atoms;

/// The term, or why there is none and where (line and column).
pub(super) fn decode<'a>(env: Env<'a>, json: &[u8]) -> Result<Term<'a>, String> {
    if json.len() > MAX_SIZE {
        return Err(format!("more than {MAX_SIZE} bytes of JSON"));
    }
    uro_discord_json::read(Terms(env), json).map_err(|error| error.to_string())
}

#[derive(Clone, Copy)]
struct Terms<'a>(Env<'a>);

impl<'a> Build for Terms<'a> {
    type Term = Term<'a>;

    fn null(self) -> Term<'a> {
        atoms::nil().to_term(self.0)
    }

    fn bool(self, value: bool) -> Term<'a> {
        value.encode(self.0)
    }

    fn negative(self, value: i64) -> Term<'a> {
        value.encode(self.0)
    }

    fn positive(self, value: u64) -> Term<'a> {
        value.encode(self.0)
    }

    fn float(self, value: f64) -> Term<'a> {
        value.encode(self.0)
    }

    fn string(self, value: &str) -> Term<'a> {
        NewBinary::from_slice(self.0, value.as_bytes()).into()
    }

    fn list(self, items: Vec<Term<'a>>) -> Term<'a> {
        items.encode(self.0)
    }

    fn object(self, keys: Vec<Term<'a>>, values: Vec<Term<'a>>) -> Option<Term<'a>> {
        Term::map_from_term_arrays(self.0, &keys, &values)
            // A key comes twice.
            .or_else(|_| {
                keys.into_iter()
                    .zip(values)
                    .try_fold(Term::map_new(self.0), |map, (key, value)| {
                        map.map_put(key, value)
                    })
            })
            .ok()
    }
}
