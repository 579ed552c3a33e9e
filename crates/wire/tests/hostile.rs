//! Bytes that nobody honest would send: each gives an error, none a panic, a hang or a large allocation.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::Path;
use uro_discord_wire::etf::{Error, MAX_DEPTH, MAX_TERMS, Reader, Writer};
use uro_discord_wire::{FromBridge, ToBridge};

/// `{:desired, payload}` with the payload given as bytes.
fn desired(payload: &[u8]) -> Vec<u8> {
    [b"\x83\x68\x02\x77\x07desired", payload].concat()
}

fn payload(bytes: &[u8]) -> Result<Value, Error> {
    let mut term = Reader::new(bytes)?;
    let value = term.value()?;
    term.end()?;
    Ok(value)
}

fn term(body: &[u8]) -> Vec<u8> {
    [&[131], body].concat()
}

#[test]
fn lengths_that_promise_more_than_there_is() {
    let cases: [&[u8]; 9] = [
        &[108, 0xFF, 0xFF, 0xFF, 0xFF, 106],
        &[116, 0xFF, 0xFF, 0xFF, 0xFF],
        &[116, 0, 0, 0, 2, 109, 0, 0, 0],
        &[109, 0xFF, 0xFF, 0xFF, 0xFF, b'x'],
        &[107, 0xFF, 0xFF, 1],
        &[110, 8, 0, 1],
        &[119, 9, b'n', b'i', b'l'],
        &[70, 0, 0],
        &[],
    ];
    for case in cases {
        assert_eq!(payload(&term(case)), Err(Error::Truncated), "{case:?}");
        assert_eq!(
            ToBridge::decode(&desired(case)),
            Err(Error::Truncated),
            "{case:?}"
        );
    }
}

#[test]
fn what_json_cannot_say_is_no_payload() {
    let cases: [(&[u8], Error); 12] = [
        (b"\x77\x05maybe", Error::Atom("maybe".into())),
        (&[104, 0], Error::Tag(104)),
        (&[80, 0, 0, 0, 1, 0x78], Error::Tag(80)),
        (&[109, 0, 0, 0, 1, 0xFF], Error::Utf8),
        (&[100, 0, 1, 0xE9], Error::Utf8),
        (&[110, 9, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1], Error::Integer),
        (&[110, 8, 1, 1, 0, 0, 0, 0, 0, 0, 0x80], Error::Integer),
        (&[70, 0x7F, 0xF0, 0, 0, 0, 0, 0, 0], Error::Float),
        (&[70, 0x7F, 0xF8, 0, 0, 0, 0, 0, 0], Error::Float),
        (&[108, 0, 0, 0, 1, 97, 1, 97, 2], Error::ImproperList),
        (&[116, 0, 0, 0, 1, 97, 1, 97, 2], Error::Key),
        (&[97, 1, 97, 2], Error::Trailing(2)),
    ];
    for (case, error) in cases {
        assert_eq!(payload(&term(case)), Err(error), "{case:?}");
    }
}

#[test]
fn depth_and_number_of_terms_are_limited() {
    let nested = |levels: usize| {
        let mut bytes = vec![131];
        bytes.extend([108, 0, 0, 0, 1].repeat(levels));
        bytes.extend([106].repeat(levels + 1));
        bytes
    };
    assert!(payload(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(payload(&nested(MAX_DEPTH + 1)), Err(Error::TooDeep));
    assert_eq!(payload(&nested(1_000_000)), Err(Error::TooDeep));

    let flat = |terms: usize| {
        let mut bytes = vec![131, 108];
        bytes.extend(u32::try_from(terms - 1).unwrap().to_be_bytes());
        bytes.extend([106].repeat(terms));
        bytes
    };
    assert!(payload(&flat(MAX_TERMS)).is_ok());
    assert_eq!(payload(&flat(MAX_TERMS + 1)), Err(Error::TooMany));
}

#[test]
fn a_ping_holds_any_one_term_and_no_more() {
    let ping = |body: &[u8]| [b"\x83\x68\x02\x77\x04ping", body].concat();
    let node = b"\x77\x0dnonode@nohost";
    let any: [Vec<u8>; 6] = [
        [&[88], &node[..], &[0; 12]].concat(),
        [&[90, 0, 3], &node[..], &[0; 16]].concat(),
        [&[89], &node[..], &[0; 8]].concat(),
        [&[120], &node[..], &[0; 12]].concat(),
        b"\x71\x77\x01m\x77\x01f\x61\x02".to_vec(),
        [108, 0, 0, 0, 1]
            .repeat(100_000)
            .into_iter()
            .chain([106].repeat(100_001))
            .collect(),
    ];
    for body in &any {
        let message = ping(body);
        assert_eq!(ToBridge::decode(&message), Ok(ToBridge::Ping(body)));
        assert_eq!(
            ToBridge::decode(&message[..message.len() - 1]),
            Err(Error::Truncated)
        );
        assert_eq!(
            ToBridge::decode(&[&message[..], &[106]].concat()),
            Err(Error::Trailing(1))
        );
    }
    assert_eq!(ToBridge::decode(&ping(&[80, 1, 2])), Err(Error::Tag(80)));
    assert_eq!(
        ToBridge::decode(&ping(&[105, 0xFF, 0xFF, 0xFF, 0xFF])),
        Err(Error::Truncated)
    );
}

#[test]
fn unknown_messages_are_named() {
    assert_eq!(
        ToBridge::decode(b"\x83\x68\x02\x77\x05hullo\x6a"),
        Err(Error::Message("hullo".into(), 2))
    );
    assert_eq!(
        ToBridge::decode(b"\x83\x68\x01\x77\x04ping"),
        Err(Error::Message("ping".into(), 1))
    );
    assert_eq!(ToBridge::decode(b"\x82\x6a"), Err(Error::Version(130)));
    assert_eq!(ToBridge::decode(b""), Err(Error::Truncated));
    assert_eq!(ToBridge::decode(b"\x83\x6a"), Err(Error::Tag(106)));
}

#[test]
fn json_that_erlang_would_not_take_is_not_written() {
    let write = |text: &str| {
        let mut out = Vec::new();
        Writer::new(&mut out).json(text)
    };
    assert_eq!(write(r#"{"a":1,"b":{"a":1},"c":[{"a":1}]}"#), Ok(()));
    let twice = write(r#"{"a":1,"b":2,"a":3}"#).unwrap_err();
    assert!(
        twice.to_string().contains(r#"the key "a" twice"#),
        "{twice}"
    );
    // Alike at both ends, short, many.
    let object = |keys: &[String]| {
        let members: Vec<_> = keys.iter().map(|key| format!("{key:?}:0")).collect();
        format!("{{{}}}", members.join(","))
    };
    let alike = [
        "begin___x___end_of_it",
        "begin___y___end_of_it",
        "",
        "a",
        "aa",
    ]
    .map(str::to_owned);
    let many: Vec<_> = (0..200).map(|number| format!("key_{number}")).collect();
    for keys in [&alike[..], &many] {
        assert_eq!(write(&object(keys)), Ok(()));
        for key in keys {
            let twice = [keys, std::slice::from_ref(key)].concat();
            let error = write(&object(&twice)).unwrap_err().to_string();
            assert!(error.contains(&format!("the key {key:?} twice")), "{error}");
        }
    }
    assert!(matches!(write(r#"{"a":1"#), Err(Error::Shape(_))));
    assert!(matches!(write(r#"{"a":1} 2"#), Err(Error::Shape(_))));
    assert!(matches!(write("1e999"), Err(Error::Shape(_))));
    assert!(matches!(write(&"[".repeat(100_000)), Err(Error::Shape(_))));

    let mut out = Vec::new();
    assert_eq!(Writer::new(&mut out).value(&f64::NAN), Err(Error::Float));
    assert_eq!(
        Writer::new(&mut out).value(
            &[((), 1)]
                .into_iter()
                .collect::<std::collections::BTreeMap<_, _>>()
        ),
        Err(Error::Key)
    );
}

#[test]
fn small_maps_are_in_the_order_of_their_keys() {
    let write = |text: &str| {
        let mut out = Vec::new();
        Writer::new(&mut out).json(text).unwrap();
        out
    };
    let ordered = write(r#"{"":0,"a":{"c":[{},{"x":1,"y":2}],"d":"text"},"aa":3,"b":4}"#);
    for text in [
        r#"{"b":4,"aa":3,"a":{"d":"text","c":[{},{"y":2,"x":1}]},"":0}"#,
        r#"{"aa":3,"b":4,"":0,"a":{"c":[{},{"x":1,"y":2}],"d":"text"}}"#,
    ] {
        assert_eq!(write(text), ordered, "{text}");
    }
    // Others are as they were, and whole.
    let mut random = fastrand::Rng::with_seed(1);
    for (keys, length) in [(32, 20), (33, 20), (5, 10_000)] {
        let mut members: Vec<_> = (0..keys)
            .map(|key| format!("\"{key}\":{:?}", "x".repeat(length)))
            .collect();
        random.shuffle(&mut members);
        let text = format!("{{{}}}", members.join(","));
        let bytes = write(&text);
        let read: Value = Reader::new(&bytes).unwrap().value().unwrap();
        assert_eq!(read, serde_json::from_str::<Value>(&text).unwrap());
    }
}

/// Takes a decoder through every golden message, thousands of times, each time with some bytes changed, cut or added.
/// What still decodes must survive being encoded and decoded again.
#[test]
fn mutated_messages_never_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    for folder in ["to_bridge", "from_bridge"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../test/fixtures/wire")
            .join(folder);
        for file in std::fs::read_dir(path).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "etf") {
                continue;
            }
            let golden = std::fs::read(file).unwrap();
            for _ in 0..2_000 {
                let mut bytes = golden.clone();
                for _ in 0..random.usize(1..6) {
                    match random.u8(0..4) {
                        0 => bytes.truncate(random.usize(0..=bytes.len())),
                        1 => bytes.insert(random.usize(0..=bytes.len()), random.u8(..)),
                        _ if bytes.is_empty() => {}
                        2 => drop(bytes.remove(random.usize(0..bytes.len()))),
                        _ => {
                            let at = random.usize(0..bytes.len());
                            bytes[at] = random.u8(..);
                        }
                    }
                }
                survives(&bytes);
            }
        }
    }
    for _ in 0..20_000 {
        let mut bytes = vec![0; random.usize(0..64)];
        random.fill(&mut bytes);
        survives(&bytes);
        survives(&term(&bytes));
    }
}

fn survives(bytes: &[u8]) {
    if let Ok(message) = ToBridge::decode(bytes) {
        let mut again = Vec::new();
        message.encode(&mut again).unwrap();
        assert_eq!(ToBridge::decode(&again), Ok(message));
    }
    if let Ok(message) = FromBridge::decode(bytes) {
        let mut again = Vec::new();
        match message.encode(&mut again) {
            Ok(()) => assert!(FromBridge::decode(&again).is_ok()),
            // A map with a key twice is read as JSON text that has it twice.
            Err(error) => assert!(error.to_string().contains("twice"), "{error}"),
        }
    }
}
