//! JSON as Discord's gateway writes it: the keys of an object from the last to the first.

use serde::{Serialize, Serializer};
use serde_json::Value;

struct Backwards<'a>(&'a Value);

impl Serialize for Backwards<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(object) => {
                serializer.collect_map(object.iter().rev().map(|(key, value)| (key, Self(value))))
            }
            Value::Array(array) => serializer.collect_seq(array.iter().map(Self)),
            other => other.serialize(serializer),
        }
    }
}

pub fn write(data: &Value) -> String {
    // As `Value` itself does: neither keys nor values can fail.
    serde_json::to_string(&Backwards(data)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_backwards_at_every_depth() {
        let data = json!({"a": {"b": 1, "c": [{"d": null, "e": "é"}]}, "f": true});
        assert_eq!(
            write(&data),
            r#"{"f":true,"a":{"c":[{"e":"é","d":null}],"b":1}}"#
        );
    }
}
