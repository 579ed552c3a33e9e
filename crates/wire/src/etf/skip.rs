use super::{Error, Reader, tag};

impl Reader<'_> {
    /// Passes over one term of any kind. It does not recurse, so depth is no matter here; and what cannot be in a message
    /// between two programs that do not share code (functions, compressed or very old forms) is refused.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        let mut pending: usize = 1;
        while let Some(left) = pending.checked_sub(1) {
            let inside = match self.tag()? {
                tag::NIL => 0,
                tag::SMALL_INTEGER => self.pass(1)?,
                tag::INTEGER => self.pass(4)?,
                tag::NEW_FLOAT => self.pass(8)?,
                // Before OTP 26 an atom may be Latin-1: only its length matters.
                tag::SMALL_ATOM_UTF8 => {
                    let length = self.u8()?;
                    self.pass(length.into())?
                }
                tag::ATOM | tag::ATOM_UTF8 | tag::STRING => {
                    let length = self.u16()?;
                    self.pass(length)?
                }
                tag::BINARY => {
                    let length = self.u32()?;
                    self.pass(length)?
                }
                tag::SMALL_BIG => {
                    let length = self.u8()?;
                    self.pass(1)?;
                    self.pass(length.into())?
                }
                tag::BIT_BINARY | tag::LARGE_BIG => {
                    let length = self.u32()?;
                    self.pass(1)?;
                    self.pass(length)?
                }
                tag::SMALL_TUPLE => self.u8()?.into(),
                tag::LARGE_TUPLE => self.length(1)?,
                // The tail is a term too.
                tag::LIST => self.length(1)?.saturating_add(1),
                tag::MAP => self.length(2)?.saturating_mul(2),
                tag::EXPORT => 3,
                // A node's name and a fixed rest; the atom is checked before what follows it.
                tag::NEW_PID | tag::V4_PORT => self.node(12)?,
                tag::NEW_PORT => self.node(8)?,
                tag::NEWER_REFERENCE => {
                    let words = self.u16()?;
                    self.node(words.saturating_mul(4).saturating_add(4))?
                }
                other => return Err(Error::Tag(other)),
            };
            pending = left.saturating_add(inside);
        }
        Ok(())
    }

    /// As `pass`.
    fn node(&mut self, rest: usize) -> Result<usize, Error> {
        self.atom()?;
        self.pass(rest)
    }

    /// Passes over bytes; there are no terms inside.
    fn pass(&mut self, length: usize) -> Result<usize, Error> {
        self.take(length).map(|_| 0)
    }
}
