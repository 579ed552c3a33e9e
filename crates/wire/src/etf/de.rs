//! A payload as serde sees it.

use super::{Error, Reader, tag};
use serde::de::{
    self, Deserialize as _, DeserializeSeed, Visitor,
    value::{BorrowedStrDeserializer, SeqDeserializer},
};
use serde::forward_to_deserialize_any;

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.tag()? {
            tag::SMALL_INTEGER => visitor.visit_u64(self.u8()?.into()),
            tag::INTEGER => match i32::from_be_bytes(self.array()?) {
                negative @ ..0 => visitor.visit_i64(negative.into()),
                positive => visitor.visit_u64(positive.unsigned_abs().into()),
            },
            tag::SMALL_BIG => self.big(visitor),
            tag::NEW_FLOAT => match f64::from_be_bytes(self.array()?) {
                float if float.is_finite() => visitor.visit_f64(float),
                _ => Err(Error::Float),
            },
            tag::BINARY => {
                let length = self.u32()?;
                visitor.visit_borrowed_str(self.text(length)?)
            }
            tag::NIL => visitor.visit_seq(Elements {
                reader: self,
                left: 0,
            }),
            tag::STRING => {
                let length = self.u16()?;
                self.count(length)?;
                let bytes = self.take(length)?.iter().copied();
                let mut elements = SeqDeserializer::new(bytes);
                let value = visitor.visit_seq(&mut elements)?;
                elements.end()?;
                Ok(value)
            }
            tag::LIST => {
                let length = self.length(1)?;
                self.nested(|reader| {
                    let mut elements = Elements {
                        reader,
                        left: length,
                    };
                    let value = visitor.visit_seq(&mut elements)?;
                    elements.end()?;
                    match reader.u8()? {
                        tag::NIL => Ok(value),
                        _ => Err(Error::ImproperList),
                    }
                })
            }
            tag::MAP => {
                let length = self.length(2)?;
                self.nested(|reader| {
                    let mut elements = Elements {
                        reader,
                        left: length,
                    };
                    let value = visitor.visit_map(&mut elements)?;
                    elements.end()?;
                    Ok(value)
                })
            }
            atom @ (tag::ATOM | tag::ATOM_UTF8 | tag::SMALL_ATOM_UTF8) => {
                match self.atom_name(atom)? {
                    "nil" => visitor.visit_unit(),
                    "true" => visitor.visit_bool(true),
                    "false" => visitor.visit_bool(false),
                    other => Err(Error::Atom(other.into())),
                }
            }
            other => Err(Error::Tag(other)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.nil() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// One of some words; none carries anything.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let word = <&str>::deserialize(self)?;
        visitor.visit_enum(BorrowedStrDeserializer::new(word))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> Reader<'de> {
    /// Up to eight bytes, least first, after their number and the sign.
    fn big<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let [length, sign] = self.array()?;
        let digits = self.take(length.into())?;
        let mut bytes = [0; 8];
        bytes
            .get_mut(..digits.len())
            .ok_or(Error::Integer)?
            .copy_from_slice(digits);
        let magnitude = u64::from_le_bytes(bytes);
        if sign == 0 {
            return visitor.visit_u64(magnitude);
        }
        let negative = 0_i64
            .checked_sub_unsigned(magnitude)
            .ok_or(Error::Integer)?;
        visitor.visit_i64(negative)
    }
}

/// What is left of a list or a map.
struct Elements<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: usize,
}

impl Elements<'_, '_> {
    fn end(&self) -> Result<(), Error> {
        match self.left {
            0 => Ok(()),
            left => Err(Error::Shape(format!("{left} elements too many"))),
        }
    }

    fn next(&mut self) -> bool {
        let there = self.left > 0;
        self.left = self.left.saturating_sub(1);
        there
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !self.next() {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.next() {
            return Ok(None);
        }
        if self.reader.tag()? != tag::BINARY {
            return Err(Error::Key);
        }
        let length = self.reader.u32()?;
        let key = self.reader.text(length)?;
        seed.deserialize(BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}
