use super::{MAX_DEPTH, MAX_TERMS};

/// Why bytes are not a message, or a value has no form in the format.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end within a term, or a length in them promises more than there is.
    #[error("the term is cut short")]
    Truncated,
    /// There are bytes after the term.
    #[error("there are {0} bytes after the term")]
    Trailing(usize),
    /// The first byte is not 131.
    #[error("the version byte is {0}, not 131")]
    Version(u8),
    /// A term of a kind that may not stand here: by its tag.
    #[error("a term with tag {0} cannot stand here")]
    Tag(u8),
    /// Terms within terms within terms.
    #[error("terms are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More terms than any message needs.
    #[error("there are more than {MAX_TERMS} terms")]
    TooMany,
    /// An atom that the protocol does not know here.
    #[error("the atom {0:?} cannot stand here")]
    Atom(String),
    /// An atom or a binary that is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
    /// An integer that does not fit into 64 bits.
    #[error("an integer does not fit into 64 bits")]
    Integer,
    /// Erlang has no infinities and no NaN.
    #[error("a float is not finite")]
    Float,
    /// A list that ends with something other than the empty list.
    #[error("a list is improper")]
    ImproperList,
    /// A map key that is not a binary.
    #[error("a map key is not a binary")]
    Key,
    /// A map with the same key twice, which Erlang would not take.
    #[error("a map has the key {0:?} twice")]
    DuplicateKey(String),
    /// More than 2^32 - 1 bytes or elements.
    #[error("a text, list or map is too long for the format")]
    TooLong,
    /// A tuple that is none of the protocol's messages.
    #[error("there is no message {0:?} of {1} elements")]
    Message(String, usize),
    /// A well-formed term of the wrong shape.
    #[error("{0}")]
    Shape(String),
}

impl serde::de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }
}

impl serde::ser::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }
}
