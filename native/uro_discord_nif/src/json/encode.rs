//! Terms to JSON text.

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
        path: Vec::new(),
        max_size,
    };
    encoder.value(term).map_err(|failure| {
        let Failure::Refused(problem) = failure else {
            return failure;
        };
        let mut path = String::new();
        for step in &encoder.path {
            let dot = if path.is_empty() { "" } else { "." };
            // Writing to a String does not fail.
            let _ = match step {
                Step::Key(key) => write!(path, "{dot}{}", String::from_utf8_lossy(key)),
                Step::Index(index) => write!(path, "{dot}{index}"),
            };
        }
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
    /// Where in the term we are; kept as it is when something is found wrong.
    path: Vec<Step<'a>>,
    max_size: usize,
}

enum Step<'a> {
    Key(std::borrow::Cow<'a, [u8]>),
    Index(usize),
}

impl<'a> Encoder<'a> {
    fn value(&mut self, term: Term<'a>) -> Result<(), Failure> {
        if self.path.len() > MAX_DEPTH {
            self.path.truncate(8);
            return Err(format!("nested deeper than {MAX_DEPTH}").into());
        }
        match term.get_type() {
            TermType::Map => self.map(term)?,
            TermType::List => self.list(term)?,
            TermType::Binary => self.string(&bytes(term)?)?,
            TermType::Atom => self.atom(term)?,
            TermType::Integer => self.integer(term)?,
            TermType::Float => {
                let float: f64 = term.decode().map_err(|_| "not a float".to_owned())?;
                self.scalar(&float)?;
            }
            other => return Err(format!("cannot be JSON: {}", describe(other)).into()),
        }
        if self.out.len() > self.max_size {
            return Err(Failure::TooLong);
        }
        Ok(())
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
        for (i, (key, value)) in entries.enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            let name = match key.get_type() {
                TermType::Binary => std::borrow::Cow::Borrowed(bytes(key)?.as_slice()),
                TermType::Atom => key
                    .atom_to_string()
                    .map_err(|_| "not an atom")?
                    .into_bytes()
                    .into(),
                other => {
                    return Err(format!(
                        "a key must be a string or an atom, not {}",
                        describe(other)
                    )
                    .into());
                }
            };
            self.string(&name).map_err(|failure| match failure {
                Failure::Refused(reason) => format!("a key is {reason}").into(),
                too_long => too_long,
            })?;
            self.path.push(Step::Key(name));
            self.out.push(b':');
            self.value(value)?;
            self.path.pop();
        }
        self.out.push(b'}');
        Ok(())
    }

    fn list(&mut self, mut list: Term<'a>) -> Result<(), Failure> {
        self.out.push(b'[');
        let mut index = 0;
        while let Ok((item, rest)) = list.list_get_cell() {
            if index > 0 {
                self.out.push(b',');
            }
            self.path.push(Step::Index(index));
            self.value(item)?;
            self.path.pop();
            index += 1;
            list = rest;
        }
        // A ListIterator would take an improper list for a proper one.
        if !list.is_empty_list() {
            return Err("cannot be JSON: an improper list".into());
        }
        self.out.push(b']');
        Ok(())
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
