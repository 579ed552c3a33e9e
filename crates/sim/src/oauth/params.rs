//! Parameters of a query or a form.

use std::collections::HashSet;

use url::form_urlencoded;

/// Names and values, as they came.
#[derive(Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    pub fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// A value that is there and is not empty: <https://www.rfc-editor.org/rfc/rfc6749#section-3.1>
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A name that is there more than once, which OAuth2 forbids.
    pub fn doubled(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        let mut names = self.0.iter().map(|(name, _)| name.as_str());
        names.find(|name| !seen.insert(*name))
    }

    /// All but one.
    pub fn without<'p>(&'p self, name: &'p str) -> impl Iterator<Item = (&'p str, &'p str)> {
        let others = self.0.iter().filter(move |(key, _)| key != name);
        others.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// As a query, with another value for one of them.
    pub fn query_with(&self, name: &str, value: &str) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.without(name))
            .append_pair(name, value)
            .finish()
    }
}
