//! Reads maps with atom keys, with errors that name the key.

use std::time::Duration;

use rustler::{Atom, Binary, Decoder, Term};

use crate::atoms;

/// The value under `key`, if it is there and not `nil`.
pub(crate) fn optional<'a, T: Decoder<'a>>(
    map: Term<'a>,
    key: Atom,
    expected: &str,
) -> Result<Option<T>, String> {
    let Ok(value) = map.map_get(key) else {
        return Ok(None);
    };
    if value
        .decode::<Atom>()
        .is_ok_and(|atom| atom == atoms::nil())
    {
        return Ok(None);
    }
    let value = value.decode().map(Some);
    value.map_err(|_| format!(":{key:?} must be {expected}"))
}

/// The value under `key`.
pub(crate) fn required<'a, T: Decoder<'a>>(
    map: Term<'a>,
    key: Atom,
    expected: &str,
) -> Result<T, String> {
    optional(map, key, expected)?.ok_or_else(|| format!(":{key:?} must be {expected}"))
}

/// A number of milliseconds under `key`, if it is there.
pub(crate) fn milliseconds(map: Term<'_>, key: Atom) -> Result<Option<Duration>, String> {
    let value: Option<u32> = optional(map, key, "a number of milliseconds")?;
    Ok(value.map(|ms| Duration::from_millis(ms.into())))
}

/// A string of at most 4 KiB under `key`, if it is there.
pub(crate) fn short_string(map: Term<'_>, key: Atom) -> Result<Option<String>, String> {
    let Some(bytes) = optional::<Binary<'_>>(map, key, "a string")? else {
        return Ok(None);
    };
    let text = Some(bytes.as_slice())
        .filter(|bytes| bytes.len() <= 4096)
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.map(|text| Some(text.to_owned()))
        .ok_or_else(|| format!(":{key:?} must be UTF-8, at most 4096 bytes"))
}
