//! Halves of surrogate pairs: `\ud83d` without a `\ude00` behind it, or the other way round.

/// What stands for a character that cannot be told.
const REPLACEMENT: &[u8; ESCAPE] = b"\\ufffd";

/// The length of `\uXXXX`.
const ESCAPE: usize = 6;

/// The text with an escape for U+FFFD in place of every half of a pair; `None` if there is no half. Its length, and so every
/// place in it, stays the same.
pub(crate) fn repaired(json: &[u8]) -> Option<Vec<u8>> {
    let mut repaired: Option<Vec<u8>> = None;
    let mut rest = json;
    // A backslash is nowhere but in a string.
    while let Some(found) = rest.iter().position(|byte| *byte == b'\\') {
        rest = rest.get(found..).unwrap_or_default();
        let length = match (escape(rest), rest.get(ESCAPE..).and_then(escape)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * ESCAPE,
            (Some(0xd800..=0xdfff), _) => {
                let at = json.len().saturating_sub(rest.len());
                let copy = repaired.get_or_insert_with(|| json.to_vec());
                if let Some(half) = copy
                    .get_mut(at..)
                    .and_then(<[u8]>::first_chunk_mut::<ESCAPE>)
                {
                    *half = *REPLACEMENT;
                }
                ESCAPE
            }
            (Some(_), _) => ESCAPE,
            // Another escape, such as of a backslash; or one that is none, which the reader will refuse.
            (None, _) => 2,
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    repaired
}

/// The code unit of the `\uXXXX` that the text begins with, if it does.
fn escape(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |code, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(code << 4 | u16::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_replaced_and_pairs_are_not() {
        for (json, expected) in [
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""\uDE00""#, Some(r#""\ufffd""#)),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\ude00\ud83d""#, Some(r#""\ufffd\ufffd""#)),
            (r#""\ud83d\\ude00""#, Some(r#""\ufffd\\ude00""#)),
            (r#""\ud83d\u0041""#, Some(r#""\ufffd\u0041""#)),
            (r#""\ud83d\ude00""#, None),
            (r#""\\ud83d""#, None),
            (r#""\\\ud83d""#, Some(r#""\\\ufffd""#)),
            (r#""\ud83""#, None),
            ("\"\\", None),
            (r#""\u00e9 \n \q""#, None),
            ("", None),
        ] {
            let repaired = repaired(json.as_bytes());
            assert_eq!(repaired.as_deref(), expected.map(str::as_bytes), "{json}");
        }
    }
}
