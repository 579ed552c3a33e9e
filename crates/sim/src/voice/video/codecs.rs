//! Codecs of video, as Select Protocol has them. Each client has payload types of its own for them.

use serde_json::Value;

use crate::voice::rtp;

/// Payload types that are free to use; 96 is for probes.
const PAYLOAD_TYPES: std::ops::RangeInclusive<u64> = 97..=127;
const KNOWN: [&str; 5] = ["H264", "VP8", "VP9", "H265", "AV1"];

struct Codec {
    name: String,
    priority: u64,
    payload_type: u8,
    rtx_type: u8,
    encode: bool,
    decode: bool,
}

/// A client's codecs.
#[derive(Default)]
pub struct Codecs(Vec<Codec>);

impl Codecs {
    /// `None`: they make no sense.
    pub fn parse(codecs: &Value) -> Option<Self> {
        let mut taken = vec![96, u64::from(rtp::OPUS)];
        let mut number = |value: &Value| {
            let number = value
                .as_u64()
                .filter(|n| PAYLOAD_TYPES.contains(n) && !taken.contains(n))?;
            taken.push(number);
            u8::try_from(number).ok()
        };
        let mut own = Vec::new();
        for codec in codecs.as_array().map(Vec::as_slice).unwrap_or_default() {
            let name = codec["name"].as_str().unwrap_or_default();
            match codec["type"].as_str() {
                Some("audio") if name == "opus" && codec["payload_type"] == rtp::OPUS => {}
                Some("video") if KNOWN.contains(&name) => own.push(Codec {
                    name: name.to_owned(),
                    priority: codec["priority"]
                        .as_u64()
                        .filter(|n| n % 1000 == 0 && *n > 0)?,
                    payload_type: number(&codec["payload_type"])?,
                    rtx_type: number(&codec["rtx_payload_type"])?,
                    encode: codec["encode"] != false,
                    decode: codec["decode"] != false,
                }),
                _ => return None,
            }
        }
        Some(Self(own))
    }

    /// The one that the client sends best.
    pub fn best(&self) -> Option<&str> {
        let own = self.0.iter().filter(|codec| codec.encode);
        own.min_by_key(|codec| codec.priority)
            .map(|codec| codec.name.as_str())
    }

    /// The codec of a payload type, and whether it is a retransmission's.
    pub fn of(&self, payload_type: u8) -> Option<(&str, bool)> {
        self.0.iter().find_map(|codec| {
            let again = codec.rtx_type == payload_type;
            (again || codec.payload_type == payload_type).then_some((codec.name.as_str(), again))
        })
    }

    /// The payload type under which the client takes a codec.
    pub fn payload_type(&self, codec: &str, again: bool) -> Option<u8> {
        let own = self.0.iter().find(|own| own.name == codec && own.decode)?;
        Some(if again {
            own.rtx_type
        } else {
            own.payload_type
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn codecs_are_judged() {
        let h264 = json!({"name": "H264", "type": "video", "priority": 2000, "payload_type": 101, "rtx_payload_type": 102});
        let vp8 = json!({"name": "VP8", "type": "video", "priority": 1000, "payload_type": 105, "rtx_payload_type": 106});
        let opus = json!({"name": "opus", "type": "audio", "priority": 1000, "payload_type": 120});
        let own = Codecs::parse(&json!([opus, h264, vp8])).unwrap();
        assert_eq!(own.best(), Some("VP8"));
        assert_eq!(own.payload_type("H264", true), Some(102));
        for (key, value) in [
            ("name", json!("MPEG")),
            ("type", json!("audio")),
            ("priority", json!(1)),
            ("payload_type", json!(96)),
            ("payload_type", json!(120)),
            ("rtx_payload_type", json!(101)),
            ("rtx_payload_type", Value::Null),
        ] {
            let mut bad = h264.clone();
            bad[key] = value;
            assert!(Codecs::parse(&json!([bad])).is_none(), "{key}");
        }
    }
}
