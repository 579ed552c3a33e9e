//! Terms to JSON text.

use std::fmt::Write as _;

use rustler::types::elixir_struct::get_ex_struct_name;
use rustler::{Binary, ListIterator, MapIterator, Term, TermType};

use super::{MAX_DEPTH, MAX_SIZE};

/// The text, or why there is none: the path to what cannot be written, and what it is.
pub(super) fn encode(term: Term<'_>) -> Result<Vec<u8>, String> {
    let mut encoder = Encoder {
        out: Vec::with_capacity(256),
        path: Vec::new(),
    };
    encoder.value(term).map_err(|problem| {
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
            problem
        } else {
            format!("{path}: {problem}")
        }
    })?;
    Ok(encoder.out)
}

struct Encoder<'a> {
    out: Vec<u8>,
    /// Where in the term we are; kept as it is when something is found wrong.
    path: Vec<Step<'a>>,
}

enum Step<'a> {
    Key(std::borrow::Cow<'a, [u8]>),
    Index(usize),
}

impl<'a> Encoder<'a> {
    fn value(&mut self, term: Term<'a>) -> Result<(), String> {
        if self.path.len() > MAX_DEPTH {
            self.path.truncate(8);
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        match term.get_type() {
            TermType::Map => self.map(term)?,
            TermType::List => self.list(term)?,
            TermType::Binary => self.string(text(&bytes(term)?)?)?,
            TermType::Atom => self.atom(term)?,
            TermType::Integer => self.integer(term)?,
            TermType::Float => {
                let float: f64 = term.decode().map_err(|_| "not a float".to_owned())?;
                self.scalar(&float)?;
            }
            other => return Err(format!("cannot be JSON: {}", describe(other))),
        }
        if self.out.len() > MAX_SIZE {
            return Err(format!("more than {MAX_SIZE} bytes of JSON"));
        }
        Ok(())
    }

    fn map(&mut self, map: Term<'a>) -> Result<(), String> {
        if let Ok(module) = get_ex_struct_name(map) {
            let name = module
                .to_term(map.get_env())
                .atom_to_string()
                .unwrap_or_default();
            return Err(format!(
                "cannot be JSON: a struct ({})",
                name.trim_start_matches("Elixir.")
            ));
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
                    ));
                }
            };
            self.string(text(&name).map_err(|_| "a key is not valid UTF-8")?)?;
            self.path.push(Step::Key(name));
            self.out.push(b':');
            self.value(value)?;
            self.path.pop();
        }
        self.out.push(b'}');
        Ok(())
    }

    fn list(&mut self, list: Term<'a>) -> Result<(), String> {
        // `list_length` fails for an improper list, which the iterator would take for a proper one.
        if list.list_length().is_err() {
            return Err("cannot be JSON: an improper list".into());
        }
        let items: ListIterator<'a> = list.decode().map_err(|_| "not a list")?;
        self.out.push(b'[');
        for (i, item) in items.enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.path.push(Step::Index(i));
            self.value(item)?;
            self.path.pop();
        }
        self.out.push(b']');
        Ok(())
    }

    fn atom(&mut self, term: Term<'a>) -> Result<(), String> {
        let name = term.atom_to_string().map_err(|_| "not an atom")?;
        match name.as_str() {
            "nil" => self.out.extend_from_slice(b"null"),
            "true" | "false" => self.out.extend_from_slice(name.as_bytes()),
            _ => self.string(&name)?,
        }
        Ok(())
    }

    fn integer(&mut self, term: Term<'a>) -> Result<(), String> {
        if let Ok(integer) = term.decode::<i64>() {
            self.scalar(&integer)
        } else if let Ok(integer) = term.decode::<u64>() {
            self.scalar(&integer)
        } else {
            Err("cannot be JSON: an integer of more than 64 bits".into())
        }
    }

    fn string(&mut self, text: &str) -> Result<(), String> {
        if text.len() > MAX_SIZE {
            return Err(format!("more than {MAX_SIZE} bytes of JSON"));
        }
        self.scalar(text)
    }

    fn scalar(&mut self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), String> {
        serde_json::to_writer(&mut self.out, value).map_err(|error| error.to_string())
    }
}

fn bytes(term: Term<'_>) -> Result<Binary<'_>, String> {
    term.decode()
        .map_err(|_| "cannot be JSON: a bitstring".into())
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes)
        .map_err(|error| format!("not valid UTF-8, from byte {} on", error.valid_up_to()))
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
