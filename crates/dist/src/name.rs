//! Names of nodes.

use std::fmt;
use std::str::FromStr;

/// How long Erlang lets an atom be, in characters; ours are ASCII.
const MAX: usize = 255;

/// A node's full name, such as `media1@10.0.0.5`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct NodeName(String);

/// A text that is no node's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no name of a node; it is a name, @ and a host, such as media1@10.0.0.5, of letters, digits and _ - . : only"
)]
pub struct BadName(String);

impl NodeName {
    /// What is before the `@`.
    #[must_use]
    pub fn alive(&self) -> &str {
        self.0.split_once('@').map_or("", |(alive, _)| alive)
    }

    /// What is behind it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, host)| host)
    }

    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let letters = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte))
        };
        match text.split_once('@') {
            Some((alive, host)) if letters(alive) && letters(host) && text.len() <= MAX => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(BadName(text.chars().take(MAX).collect())),
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Which nodes may answer: a name in which `*` stands for anything, such as `uro@*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern(String);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether a name is of these.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.split_once(part) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_two_parts_of_plain_letters() {
        let name: NodeName = "media1@10.0.0.5".parse().unwrap();
        assert_eq!((name.alive(), name.host()), ("media1", "10.0.0.5"));
        let long = format!("{}@h", "x".repeat(300));
        for wrong in [
            "", "media1", "@h", "m@", "m@h@h", "m m@h", "m\n@h", "ü@h", &long,
        ] {
            assert!(wrong.parse::<NodeName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, matches) in [
            ("*", "uro@a", true),
            ("uro@a", "uro@a", true),
            ("uro@a", "uro@ab", false),
            ("uro@*", "uro@10.0.0.1", true),
            ("uro@*", "evil@10.0.0.1", false),
            ("*@10.0.*.1", "uro@10.0.7.1", true),
            ("*@10.0.*.1", "uro@10.1.7.1", false),
            ("uro@*", "uro@", true),
            ("a*a", "a", false),
            ("", "uro@a", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                matches,
                "{pattern} {name}"
            );
        }
    }
}
