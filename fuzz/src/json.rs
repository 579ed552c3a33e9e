//! The NIF's JSON.

use crate::Target;
use serde_json::Value;
use uro_discord_json::{Build, read};

pub(crate) const TARGETS: &[(&str, Target)] = &[("json-read", json)];

#[derive(Clone, Copy)]
struct Tree;

impl Build for Tree {
    type Term = Value;

    fn null(self) -> Value {
        Value::Null
    }

    fn bool(self, value: bool) -> Value {
        value.into()
    }

    fn negative(self, value: i64) -> Value {
        value.into()
    }

    fn positive(self, value: u64) -> Value {
        value.into()
    }

    fn float(self, value: f64) -> Value {
        value.into()
    }

    fn string(self, value: &str) -> Value {
        value.into()
    }

    fn list(self, items: Vec<Value>) -> Value {
        items.into()
    }

    fn object(self, keys: Vec<Value>, values: Vec<Value>) -> Option<Value> {
        let keys = keys.iter().map(|key| key.as_str().map(str::to_owned));
        let entries = keys.zip(values).map(|(key, value)| Some((key?, value)));
        Some(Value::Object(entries.collect::<Option<_>>()?))
    }
}

/// Whatever serde_json reads is read the same; what only we read has half a surrogate pair; and what is read can be written
/// and read again.
fn json(json: &[u8]) {
    let ours = read(Tree, json);
    match (ours, serde_json::from_slice::<Value>(json)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
        (Err(_), Ok(_)) => panic!("not read"),
        (Ok(ours), Err(_)) => {
            assert!(
                json.windows(3)
                    .any(|part| part.eq_ignore_ascii_case(b"\\ud"))
            );
            assert!(serde_json::to_vec(&ours).is_ok());
        }
        (Err(_), Err(_)) => {}
    }
}
