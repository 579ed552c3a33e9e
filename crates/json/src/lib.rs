//! JSON text, read into terms of the caller's making without a tree in between.
//!
//! What the standard (RFC 8259) leaves open, or others do not keep:
//!
//! - Half a surrogate pair (`"\ud83d"`), which JavaScript writes where it cuts a text, is read as U+FFFD, as browsers do.
//! - An integer of more than 64 bits is read as a float; a number that is larger than any float is an error.
//! - Of a key that comes twice the caller gets both, in order.
//! - Lists and objects nest 127 deep; deeper is an error.
//! - Nothing but white space may follow, and text must be UTF-8.
#![forbid(unsafe_code)]
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

mod surrogates;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Why there is no term, and where (line and column).
pub type Error = serde_json::Error;

/// Makes terms of the parts of a text.
pub trait Build: Copy {
    /// What is made.
    type Term;

    /// `null`.
    fn null(self) -> Self::Term;
    /// `true` or `false`.
    fn bool(self, value: bool) -> Self::Term;
    /// An integer below zero.
    fn negative(self, value: i64) -> Self::Term;
    /// An integer from zero on.
    fn positive(self, value: u64) -> Self::Term;
    /// A number with a fraction or an exponent, or of more than 64 bits.
    fn float(self, value: f64) -> Self::Term;
    /// A string or a key.
    fn string(self, value: &str) -> Self::Term;
    /// A list.
    fn list(self, items: Vec<Self::Term>) -> Self::Term;
    /// An object, as its keys and its values, of which there are as many; `None` if it cannot be made.
    fn object(self, keys: Vec<Self::Term>, values: Vec<Self::Term>) -> Option<Self::Term>;
}

/// The term of a text, in a time that is linear in its length.
///
/// # Errors
/// It is no JSON.
pub fn read<B: Build>(build: B, json: &[u8]) -> Result<B::Term, Error> {
    // The repair costs as much as the reading, so it is left for when it may help.
    strictly(build, json).or_else(|error| match surrogates::repaired(json) {
        Some(json) => strictly(build, &json),
        None => Err(error),
    })
}

fn strictly<B: Build>(build: B, json: &[u8]) -> Result<B::Term, Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let term = Reader(build).deserialize(&mut reader)?;
    reader.end()?;
    Ok(term)
}

#[derive(Clone, Copy)]
struct Reader<B>(B);

impl<'de, B: Build> DeserializeSeed<'de> for Reader<B> {
    type Value = B::Term;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<B::Term, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, B: Build> Visitor<'de> for Reader<B> {
    type Value = B::Term;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<B::Term, E> {
        Ok(self.0.null())
    }

    fn visit_bool<E>(self, value: bool) -> Result<B::Term, E> {
        Ok(self.0.bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<B::Term, E> {
        Ok(self.0.negative(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<B::Term, E> {
        Ok(self.0.positive(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<B::Term, E> {
        Ok(self.0.float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<B::Term, E> {
        Ok(self.0.string(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<B::Term, A::Error> {
        let mut terms = Vec::new();
        while let Some(term) = items.next_element_seed(self)? {
            terms.push(term);
        }
        Ok(self.0.list(terms))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<B::Term, A::Error> {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        while let Some(key) = entries.next_key_seed(self)? {
            keys.push(key);
            values.push(entries.next_value_seed(self)?);
        }
        self.0
            .object(keys, values)
            .ok_or_else(|| A::Error::custom("an object that cannot be made"))
    }
}
