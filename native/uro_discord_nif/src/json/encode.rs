//! Terms to JSON text.

use std::borrow::Cow;
use std::fmt::Write as _;

use rustler::types::elixir_struct::get_ex_struct_name;
use rustler::{Binary, MapIterator, Term, TermType};

use super::MAX_DEPTH;

/// Why there is no text.
pub(super) enum Failure {
    /// It would be longer than was allowed.
    TooLong,
    /// The path to what cannot be written, and what it is.
    Refused(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Self::Refused(reason.into())
    }
}

/// The text, of at most `max_size` bytes. No more work is done than that much text takes.
pub(super) fn encode(term: Term<'_>, max_size: usize) -> Result<Vec<u8>, Failure> {
    let mut encoder = Encoder {
        out: Vec::with_capacity(256),
        open: Vec::new(),
        max_size,
    };
    encoder.all(term).map_err(|failure| {
        let Failure::Refused(problem) = failure else {
            return failure;
        };
        let path = encoder.path();
        if path.is_empty() {
            problem.into()
        } else {
            format!("{path}: {problem}").into()
        }
    })?;
    Ok(encoder.out)
}

struct Encoder<'a> {
    out: Vec<u8>,
    /// What was begun and has not ended, from the outside in; kept as it is when something is found wrong. It is here and not on
    /// the stack, since that of a dirty scheduler is small, and ends the whole VM where it ends.
    open: Vec<Open<'a>>,
    max_size: usize,
}

/// A list or a map, what is left of it, and what is being written of it.
#[allow(
    clippy::large_enum_variant,
    reason = "most are maps, and a box for each would cost an allocation"
)]
enum Open<'a> {
    List(Term<'a>, Option<usize>),
    Map(MapIterator<'a>, Option<Cow<'a, [u8]>>),
}

impl<'a> Encoder<'a> {
    fn all(&mut self, term: Term<'a>) -> Result<(), Failure> {
        let mut next = Some(term);
        while let Some(term) = next {
            self.value(term)?;
            next = self.next()?;
            if self.out.len() > self.max_size {
                return Err(Failure::TooLong);
            }
        }
        Ok(())
    }

    /// Where in the term we are.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            let dot = if path.is_empty() { "" } else { "." };
            // Writing to a String does not fail.
            let _ = match open {
                Open::Map(_, Some(key)) => write!(path, "{dot}{}", String::from_utf8_lossy(key)),
                Open::List(_, Some(index)) => write!(path, "{dot}{index}"),
                Open::Map(_, None) | Open::List(_, None) => Ok(()),
            };
        }
        path
    }

    /// Writes a value, or begins a list or a map.
    fn value(&mut self, term: Term<'a>) -> Result<(), Failure> {
        if self.open.len() > MAX_DEPTH {
            self.open.truncate(8);
            return Err(format!("nested deeper than {MAX_DEPTH}").into());
        }
        match term.get_type() {
            TermType::Map => self.map(term),
            TermType::List => {
                self.out.push(b'[');
                self.open.push(Open::List(term, None));
                Ok(())
            }
            TermType::Binary => self.string(&bytes(term)?),
            TermType::Atom => self.atom(term),
            TermType::Integer => self.integer(term),
            TermType::Float => {
                let float: f64 = term.decode().map_err(|_| "not a float")?;
                self.scalar(&float)
            }
            other => Err(format!("cannot be JSON: {}", describe(other)).into()),
        }
    }

    fn map(&mut self, map: Term<'a>) -> Result<(), Failure> {
        if let Ok(module) = get_ex_struct_name(map) {
            let name = module
                .to_term(map.get_env())
                .atom_to_string()
                .unwrap_or_default();
            return Err(format!(
                "cannot be JSON: a struct ({})",
                name.trim_start_matches("Elixir.")
            )
            .into());
        }
        let entries = MapIterator::new(map).ok_or("not a map")?;
        self.out.push(b'{');
        self.open.push(Open::Map(entries, None));
        Ok(())
    }

    /// What is to be written next, where its list or map has been gone on with; ends those that have no more.
    fn next(&mut self) -> Result<Option<Term<'a>>, Failure> {
        loop {
            match self.open.last_mut() {
                None => return Ok(None),
                Some(Open::List(list, at)) => {
                    let before = at.take();
                    if let Ok((item, rest)) = list.list_get_cell() {
                        if before.is_some() {
                            self.out.push(b',');
                        }
                        *at = Some(before.map_or(0, |index| index + 1));
                        *list = rest;
                        return Ok(Some(item));
                    }
                    // A ListIterator would take an improper list for a proper one.
                    if !list.is_empty_list() {
                        return Err("cannot be JSON: an improper list".into());
                    }
                    self.out.push(b']');
                }
                Some(Open::Map(entries, at)) => {
                    let before = at.take();
                    if let Some((key, value)) = entries.next() {
                        if before.is_some() {
                            self.out.push(b',');
                        }
                        let name = self.key(key)?;
                        // It is still the last one.
                        if let Some(Open::Map(_, at)) = self.open.last_mut() {
                            *at = Some(name);
                        }
                        return Ok(Some(value));
                    }
                    self.out.push(b'}');
                }
            }
            self.open.pop();
        }
    }

    fn key(&mut self, key: Term<'a>) -> Result<Cow<'a, [u8]>, Failure> {
        let name: Cow<'a, [u8]> = match key.get_type() {
            TermType::Binary => Cow::Borrowed(bytes(key)?.as_slice()),
            TermType::Atom => {
                let name = key.atom_to_string().map_err(|_| "not an atom")?;
                Cow::Owned(name.into_bytes())
            }
            other => {
                return Err(
                    format!("a key must be a string or an atom, not {}", describe(other)).into(),
                );
            }
        };
        self.string(&name).map_err(|failure| match failure {
            Failure::Refused(reason) => format!("a key is {reason}").into(),
            too_long => too_long,
        })?;
        self.out.push(b':');
        Ok(name)
    }

    fn atom(&mut self, term: Term<'a>) -> Result<(), Failure> {
        let name = term.atom_to_string().map_err(|_| "not an atom")?;
        match name.as_str() {
            "nil" => self.out.extend_from_slice(b"null"),
            "true" | "false" => self.out.extend_from_slice(name.as_bytes()),
            _ => self.string(name.as_bytes())?,
        }
        Ok(())
    }

    fn integer(&mut self, term: Term<'a>) -> Result<(), Failure> {
        if let Ok(integer) = term.decode::<i64>() {
            self.scalar(&integer)
        } else if let Ok(integer) = term.decode::<u64>() {
            self.scalar(&integer)
        } else {
            Err("cannot be JSON: an integer of more than 64 bits".into())
        }
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() > self.max_size {
            return Err(Failure::TooLong);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| format!("not valid UTF-8, from byte {} on", error.valid_up_to()))?;
        self.scalar(text)
    }

    fn scalar(&mut self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, value)?;
        Ok(())
    }
}

fn bytes(term: Term<'_>) -> Result<Binary<'_>, String> {
    term.decode()
        .map_err(|_| "cannot be JSON: a bitstring".into())
}

fn describe(kind: TermType) -> &'static str {
    match kind {
        TermType::Tuple => "a tuple",
        TermType::Pid => "a pid",
        TermType::Ref => "a reference",
        TermType::Fun => "a function",
        TermType::Port => "a port",
        TermType::Map => "a map",
        TermType::List => "a list",
        TermType::Integer => "an integer",
        TermType::Float => "a float",
        TermType::Atom => "an atom",
        TermType::Binary => "a binary",
        TermType::Unknown => "a term of an unknown kind",
    }
}
