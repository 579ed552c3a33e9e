//! Discord's checks of what a message is made of, with its errors (code 50035).

mod component;
mod embed;
mod message;
mod modal;

use serde_json::{Map, Value};

pub use self::{
    message::{AllowedMentions, AttachmentForm, MessageForm},
    modal::modal,
};
use super::FormErrors;

/// An object of a form.
pub type Object = Map<String, Value>;

/// A walk through a form, which collects what is wrong and where.
#[derive(Debug, Default)]
pub struct Check {
    path: Vec<String>,
    pub errors: FormErrors,
}

impl Check {
    /// Something is wrong with the value under `key`.
    pub fn fail(&mut self, key: &str, code: &str, message: impl Into<String>) {
        self.at(key, |check| check.fail_here(code, message));
    }

    /// Something is wrong with the value that is walked through.
    pub fn fail_here(&mut self, code: &str, message: impl Into<String>) {
        self.errors.add(&self.path, code, message);
    }

    /// Walks into the value under `key`.
    pub fn at<T>(&mut self, key: &str, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let result = walk(self);
        self.path.pop();
        result
    }

    /// The value under `key`; `null` is the same as none.
    fn value<'v>(object: &'v Object, key: &str) -> Option<&'v Value> {
        object.get(key).filter(|value| !value.is_null())
    }

    /// A required field is not there.
    pub fn missing(&mut self, key: &str) {
        self.fail(key, "BASE_TYPE_REQUIRED", "This field is required");
    }

    /// A field is there that the simulator does not know: to ignore it would be to lie.
    pub fn not_simulated(&mut self, key: &str) {
        let message = format!("discord-sim does not have `{key}`.");
        self.fail(key, "NOT_SIMULATED", message);
    }

    /// None of these fields is simulated. Who leaves them out, or says `null`, asks for nothing.
    pub fn none_simulated(&mut self, object: &Object, keys: &[&str]) {
        for key in keys {
            if Self::value(object, key).is_some() {
                self.not_simulated(key);
            }
        }
    }

    /// A text of at most `max` characters.
    pub fn text(&mut self, object: &Object, key: &str, max: usize) -> Option<String> {
        self.text_between(object, key, 0, max)
    }

    /// A text of `min` to `max` characters.
    pub fn text_between(
        &mut self,
        object: &Object,
        key: &str,
        min: usize,
        max: usize,
    ) -> Option<String> {
        let value = Self::value(object, key)?;
        let Some(text) = value.as_str() else {
            self.fail(
                key,
                "STRING_TYPE_CONVERT",
                format!("Could not interpret \"{value}\" as string."),
            );
            return None;
        };
        let length = text.chars().count();
        if length > max && min == 0 {
            self.fail(
                key,
                "BASE_TYPE_MAX_LENGTH",
                format!("Must be {max} or fewer in length."),
            );
        } else if !(min..=max).contains(&length) {
            self.fail(
                key,
                "BASE_TYPE_BAD_LENGTH",
                format!("Must be between {min} and {max} in length."),
            );
        }
        Some(text.to_owned())
    }

    /// A text that must be there.
    pub fn required_text(&mut self, object: &Object, key: &str, max: usize) -> Option<String> {
        match self.text(object, key, max) {
            Some(text) if text.trim().is_empty() => {
                self.missing(key);
                None
            }
            None if Self::value(object, key).is_none() => {
                self.missing(key);
                None
            }
            text => text,
        }
    }

    /// An `http` or `https` address; in an embed's pictures also `attachment://`.
    pub fn url(&mut self, object: &Object, key: &str, attachment: bool) -> Option<String> {
        let url = self.text(object, key, 2_048)?;
        let schemes: &[&str] = if attachment {
            &["http", "https", "attachment"]
        } else {
            &["http", "https"]
        };
        match url.split_once("://") {
            Some((scheme, rest)) if schemes.contains(&scheme) && !rest.is_empty() => {}
            Some((scheme, _)) => {
                let names: Vec<String> =
                    schemes.iter().map(|scheme| format!("'{scheme}'")).collect();
                let message = format!("Scheme \"{scheme}\" must be one of ({}).", names.join(", "));
                self.fail(key, "URL_TYPE_INVALID_SCHEME", message);
            }
            None => self.fail(key, "URL_TYPE_INVALID_URL", "Not a well formed URL."),
        }
        Some(url)
    }

    /// An integer from 0 to `max`.
    pub fn integer(&mut self, object: &Object, key: &str, max: u64) -> Option<u64> {
        let value = Self::value(object, key)?;
        let Some(number) = value
            .as_i64()
            .map(i128::from)
            .or(value.as_u64().map(i128::from))
        else {
            self.fail(
                key,
                "NUMBER_TYPE_COERCE",
                format!("Value \"{}\" is not int.", plain(value)),
            );
            return None;
        };
        if number < 0 {
            self.fail(
                key,
                "NUMBER_TYPE_MIN",
                "int value should be greater than or equal to 0.",
            );
        } else if number > i128::from(max) {
            self.fail(
                key,
                "NUMBER_TYPE_MAX",
                format!("int value should be less than or equal to {max}."),
            );
        }
        u64::try_from(number).ok()
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, object: &Object, key: &str) -> Option<bool> {
        let value = Self::value(object, key)?;
        let boolean = value.as_bool();
        if boolean.is_none() {
            self.fail(key, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.");
        }
        boolean
    }

    /// An id, as a string or a number.
    pub fn snowflake(&mut self, value: &Value) -> Option<crate::id::Id> {
        let text = plain(value);
        let id = text.parse().ok();
        if id.is_none() {
            self.fail_here(
                "NUMBER_TYPE_COERCE",
                format!("Value \"{text}\" is not snowflake."),
            );
        }
        id
    }

    /// A list of at most `max` values.
    pub fn list<'v>(&mut self, object: &'v Object, key: &str, max: usize) -> Option<&'v [Value]> {
        let value = Self::value(object, key)?;
        let Value::Array(list) = value else {
            self.fail(
                key,
                "LIST_TYPE_CONVERT",
                "Only iterables may be used in a ListType",
            );
            return None;
        };
        if list.len() > max {
            self.fail(
                key,
                "BASE_TYPE_MAX_LENGTH",
                format!("Must be {max} or fewer in length."),
            );
            return None;
        }
        Some(list)
    }

    /// A list of `min` to `max` values that must be there.
    pub fn filled_list<'v>(
        &mut self,
        object: &'v Object,
        key: &str,
        min: usize,
        max: usize,
    ) -> &'v [Value] {
        match self.list(object, key, usize::MAX) {
            Some(list) if (min..=max).contains(&list.len()) => list,
            Some(_) => {
                self.fail(
                    key,
                    "BASE_TYPE_BAD_LENGTH",
                    format!("Must be between {min} and {max} in length."),
                );
                &[]
            }
            None if Self::value(object, key).is_none() => {
                self.missing(key);
                &[]
            }
            None => &[],
        }
    }

    /// Walks through the objects of a list; what `walk` makes of each is kept.
    pub fn each<T>(
        &mut self,
        list: &[Value],
        mut walk: impl FnMut(&mut Self, &Object) -> Option<T>,
    ) -> Vec<T> {
        let walked = list.iter().enumerate().map(|(index, value)| {
            self.at(&index.to_string(), |check| {
                let object = check.object_here(value)?;
                walk(check, object)
            })
        });
        walked.flatten().collect()
    }

    /// The object under `key`.
    pub fn object<'v>(&mut self, object: &'v Object, key: &str) -> Option<&'v Object> {
        let value = Self::value(object, key)?;
        self.at(key, |check| check.object_here(value))
    }

    fn object_here<'v>(&mut self, value: &'v Value) -> Option<&'v Object> {
        let object = value.as_object();
        if object.is_none() {
            self.fail_here(
                "DICT_TYPE_CONVERT",
                "Only dictionaries may be used in a DictType",
            );
        }
        object
    }
}

/// A value without the quotes of a string.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
