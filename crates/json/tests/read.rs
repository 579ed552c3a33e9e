//! What is read, beside what serde_json makes of it.

use serde_json::{Value, json};
use uro_discord_json::{Build, read};

/// Makes serde_json's tree.
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

#[test]
fn it_is_as_serde_json_has_it() {
    for text in [
        "null",
        " [true, false, -1, 18446744073709551615, 1.5, \"\\ud83d\\ude00\", {}] ",
        r#"{"a": {"b": [1]}, "a": 2}"#,
        "36893488147419103232",
    ] {
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read(Tree, text.as_bytes()).unwrap(), expected, "{text}");
    }
}

#[test]
fn half_a_surrogate_pair_is_a_replacement_character() {
    let text = br#"{"a\udc00": ["cut \ud83d", "\ud83d\ude00"]}"#;
    assert_eq!(
        read(Tree, text).unwrap(),
        json!({"a\u{fffd}": ["cut \u{fffd}", "\u{1f600}"]})
    );
}

#[test]
fn what_is_no_json_says_where() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read(Tree, deep(127).as_bytes()).is_ok());
    for text in [
        "",
        "{",
        "[1,]",
        "1e999",
        "nul",
        "1 2",
        "\"\\ud83d\" x",
        "\"\\ud83d",
        "\"\\u12\"",
        &deep(128),
        &deep(1_000_000),
    ] {
        assert!(read(Tree, text.as_bytes()).is_err());
    }
    assert!(read(Tree, b"\"\xff\"").is_err());
    let error = read(Tree, b"{\"a\": \"\\ud83d\",\n x}").unwrap_err();
    assert_eq!((error.line(), error.column()), (2, 2));
}

#[test]
fn whatever_serde_json_reads_is_read_the_same() {
    let parts = [
        "[", "]", "{", "}", ",", ":", "\"", "\\", "\\u", "d83d", "de00", "1", "-", "e9", ".", " ",
        "a", "null", "true", "\u{e9}",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200_000 {
        let text: String = (0..random.usize(0..12))
            .map(|_| parts[random.usize(0..parts.len())])
            .collect();
        let ours = read(Tree, text.as_bytes());
        match serde_json::from_str::<Value>(&text) {
            Ok(theirs) => assert_eq!(ours.unwrap(), theirs, "{text}"),
            Err(_) => assert!(ours.is_err() || text.contains("\\ud"), "{text}"),
        }
    }
}
