use super::{Error, Reader, tag};

impl Reader<'_> {
    /// Passes over one term of any kind. It does not recurse, so depth is no matter here; and what cannot be in a message
    /// between two programs that do not share code (functions, compressed or very old forms) is refused.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        let mut pending: usize = 1;
        while pending > 0 {
            pending -= 1;
            match self.tag()? {
                tag::NIL => {}
                tag::SMALL_INTEGER => self.pass(1)?,
                tag::INTEGER => self.pass(4)?,
                tag::NEW_FLOAT => self.pass(8)?,
                atom @ (tag::SMALL_ATOM_UTF8 | tag::ATOM | tag::ATOM_UTF8) => {
                    // Before OTP 26 an atom may be Latin-1: only its length matters.
                    let length = if atom == tag::SMALL_ATOM_UTF8 {
                        self.u8()?.into()
                    } else {
                        self.u16()?
                    };
                    self.pass(length)?;
                }
                tag::STRING => {
                    let length = self.u16()?;
                    self.pass(length)?;
                }
                tag::BINARY => {
                    let length = self.u32()?;
                    self.pass(length)?;
                }
                tag::BIT_BINARY => {
                    let length = self.u32()?;
                    self.pass(1)?;
                    self.pass(length)?;
                }
                tag::SMALL_BIG => {
                    let length = usize::from(self.u8()?);
                    self.pass(1 + length)?;
                }
                tag::LARGE_BIG => {
                    let length = self.u32()?;
                    self.pass(1)?;
                    self.pass(length)?;
                }
                tag::SMALL_TUPLE => pending += usize::from(self.u8()?),
                tag::LARGE_TUPLE => pending += self.length(1)?,
                // The tail is a term too.
                tag::LIST => pending += self.length(1)? + 1,
                tag::MAP => pending += 2 * self.length(2)?,
                tag::EXPORT => pending += 3,
                // A node's name and a fixed rest; the atom is checked before what follows it.
                tag::NEW_PID => self.node(12)?,
                tag::NEW_PORT => self.node(8)?,
                tag::V4_PORT => self.node(12)?,
                tag::NEWER_REFERENCE => {
                    let words = self.u16()?;
                    self.node(4 + 4 * words)?;
                }
                other => return Err(Error::Tag(other)),
            }
        }
        Ok(())
    }

    fn node(&mut self, rest: usize) -> Result<(), Error> {
        self.atom()?;
        self.pass(rest)
    }

    fn pass(&mut self, length: usize) -> Result<(), Error> {
        self.take(length).map(drop)
    }
}
