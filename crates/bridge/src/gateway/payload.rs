use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A payload from the gateway. Its data stays text, as Elixir wants it in another form than ours.
#[derive(Debug, PartialEq)]
pub struct Payload<'a> {
    pub op: u8,
    pub sequence: Option<u64>,
    /// The name of a dispatch; empty in other payloads.
    pub kind: Cow<'a, str>,
    /// JSON text; after [`Payload::read`] it may yet turn out to be none.
    pub data: &'a str,
}

/// The same in whatever order.
#[derive(Deserialize)]
struct Unordered<'a> {
    op: u8,
    #[serde(rename = "s")]
    sequence: Option<u64>,
    #[serde(borrow, rename = "t")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "d")]
    data: Option<&'a RawValue>,
}

impl<'a> Payload<'a> {
    /// Reads a payload. Of one as Discord writes it only the beginning is read: whether its data is JSON shows when it is
    /// encoded, and of what nobody wants it need not be known.
    ///
    /// # Errors
    ///
    /// When it is no payload.
    pub fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        match Self::in_order(text) {
            Some(payload) => Ok(payload),
            None => Self::parse(text),
        }
    }

    /// Reads all of a payload.
    ///
    /// # Errors
    ///
    /// When it is no payload.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        let payload: Unordered<'_> = serde_json::from_str(text)?;
        Ok(Self {
            op: payload.op,
            sequence: payload.sequence,
            kind: payload.kind.unwrap_or_default(),
            data: payload.data.map_or("null", RawValue::get),
        })
    }

    /// `{"t":…,"s":…,"op":…,"d":…}`, without spaces.
    fn in_order(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix(r#"{"t":"#)?;
        let (kind, text) = match text.strip_prefix('"') {
            Some(text) => text.split_once('"')?,
            None => ("", text.strip_prefix("null")?),
        };
        let (sequence, text) = text.strip_prefix(r#","s":"#)?.split_once(',')?;
        let (op, text) = text.strip_prefix(r#""op":"#)?.split_once(',')?;
        let data = text.strip_prefix(r#""d":"#)?.strip_suffix('}')?;
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if !kind.bytes().all(plain) {
            return None;
        }
        let sequence = match sequence {
            "null" => None,
            number => Some(number.parse().ok()?),
        };
        Some(Self {
            op: op.parse().ok()?,
            sequence,
            kind: kind.into(),
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A payload as Discord writes it, and the same in another order.
    const PAYLOADS: [&str; 5] = [
        r#"{"t":"MESSAGE_CREATE","s":42,"op":0,"d":{"content":",\"op\":1","x":[1,{"d":2}]}}"#,
        r#"{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}"#,
        r#"{"t":null,"s":null,"op":11,"d":null}"#,
        r#"{"op":0,"s":1,"t":"X","d":"text"}"#,
        r#"{"t":"X","s":1,"op":0,"d":{},"later":1}"#,
    ];

    #[test]
    fn a_payload_is_the_same_read_or_parsed() {
        for text in &PAYLOADS[..4] {
            let read = Payload::read(text).unwrap();
            assert_eq!(read, Payload::parse(text).unwrap(), "{text}");
        }
        let first = Payload::read(PAYLOADS[0]).unwrap();
        assert_eq!(
            (first.op, first.sequence, first.kind.as_ref()),
            (0, Some(42), "MESSAGE_CREATE")
        );
        assert_eq!(first.data, r#"{"content":",\"op\":1","x":[1,{"d":2}]}"#);
        // What follows the data shows only when all is parsed.
        assert_eq!(Payload::read(PAYLOADS[4]).unwrap().data, r#"{},"later":1"#);
        assert_eq!(Payload::parse(PAYLOADS[4]).unwrap().data, "{}");
    }

    #[test]
    fn damaged_payloads_are_refused_or_read_as_they_are_parsed() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut both = 0;
        for _ in 0..50_000 {
            let mut bytes = random
                .choice(PAYLOADS)
                .unwrap_or_default()
                .as_bytes()
                .to_vec();
            for _ in 0..random.usize(0..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(32..127);
            }
            bytes.truncate(random.usize(bytes.len() / 2..bytes.len() + 20));
            let text = String::from_utf8(bytes).unwrap();
            if let (Ok(read), Ok(parsed)) = (Payload::read(&text), Payload::parse(&text)) {
                both += 1;
                if serde_json::from_str::<serde_json::Value>(read.data).is_ok() {
                    assert_eq!(read, parsed, "{text}");
                }
            }
        }
        assert!(both > 1_000, "{both}");
    }
}
