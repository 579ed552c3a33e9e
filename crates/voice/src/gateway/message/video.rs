//! The voice gateway's messages about video. Discord documents none of them; this is what its clients are seen to say
//! ([userdoccers](https://docs.discord.food/topics/voice-connections)).

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, Value};

use crate::video::{VideoConfig, payload_types};
use uro_discord_net::Snowflake;

/// Streams that anybody may have: cameras and screens in three layers each would be six.
const MAX_STREAMS: usize = 8;

/// One layer of video, as Ready (2) and Video (12) have it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stream {
    #[serde(default)]
    pub ssrc: u32,
    #[serde(default)]
    pub rtx_ssrc: Option<u32>,
    #[serde(default)]
    pub active: bool,
}

impl Stream {
    /// Its SSRC, and that of retransmissions, which is the next one if it is not told.
    pub(crate) fn ssrcs(&self) -> (u32, u32) {
        let rtx = self.rtx_ssrc.filter(|rtx| *rtx != 0);
        (self.ssrc, rtx.unwrap_or(self.ssrc.wrapping_add(1)))
    }
}

/// Video (12): somebody's streams.
#[derive(Debug, Deserialize)]
#[allow(clippy::struct_field_names, reason = "they are Discord's")]
pub(crate) struct Video {
    pub user_id: Snowflake,
    #[serde(default)]
    pub video_ssrc: u32,
    #[serde(default)]
    pub rtx_ssrc: u32,
    #[serde(default)]
    pub streams: Vec<Stream>,
}

impl Video {
    /// The SSRCs of his streams and of their retransmissions.
    pub(crate) fn ssrcs(&self) -> Vec<(u32, u32)> {
        let active = self
            .streams
            .iter()
            .filter(|stream| stream.active && stream.ssrc != 0);
        let mut ssrcs: Vec<(u32, u32)> = active.map(Stream::ssrcs).take(MAX_STREAMS).collect();
        if ssrcs.is_empty() && self.video_ssrc != 0 {
            let only = Stream {
                ssrc: self.video_ssrc,
                rtx_ssrc: Some(self.rtx_ssrc),
                active: true,
            };
            ssrcs.push(only.ssrcs());
        }
        ssrcs
    }
}

/// Session Update (14).
#[derive(Debug, Deserialize)]
pub(crate) struct SessionUpdate {
    #[serde(default)]
    pub video_codec: Option<String>,
}

/// Media Sink Wants (15): how good others want our layers, by SSRC, from 0 to 100; `any` is for those that are not named.
#[derive(Debug, Deserialize)]
pub(crate) struct SinkWants(BTreeMap<String, Box<RawValue>>);

impl SinkWants {
    /// What is wanted of a stream, if anything is said of it.
    pub(crate) fn of(&self, ssrc: u32) -> Option<u8> {
        let wanted = |key: &str| {
            let wanted: Value = serde_json::from_str(self.0.get(key)?.get()).ok()?;
            let wanted = wanted.as_f64()?.clamp(0.0, 100.0);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is from 0 to 100"
            )]
            Some(wanted as u8)
        };
        wanted(&ssrc.to_string()).or_else(|| wanted("any"))
    }
}

/// A layer that we would send, in Identify (0). There is one: whoever makes frames makes them once.
#[derive(Debug, Serialize)]
pub(crate) struct StreamWish {
    r#type: &'static str,
    rid: &'static str,
    quality: u8,
}

impl StreamWish {
    pub(crate) fn only() -> [Self; 1] {
        [Self {
            r#type: "video",
            rid: "100",
            quality: 100,
        }]
    }
}

/// A codec, in Select Protocol (1).
#[derive(Debug, Serialize)]
pub(crate) struct Codec {
    name: &'static str,
    r#type: &'static str,
    /// The lowest is preferred.
    priority: u32,
    payload_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtx_payload_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decode: Option<bool>,
}

impl Codec {
    /// Audio's, and those of video.
    pub(crate) fn all(video: &VideoConfig) -> Vec<Self> {
        let opus = Self {
            name: "opus",
            r#type: "audio",
            priority: 1000,
            payload_type: crate::media::OPUS,
            rtx_payload_type: None,
            encode: None,
            decode: None,
        };
        let video = video
            .codecs
            .iter()
            .zip((1000..).step_by(1000))
            .map(|(codec, place)| {
                let (payload_type, rtx) = payload_types(*codec);
                Self {
                    name: codec.name(),
                    r#type: "video",
                    priority: place,
                    payload_type,
                    rtx_payload_type: Some(rtx),
                    encode: Some(true),
                    decode: Some(true),
                }
            });
        std::iter::once(opus).chain(video).collect()
    }
}

/// Video (12), of our own.
#[derive(Debug, Serialize)]
pub(crate) struct OwnVideo {
    audio_ssrc: u32,
    video_ssrc: u32,
    rtx_ssrc: u32,
    streams: Vec<OwnStream>,
}

#[derive(Debug, Serialize)]
struct OwnStream {
    r#type: &'static str,
    rid: &'static str,
    ssrc: u32,
    active: bool,
    quality: u8,
    rtx_ssrc: u32,
    max_bitrate: u32,
    max_framerate: u32,
    max_resolution: Resolution,
}

#[derive(Debug, Serialize)]
struct Resolution {
    r#type: &'static str,
    width: u32,
    height: u32,
}

impl OwnVideo {
    pub(crate) fn start(
        audio_ssrc: u32,
        (ssrc, rtx_ssrc): (u32, u32),
        config: &VideoConfig,
    ) -> Self {
        Self {
            audio_ssrc,
            video_ssrc: ssrc,
            rtx_ssrc,
            streams: vec![OwnStream {
                r#type: "video",
                rid: "100",
                ssrc,
                active: true,
                quality: 100,
                rtx_ssrc,
                max_bitrate: config.max_bitrate,
                max_framerate: config.max_framerate,
                max_resolution: Resolution {
                    r#type: "fixed",
                    width: config.resolution.0,
                    height: config.resolution.1,
                },
            }],
        }
    }

    pub(crate) fn stop(audio_ssrc: u32) -> Self {
        Self {
            audio_ssrc,
            video_ssrc: 0,
            rtx_ssrc: 0,
            streams: Vec::new(),
        }
    }
}

/// Media Sink Wants (15), of our own: how good we want others' streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    pub any: u8,
    pub streams: BTreeMap<u32, u8>,
}

impl Serialize for Wants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.streams.len().saturating_add(1)))?;
        map.serialize_entry("any", &self.any)?;
        for (ssrc, quality) in &self.streams {
            map.serialize_entry(&ssrc.to_string(), quality)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Outgoing, Text};
    use super::*;

    fn text(op: u8, d: Value) -> Text {
        let json = json!({"op": op, "d": d}).to_string();
        Text::parse(&json).unwrap().0
    }

    #[test]
    fn somebodys_streams() {
        let ssrcs = |d| match text(12, d) {
            Text::Video(video) => (video.user_id.get(), video.ssrcs()),
            other => panic!("{other:?}"),
        };
        let streams = json!([
            {"type": "video", "rid": "100", "ssrc": 11, "active": true, "quality": 100, "rtx_ssrc": 12},
            {"type": "video", "rid": "50", "ssrc": 13, "active": false, "quality": 50, "rtx_ssrc": 14},
            {"ssrc": 15, "active": true},
        ]);
        let d = json!({"user_id": "7", "audio_ssrc": 10, "video_ssrc": 11, "rtx_ssrc": 12, "streams": streams});
        assert_eq!(ssrcs(d), (7, vec![(11, 12), (15, 16)]));
        let d = json!({"user_id": "7", "audio_ssrc": 10, "video_ssrc": 11});
        assert_eq!(ssrcs(d), (7, vec![(11, 12)]));
        let d = json!({"user_id": "7", "audio_ssrc": 10, "video_ssrc": 0, "rtx_ssrc": 0, "streams": []});
        assert_eq!(ssrcs(d), (7, vec![]));
    }

    #[test]
    fn what_is_wanted() {
        let wants = |d| match text(15, d) {
            Text::SinkWants(wants) => [wants.of(1), wants.of(2)],
            other => panic!("{other:?}"),
        };
        assert_eq!(wants(json!({"1": 50, "any": 0})), [Some(50), Some(0)]);
        assert_eq!(
            wants(json!({"any": 100, "pixelCounts": {"1": 9.5}})),
            [Some(100), Some(100)]
        );
        assert_eq!(wants(json!({"1": 1000, "2": "x"})), [Some(100), None]);
    }

    #[test]
    fn what_we_say() {
        let config = VideoConfig::default();
        let value =
            |message: Outgoing<'_>| -> Value { serde_json::from_str(&message.to_json()).unwrap() };
        let start = value(Outgoing::Video(OwnVideo::start(1, (2, 3), &config)));
        assert_eq!(start["op"], 12);
        assert_eq!(start["d"]["video_ssrc"], 2);
        assert_eq!(
            start["d"]["streams"][0]["max_resolution"],
            json!({"type": "fixed", "width": 1280, "height": 720})
        );
        assert_eq!(
            value(Outgoing::Video(OwnVideo::stop(1))),
            json!({"op": 12, "d": {"audio_ssrc": 1, "video_ssrc": 0, "rtx_ssrc": 0, "streams": []}})
        );
        let wants = Wants {
            any: 100,
            streams: [(9, 0)].into(),
        };
        assert_eq!(
            value(Outgoing::SinkWants(wants)),
            json!({"op": 15, "d": {"any": 100, "9": 0}})
        );
        assert_eq!(
            serde_json::to_value(&Codec::all(&config)[2]).unwrap(),
            json!({"name": "VP8", "type": "video", "priority": 2000, "payload_type": 105, "rtx_payload_type": 106, "encode": true, "decode": true})
        );
    }
}
