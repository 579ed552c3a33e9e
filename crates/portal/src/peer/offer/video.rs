//! The formats of an offer's video that a portal passes on.

use std::collections::BTreeMap;

use uro_discord_media::VideoCodec;

/// Formats that are kept. Browsers offer VP8 and four profiles of H.264.
const FORMATS: usize = 8;

/// Characters of a format's parameters.
const PARAMETERS: usize = 256;

/// What a receiver may say of a format. (Transport-wide congestion control is for those who send to us.)
const FEEDBACK: [(&str, &str); 5] = [
    ("nack", ""),
    ("nack", "pli"),
    ("ccm", "fir"),
    ("goog-remb", ""),
    ("transport-cc", ""),
];

/// A format that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) payload_type: u8,
    pub(crate) codec: VideoCodec,
    /// Its parameters as they were offered.
    pub(crate) parameters: String,
    pub(crate) feedback: Vec<(&'static str, &'static str)>,
    /// The payload type of its retransmissions (RFC 4588).
    pub(crate) rtx: Option<u8>,
}

impl Offered {
    /// H.264's `profile_idc`; 0 for VP8.
    pub(crate) fn profile(&self) -> u8 {
        /// RFC 6184: who says nothing has the baseline profile.
        const BASELINE: u8 = 66;
        match self.codec {
            VideoCodec::Vp8 => 0,
            VideoCodec::H264 => parameter(&self.parameters, "profile-level-id")
                .and_then(|id| u8::from_str_radix(id.get(..2)?, 16).ok())
                .unwrap_or(BASELINE),
        }
    }
}

/// What is said of one payload type.
#[derive(Default)]
struct Said<'a> {
    codec: &'a str,
    parameters: &'a str,
    feedback: Vec<(&'static str, &'static str)>,
}

/// Finds what can be answered. `lines` are all `rtpmap`, `fmtp` and `rtcp-fb`; `types` the payload types in their order.
pub(super) fn formats(types: &[&str], lines: &[&str]) -> Vec<Offered> {
    let mut said: BTreeMap<u8, Said<'_>> = BTreeMap::new();
    let mut everywhere = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let (kind, value) = value.split_once(' ').unwrap_or_default();
        let value = value.trim();
        let feedback = || {
            let (kind, parameter) = value.split_once(' ').unwrap_or((value, ""));
            FEEDBACK
                .into_iter()
                .find(|it| *it == (kind, parameter.trim()))
        };
        if (name, kind) == ("rtcp-fb", "*") {
            everywhere.extend(feedback());
            continue;
        }
        let Ok(kind) = kind.parse::<u8>() else {
            continue;
        };
        if kind >= 128 {
            continue;
        }
        let said = said.entry(kind).or_default();
        match name {
            "rtpmap" => said.codec = value,
            "fmtp" => said.parameters = value,
            "rtcp-fb" => {
                let new = feedback().filter(|it| !said.feedback.contains(it));
                said.feedback.extend(new);
            }
            _ => {}
        }
    }
    let offered = |kind: u8| types.iter().any(|it| it.parse() == Ok(kind));
    let mut formats: Vec<Offered> = Vec::new();
    for kind in types.iter().filter_map(|kind| kind.parse::<u8>().ok()) {
        // Before anything is looked for in its parameters, which may be long.
        let twice = formats.iter().any(|it| it.payload_type == kind);
        if twice || formats.len() >= FORMATS {
            continue;
        }
        let Some(it) = said.get(&kind) else { continue };
        let Some(codec) = codec(it) else { continue };
        let again = said.iter().find(|(_, other)| {
            let apt = || parameter(other.parameters, "apt").and_then(|apt| apt.parse().ok());
            other.codec.eq_ignore_ascii_case("rtx/90000")
                && other.parameters.len() <= PARAMETERS
                && apt() == Some(kind)
        });
        let mut feedback = it.feedback.clone();
        feedback.extend(everywhere.iter().filter(|all| !it.feedback.contains(all)));
        feedback.truncate(FEEDBACK.len());
        formats.push(Offered {
            payload_type: kind,
            codec,
            parameters: it.parameters.to_owned(),
            feedback,
            rtx: again.map(|(kind, _)| *kind).filter(|kind| offered(*kind)),
        });
    }
    formats
}

/// The codec, if it is packed as all others can take it.
fn codec(said: &Said<'_>) -> Option<VideoCodec> {
    if said.parameters.len() > PARAMETERS {
        return None;
    }
    let (name, rate) = said.codec.split_once('/')?;
    let codec = VideoCodec::from_name(&name.to_ascii_uppercase())?;
    let good = |it: u8| it.is_ascii_graphic() || it == b' ';
    let packed = match codec {
        VideoCodec::Vp8 => true,
        VideoCodec::H264 => parameter(said.parameters, "packetization-mode") == Some("1"),
    };
    let plain = said.parameters.bytes().all(good);
    (rate == "90000" && packed && plain).then_some(codec)
}

fn parameter<'a>(parameters: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = parameters
        .split(';')
        .filter_map(|it| it.trim().split_once('='));
    let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_passed_on_is_found_in_its_order() {
        let types = ["96", "97", "45", "103", "104", "105", "108", "x", "96"];
        let lines = [
            "rtpmap:96 VP8/90000",
            "rtcp-fb:96 goog-remb",
            "rtcp-fb:96 nack",
            "rtcp-fb:96 nack pli",
            "rtcp-fb:96 nack",
            "rtcp-fb:* ccm fir",
            "rtcp-fb:96 ack rpsi",
            "rtpmap:97 rtx/90000",
            "fmtp:97 apt=96;rtx-time=3000",
            "rtpmap:45 AV1/90000",
            "rtpmap:103 H264/90000",
            "fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
            "rtpmap:104 H264/90000",
            "fmtp:104 packetization-mode=0;profile-level-id=42e01f",
            "rtpmap:105 h264/90000",
            "fmtp:105 packetization-mode=1",
            "rtpmap:108 VP8/48000",
            "rtpmap:300 VP8/90000",
        ];
        let found = formats(&types, &lines);
        let short: Vec<_> = found
            .iter()
            .map(|it| (it.payload_type, it.codec, it.profile(), it.rtx))
            .collect();
        assert_eq!(
            short,
            [
                (96, VideoCodec::Vp8, 0, Some(97)),
                (103, VideoCodec::H264, 0x64, None),
                (105, VideoCodec::H264, 0x42, None)
            ]
        );
        let feedback = [
            ("goog-remb", ""),
            ("nack", ""),
            ("nack", "pli"),
            ("ccm", "fir"),
        ];
        assert_eq!(found[0].feedback, feedback);
        assert_eq!(found[1].feedback, [("ccm", "fir")]);
    }

    #[test]
    fn formats_are_few_and_plain() {
        let types: Vec<String> = (0..128).map(|it| it.to_string()).collect();
        let types: Vec<&str> = types.iter().map(String::as_str).collect();
        let lines: Vec<String> = types
            .iter()
            .map(|it| format!("rtpmap:{it} VP8/90000"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(formats(&types, &lines).len(), FORMATS);
        let long = format!("fmtp:1 packetization-mode=1;x={}", "y".repeat(300));
        for parameters in [&long, "fmtp:1 packetization-mode=1;x=\u{e4}"] {
            assert!(formats(&["1"], &["rtpmap:1 H264/90000", parameters]).is_empty());
        }
    }
}
