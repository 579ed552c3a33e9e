//! A state in a message: an atom that names it, and its info.

use crate::etf::{Error, Writer};
use serde::{Deserialize, Serialize};

/// The info of the states that have nothing to say.
#[derive(Deserialize, Serialize)]
pub(super) struct Nothing {}

pub(super) fn write(term: &mut Writer<'_>, name: &str, info: &impl Serialize) -> Result<(), Error> {
    term.atom(name)?;
    term.value(info)
}
