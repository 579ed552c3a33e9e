use super::{Error, tag};
use serde::Deserialize;

/// How deep lists, maps and tuples may be nested.
pub const MAX_DEPTH: usize = 128;

/// How many terms one message may hold. A term of one byte can cost tens of bytes in memory: this bounds the total.
pub const MAX_TERMS: usize = 1 << 20;

/// Reads terms from a byte slice, borrowing from it.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
    terms: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the version byte.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] and [`Error::Version`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Self {
            rest: bytes,
            depth: 0,
            terms: 0,
        };
        match reader.u8()? {
            tag::VERSION => Ok(reader),
            other => Err(Error::Version(other)),
        }
    }

    /// The number of elements of the tuple that begins here. They are the next terms.
    ///
    /// # Errors
    ///
    /// [`Error::Tag`] when it is not a tuple, and those of any term.
    pub fn tuple(&mut self) -> Result<usize, Error> {
        match self.tag()? {
            tag::SMALL_TUPLE => Ok(self.u8()?.into()),
            tag::LARGE_TUPLE => self.u32(),
            other => Err(Error::Tag(other)),
        }
    }

    /// An atom's name.
    ///
    /// # Errors
    ///
    /// [`Error::Tag`] when it is not an atom, and those of any term.
    pub fn atom(&mut self) -> Result<&'a str, Error> {
        let tag = self.tag()?;
        self.atom_name(tag)
    }

    /// A payload as a `T`, which may borrow its texts.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when it is not a `T`, and those of any term.
    pub fn value<T: Deserialize<'a>>(&mut self) -> Result<T, Error> {
        T::deserialize(self)
    }

    /// Bytes of whatever meaning.
    ///
    /// # Errors
    ///
    /// [`Error::Tag`] when it is not a binary, and those of any term.
    pub fn binary(&mut self) -> Result<&'a [u8], Error> {
        match self.tag()? {
            tag::BINARY => {
                let length = self.u32()?;
                self.take(length)
            }
            other => Err(Error::Tag(other)),
        }
    }

    /// A payload as JSON text.
    ///
    /// # Errors
    ///
    /// Those of any term.
    pub fn json(&mut self) -> Result<String, Error> {
        let mut text = Vec::new();
        serde_transcode::transcode(&mut *self, &mut serde_json::Serializer::new(&mut text))
            .map_err(serde::de::Error::custom)?;
        String::from_utf8(text).map_err(|_| Error::Utf8)
    }

    /// The encoded bytes of the term that begins here, whatever it is.
    ///
    /// # Errors
    ///
    /// Those of any term.
    pub fn raw(&mut self) -> Result<&'a [u8], Error> {
        let start = self.rest;
        self.skip()?;
        let length = start.len().saturating_sub(self.rest.len());
        start.get(..length).ok_or(Error::Truncated)
    }

    /// Ends the message.
    ///
    /// # Errors
    ///
    /// [`Error::Trailing`] when bytes are left.
    pub fn end(self) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Error::Trailing(left)),
        }
    }

    /// The tag of the next term, counted.
    pub(super) fn tag(&mut self) -> Result<u8, Error> {
        self.count(1)?;
        self.u8()
    }

    /// Passes over the atom `nil`, if that is what comes.
    pub(super) fn nil(&mut self) -> bool {
        let forms: [&[u8]; 3] = [b"\x77\x03nil", b"\x64\x00\x03nil", b"\x76\x00\x03nil"];
        let after = forms.iter().find_map(|form| self.rest.strip_prefix(*form));
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    pub(super) fn count(&mut self, terms: usize) -> Result<(), Error> {
        self.terms = self.terms.saturating_add(terms);
        if self.terms > MAX_TERMS {
            return Err(Error::TooMany);
        }
        Ok(())
    }

    /// Runs `read` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let above = self.depth;
        if above >= MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        self.depth = above.saturating_add(1);
        let result = read(self);
        self.depth = above;
        result
    }

    pub(super) fn atom_name(&mut self, tag: u8) -> Result<&'a str, Error> {
        let length = match tag {
            tag::SMALL_ATOM_UTF8 => self.u8()?.into(),
            tag::ATOM | tag::ATOM_UTF8 => self.u16()?,
            other => return Err(Error::Tag(other)),
        };
        self.text(length)
    }

    pub(super) fn text(&mut self, length: usize) -> Result<&'a str, Error> {
        std::str::from_utf8(self.take(length)?).map_err(|_| Error::Utf8)
    }

    /// A length of that many terms (of at least one byte each), so that it cannot promise more than is there.
    pub(super) fn length(&mut self, bytes_each: usize) -> Result<usize, Error> {
        let length = self.u32()?;
        if length.saturating_mul(bytes_each) > self.rest.len() {
            return Err(Error::Truncated);
        }
        Ok(length)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn u16(&mut self) -> Result<usize, Error> {
        Ok(u16::from_be_bytes(self.array()?).into())
    }

    pub(super) fn u32(&mut self) -> Result<usize, Error> {
        Ok(u32::from_be_bytes(self.array()?) as usize)
    }
}
