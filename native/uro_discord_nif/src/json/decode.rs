//! JSON text to terms, without a tree in between.

use std::fmt;

use rustler::{Encoder, Env, NewBinary, Term};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::MAX_SIZE;
use crate::atoms;

/// The term, or why there is none and where (line and column).
pub(super) fn decode<'a>(env: Env<'a>, json: &[u8]) -> Result<Term<'a>, String> {
    if json.len() > MAX_SIZE {
        return Err(format!("more than {MAX_SIZE} bytes of JSON"));
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let term = ToTerm(env)
        .deserialize(&mut reader)
        .map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(term)
}

#[derive(Clone, Copy)]
struct ToTerm<'a>(Env<'a>);

impl<'de, 'a> DeserializeSeed<'de> for ToTerm<'a> {
    type Value = Term<'a>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Term<'a>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, 'a> Visitor<'de> for ToTerm<'a> {
    type Value = Term<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Term<'a>, E> {
        Ok(atoms::nil().to_term(self.0))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Term<'a>, E> {
        Ok(value.encode(self.0))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Term<'a>, E> {
        Ok(value.encode(self.0))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Term<'a>, E> {
        Ok(value.encode(self.0))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Term<'a>, E> {
        Ok(value.encode(self.0))
    }

    fn visit_str<E>(self, value: &str) -> Result<Term<'a>, E> {
        Ok(NewBinary::from_slice(self.0, value.as_bytes()).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Term<'a>, A::Error> {
        let mut terms = Vec::new();
        while let Some(term) = items.next_element_seed(self)? {
            terms.push(term);
        }
        Ok(terms.encode(self.0))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Term<'a>, A::Error> {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        while let Some(key) = entries.next_key_seed(self)? {
            keys.push(key);
            values.push(entries.next_value_seed(self)?);
        }
        match Term::map_from_term_arrays(self.0, &keys, &values) {
            Ok(map) => Ok(map),
            // A key comes twice.
            Err(_) => {
                keys.into_iter()
                    .zip(values)
                    .try_fold(Term::map_new(self.0), |map, (key, value)| {
                        map.map_put(key, value)
                            .map_err(|_| A::Error::custom("not a map"))
                    })
            }
        }
    }
}
