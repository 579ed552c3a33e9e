//! Video: who may send it, who does, and who watches. Discord does not document it; this is what its clients are seen to do.

mod codecs;
mod messages;
mod relay;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::codecs::Codecs;
use super::{rtp::Header, session::Session};

/// How far op 12 may be behind the packets that it is about, on however busy a machine.
const SAID_WITHIN: Duration = Duration::from_secs(1);
/// Layers that a client gets: what it asks for beyond gets no place.
const MAX_LAYERS: usize = 2;
/// One layer's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    pub ssrc: u32,
    pub rtx_ssrc: u32,
}

/// What packets of video there were.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Counts {
    /// Packets of his, and frames: packets with a marker.
    packets: u64,
    frames: u64,
    /// Of his frames, those without DAVE's trailer.
    without_dave: u64,
    /// Packets of his that were retransmitted.
    retransmitted: u64,
    /// How often one of them was sent on to somebody, and others' to him.
    relayed: u64,
    sent: u64,
    /// Packets he asked for again, keyframes he asked for, and what he reported of his streams.
    pub nacks: u64,
    pub keyframes_asked: u64,
    pub sender_reports: u64,
}

/// A client's video.
pub struct Video {
    pub layers: Vec<Layer>,
    codecs: Codecs,
    /// Op 12, while he sends.
    announced: Option<Value>,
    /// When packets began to come without op 12.
    unsaid: Option<Instant>,
    /// What he wants of others' streams, and of those that he does not name.
    wants: BTreeMap<u32, u64>,
    any: u64,
    /// What he was told last of how much he is wanted.
    told: Option<u64>,
    /// The newest packet: its number and time, and whether its frame ends with it.
    newest: Option<(u16, u32, bool)>,
    pub counts: Counts,
}

impl Video {
    /// The places for a client that asks for some in Identify.
    pub fn identify(audio_ssrc: u32, data: &Value) -> Option<Self> {
        if data["video"] != true {
            return None;
        }
        let wished = data["streams"]
            .as_array()
            .map_or(0, Vec::len)
            .min(MAX_LAYERS);
        let layers = (0..wished as u32).map(|place| Layer {
            ssrc: audio_ssrc + 1 + 2 * place,
            rtx_ssrc: audio_ssrc + 2 + 2 * place,
        });
        Some(Self {
            layers: layers.collect(),
            codecs: Codecs::default(),
            announced: None,
            unsaid: None,
            wants: BTreeMap::new(),
            any: 100,
            told: None,
            newest: None,
            counts: Counts::default(),
        })
    }

    /// Ready's streams: those asked for, with their places.
    pub fn streams(&self, wished: &Value) -> Vec<Value> {
        let wished = wished.as_array().map(Vec::as_slice).unwrap_or_default();
        let streams = self.layers.iter().zip(wished).map(|(layer, wished)| {
            json!({
                "type": wished["type"],
                "rid": wished["rid"],
                "quality": wished["quality"],
                "ssrc": layer.ssrc,
                "rtx_ssrc": layer.rtx_ssrc,
                "active": false,
            })
        });
        streams.collect()
    }

    /// Takes the codecs of Select Protocol. `false`: they make no sense.
    pub fn select(&mut self, codecs: &Value) -> bool {
        let parsed = Codecs::parse(codecs);
        let sane = parsed.is_some();
        self.codecs = parsed.unwrap_or_default();
        sane
    }

    /// The codec that he is to send.
    pub fn codec(&self) -> Option<&str> {
        self.codecs.best()
    }

    fn wants(&self, ssrc: u32) -> u64 {
        self.wants.get(&ssrc).copied().unwrap_or(self.any)
    }

    pub fn show(&self) -> Value {
        json!({
            "ssrcs": self.layers.iter().map(|layer| layer.ssrc).collect::<Vec<_>>(),
            "sending": self.announced.is_some(),
            "codec": self.codec(),
            "wants": self.wants,
            "any": self.any,
            "wanted": self.told,
            "counts": self.counts,
        })
    }

    /// Takes note of a packet that is not retransmitted; answers the rule it breaks.
    fn judge(&mut self, header: &Header) -> Option<&'static str> {
        let Some((sequence, timestamp, ended)) = self.newest else {
            self.newest = Some((header.sequence, header.timestamp, header.marker));
            return None;
        };
        let steps = header.sequence.wrapping_sub(sequence);
        match steps {
            0 => return Some("video_sequence"),
            // It was overtaken.
            0x8000.. => return None,
            _ => {}
        }
        self.newest = Some((header.sequence, header.timestamp, header.marker));
        let passed = header.timestamp.wrapping_sub(timestamp);
        // A frame's packets have one time, and the next frame has a later one.
        let sane = match (steps, ended) {
            (1, false) => passed == 0,
            (1, true) => passed > 0 && passed < 1 << 31,
            _ => passed < 1 << 31,
        };
        (!sane).then_some("video_timestamp")
    }

    /// Judges a packet of this client's. Answers its codec and the layer that it is of, and whether it is retransmitted; or
    /// the rule for which it is not relayed.
    pub fn accept(
        &mut self,
        header: &Header,
        payload: &[u8],
        now: Instant,
    ) -> Result<(Accepted, Option<&'static str>), &'static str> {
        if self.announced.is_none() {
            let since = *self.unsaid.get_or_insert(now);
            if now.saturating_duration_since(since) > SAID_WITHIN {
                return Err("video_before_op12");
            }
        }
        let Some((codec, again)) = self.codecs.of(header.payload_type) else {
            return Err("video_payload_type");
        };
        let codec = codec.to_owned();
        let layer = self
            .layers
            .iter()
            .find(|layer| header.ssrc == if again { layer.rtx_ssrc } else { layer.ssrc });
        let Some(&layer) = layer else {
            return Err("video_payload_type");
        };
        let mut broken = None;
        if again {
            if payload.len() < 3 {
                return Err("video_rtx");
            }
            self.counts.retransmitted += 1;
        } else {
            self.counts.packets += 1;
            broken = self.judge(header);
            if header.marker {
                self.counts.frames += 1;
                self.counts.without_dave +=
                    u64::from(!payload.ends_with(&super::relay::DAVE_MARKER));
            }
        }
        Ok((
            Accepted {
                codec,
                layer,
                again,
            },
            broken,
        ))
    }

    /// What this client is sent of a packet of somebody else's: the payload type, if he wants it and can read it.
    pub fn takes(&mut self, accepted: &Accepted) -> Option<u8> {
        let payload_type = self.codecs.payload_type(&accepted.codec, accepted.again)?;
        if self.wants(accepted.layer.ssrc) == 0 {
            return None;
        }
        self.counts.sent += 1;
        Some(payload_type)
    }

    pub fn relayed(&mut self, times: usize) {
        self.counts.relayed += times as u64;
    }
}

/// A packet that is relayed.
pub struct Accepted {
    pub codec: String,
    pub layer: Layer,
    pub again: bool,
}

/// Op 12 of those who send, for somebody who comes.
pub fn announcements<'a>(sessions: impl Iterator<Item = &'a mut Session>) -> Vec<Value> {
    let sending = sessions.filter_map(|session| session.video.as_ref()?.announced.clone());
    sending.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(codecs: Value) -> (Video, bool) {
        let wished =
            json!({"video": true, "streams": [{"type": "video", "rid": "100", "quality": 100}]});
        let mut video = Video::identify(8, &wished).unwrap();
        let sane = video.select(&codecs);
        (video, sane)
    }

    #[test]
    fn packets_are_judged() {
        let packet = |sequence: u16, timestamp: u32, marker: u8, kind: u8, ssrc: u8| {
            let mut bytes = [0x80, kind | marker << 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, ssrc];
            bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
            bytes[4..8].copy_from_slice(&timestamp.to_be_bytes());
            Header::parse(&bytes).unwrap()
        };
        let now = Instant::now();
        let (mut video, _) = video(json!([
            {"name": "H264", "type": "video", "priority": 1000, "payload_type": 101, "rtx_payload_type": 102}
        ]));
        video.announced = Some(json!({}));
        for (header, broken) in [
            (packet(65_535, 90, 0, 101, 9), Ok(None)),
            (packet(0, 90, 1, 101, 9), Ok(None)),
            (packet(1, 90, 0, 101, 9), Ok(Some("video_timestamp"))),
            (packet(2, 180, 1, 101, 9), Ok(Some("video_timestamp"))),
            (packet(2, 180, 1, 101, 9), Ok(Some("video_sequence"))),
            (packet(4, 270, 1, 101, 9), Ok(None)),
            (packet(3, 270, 0, 101, 9), Ok(None)),
            (packet(3, 270, 0, 102, 10), Ok(None)),
            (packet(5, 360, 0, 102, 9), Err("video_payload_type")),
            (packet(5, 360, 0, 103, 9), Err("video_payload_type")),
        ] {
            let judged = video.accept(&header, b"payload", now);
            assert_eq!(judged.map(|(_, broken)| broken), broken, "{header:?}");
        }
        video.announced = None;
        let late = packet(6, 450, 0, 101, 9);
        assert!(video.accept(&late, b"payload", now).is_ok());
        let judged = video.accept(&late, b"payload", now + SAID_WITHIN * 2);
        assert_eq!(judged.err(), Some("video_before_op12"));
    }
}
