use super::{Error, tag};
use serde::Serialize;

/// Room for the pairs of most messages, so that it is made once for each.
const PAIRS: usize = 64;

/// Writes terms to the end of a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    /// The pairs of the maps being written, outer maps first.
    pub(super) pairs: Vec<Pair>,
}

/// Where in the buffer a key is, and after it its value.
#[derive(Debug)]
pub(super) struct Pair {
    pub start: usize,
    pub value: usize,
    pub end: usize,
}

impl<'a> Writer<'a> {
    /// Starts with the version byte.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(tag::VERSION);
        Self {
            out,
            pairs: Vec::with_capacity(PAIRS),
        }
    }

    /// Begins a tuple of `arity` elements. They are the next terms.
    pub fn tuple(&mut self, arity: u8) {
        self.out.extend_from_slice(&[tag::SMALL_TUPLE, arity]);
    }

    /// An atom.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] over 255 bytes.
    pub fn atom(&mut self, name: &str) -> Result<(), Error> {
        let length = u8::try_from(name.len()).map_err(|_| Error::TooLong)?;
        self.out.extend_from_slice(&[tag::SMALL_ATOM_UTF8, length]);
        self.out.extend_from_slice(name.as_bytes());
        Ok(())
    }

    /// A payload.
    ///
    /// # Errors
    ///
    /// When the value cannot be said in the format: a map with keys that are not texts, or with a key twice; a float that is not
    /// finite; an integer of more than 64 bits.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    /// Bytes of whatever meaning. A payload has none: it is for where a message says that there are bytes.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] over 4 GiB.
    pub fn binary(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.push(tag::BINARY);
        self.u32(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// A payload from JSON text, in one pass and without a tree in between.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when the text is not JSON, and those of [`Writer::value`].
    pub fn json(&mut self, text: &str) -> Result<(), Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        serde_transcode::transcode(&mut json, &mut *self)?;
        json.end().map_err(serde::ser::Error::custom)
    }

    /// A term that is encoded already, as [`Reader::raw`](super::Reader::raw) gave it.
    pub fn raw(&mut self, term: &[u8]) {
        self.out.extend_from_slice(term);
    }

    pub(super) fn u32(&mut self, number: usize) -> Result<(), Error> {
        let number = u32::try_from(number).map_err(|_| Error::TooLong)?;
        self.out.extend_from_slice(&number.to_be_bytes());
        Ok(())
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Error> {
        self.binary(text.as_bytes())
    }

    pub(super) fn unsigned(&mut self, number: u64) {
        if let Ok(small) = u8::try_from(number) {
            self.out.extend_from_slice(&[tag::SMALL_INTEGER, small]);
        } else if let Ok(integer) = i32::try_from(number) {
            self.integer(integer);
        } else {
            self.big(number, false);
        }
    }

    pub(super) fn signed(&mut self, number: i64) {
        if let Ok(unsigned) = u64::try_from(number) {
            self.unsigned(unsigned);
        } else if let Ok(integer) = i32::try_from(number) {
            self.integer(integer);
        } else {
            self.big(number.unsigned_abs(), true);
        }
    }

    fn integer(&mut self, number: i32) {
        self.out.push(tag::INTEGER);
        self.out.extend_from_slice(&number.to_be_bytes());
    }

    /// Erlang wants no leading zeros: as many bytes as the number needs.
    fn big(&mut self, magnitude: u64, negative: bool) {
        let length = 8 - magnitude.leading_zeros() as u8 / 8;
        self.out
            .extend_from_slice(&[tag::SMALL_BIG, length, negative.into()]);
        self.out
            .extend_from_slice(&magnitude.to_le_bytes()[..length.into()]);
    }
}
