//! A payload from serde's side. JSON does not say how long a list or a map will be, so their lengths are filled in at the end.

use super::{Error, Writer, tag, write::Pair};
use serde::ser::{self, Impossible, Serialize};

/// The tag and the length before a text.
const TEXT: usize = 5;

/// How many pairs Erlang keeps in the order of their keys; maps of more are hashed.
const ORDERED: usize = 32;

/// Pairs of more bytes stay where they are: to move them takes longer than Erlang's sorting.
const MOVED: usize = 16 * 1024;

impl<'w, 'a> ser::Serializer for &'w mut Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'w, 'a>;
    type SerializeTuple = List<'w, 'a>;
    type SerializeTupleStruct = List<'w, 'a>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Map<'w, 'a>;
    type SerializeStruct = Map<'w, 'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.atom(if value { "true" } else { "false" })
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.signed(value);
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.unsigned(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if !value.is_finite() {
            return Err(Error::Float);
        }
        self.out.push(tag::NEW_FLOAT);
        self.out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.text(value)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        Err(Error::Shape("a payload holds texts, not bytes".into()))
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.atom("nil")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.atom("nil")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.atom("nil")
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(no_variants())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'w, 'a>, Error> {
        let start = self.out.len();
        self.out.extend_from_slice(&[tag::LIST, 0, 0, 0, 0]);
        Ok(List {
            writer: self,
            start,
            length: 0,
        })
    }

    fn serialize_tuple(self, length: usize) -> Result<List<'w, 'a>, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<List<'w, 'a>, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(no_variants())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'w, 'a>, Error> {
        let start = self.out.len();
        self.out.extend_from_slice(&[tag::MAP, 0, 0, 0, 0]);
        Ok(Map {
            first_pair: self.pairs.len(),
            writer: self,
            start,
        })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Map<'w, 'a>, Error> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(no_variants())
    }
}

fn no_variants() -> Error {
    Error::Shape("a payload holds no enum with data".into())
}

/// A list being written.
pub struct List<'w, 'a> {
    writer: &'w mut Writer<'a>,
    start: usize,
    length: usize,
}

impl List<'_, '_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.length += 1;
        value.serialize(&mut *self.writer)
    }

    fn finish(self) -> Result<(), Error> {
        let out = &mut *self.writer.out;
        if self.length == 0 {
            out.truncate(self.start);
        } else {
            fill_in(out, self.start, self.length)?;
        }
        out.push(tag::NIL);
        Ok(())
    }
}

/// A map being written.
pub struct Map<'w, 'a> {
    writer: &'w mut Writer<'a>,
    start: usize,
    first_pair: usize,
}

impl Map<'_, '_> {
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let start = self.writer.out.len();
        key.serialize(&mut *self.writer)?;
        if self.writer.out[start] != tag::BINARY {
            return Err(Error::Key);
        }
        let value = self.writer.out.len();
        self.writer.pairs.push(Pair {
            start,
            value,
            end: value,
        });
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)?;
        if let Some(pair) = self.writer.pairs.last_mut() {
            pair.end = self.writer.out.len();
        }
        Ok(())
    }

    /// Puts the pairs in order. Erlang sorts those of every small map that it reads by insertion, which is slowest for keys that come
    /// backwards, as Discord's do. And it refuses a whole term in which a map has a key twice. JSON may have it, so this must
    /// see it.
    fn finish(self) -> Result<(), Error> {
        let Writer { out, pairs } = self.writer;
        let own = &mut pairs[self.first_pair..];
        let length = own.len();
        if let Some(first) = own.first().map(|pair| pair.start)
            && order(own, out)?
            && length <= ORDERED
            && out.len() - first <= MOVED
        {
            let end = out.len();
            for pair in own {
                out.extend_from_within(pair.start..pair.end);
            }
            out.copy_within(end.., first);
            out.truncate(end);
        }
        pairs.truncate(self.first_pair);
        fill_in(out, self.start, length)
    }
}

/// Orders pairs by their keys, and says whether they were not.
fn order(pairs: &mut [Pair], out: &[u8]) -> Result<bool, Error> {
    let key = |pair: &Pair| &out[pair.start + TEXT..pair.value];
    if pairs.is_sorted_by(|a, b| key(a) < key(b)) {
        return Ok(false);
    }
    if pairs.is_sorted_by(|a, b| key(a) > key(b)) {
        pairs.reverse();
        return Ok(true);
    }
    pairs.sort_unstable_by(|a, b| key(a).cmp(key(b)));
    match pairs.windows(2).find(|two| key(&two[0]) == key(&two[1])) {
        Some(twice) => Err(Error::DuplicateKey(
            String::from_utf8_lossy(key(&twice[0])).into(),
        )),
        None => Ok(true),
    }
}

/// Writes the length behind the tag at `start`.
fn fill_in(out: &mut [u8], start: usize, length: usize) -> Result<(), Error> {
    let length = u32::try_from(length).map_err(|_| Error::TooLong)?;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

impl ser::SerializeSeq for List<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.push(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTuple for List<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.push(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for List<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.push(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeMap for Map<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeStruct for Map<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.key(key)?;
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}
