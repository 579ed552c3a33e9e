//! What clients say of video on the voice gateway, and are told.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Layer;
use crate::{
    id::Id,
    state::State,
    voice::{op, session::Seat},
};

impl State {
    /// Op 12: a client begins to send, changes what it sends, or ends.
    pub fn video(&mut self, seat: Seat, data: &Value) {
        let Some(session) = self.calls.session(seat) else {
            return;
        };
        let (channel, in_call, audio) = (session.channel, session.is_in_call(), session.ssrc);
        let Some(video) = &mut session.video else {
            return self.voice_violation(seat, "video_not_asked");
        };
        let place = |ssrc: &Value, rtx: &Value| {
            let own =
                |layer: &&Layer| *ssrc == layer.ssrc && (*rtx == layer.rtx_ssrc || rtx.is_null());
            video.layers.iter().any(|layer| own(&layer))
        };
        let streams = data["streams"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let stops = data["video_ssrc"] == 0;
        let mut sane = data["audio_ssrc"] == audio;
        sane &= stops || place(&data["video_ssrc"], &data["rtx_ssrc"]);
        sane &= stops == streams.is_empty();
        sane &= streams
            .iter()
            .all(|stream| place(&stream["ssrc"], &stream["rtx_ssrc"]));
        if !sane {
            return self.voice_violation(seat, "video_ssrc");
        }
        let mut told = data.clone();
        told["user_id"] = json!(seat.user);
        video.announced = (!stops).then(|| told.clone());
        video.unsaid = None;
        if stops {
            video.newest = None;
        }
        self.log.push(
            "voice_video",
            json!({"user_id": seat.user, "sending": !stops}),
        );
        if in_call {
            self.calls.tell_others(channel, seat, op::VIDEO, &told);
            self.video_wanted(channel);
        }
    }

    /// Op 15: what a client wants of others' streams.
    pub fn video_wants(&mut self, seat: Seat, data: &Value) {
        let Some(session) = self.calls.session(seat) else {
            return;
        };
        let channel = session.channel;
        let Some(video) = &mut session.video else {
            return self.voice_violation(seat, "video_not_asked");
        };
        let Some(data) = data.as_object() else {
            return self.voice_violation(seat, "video_wants");
        };
        video.wants.clear();
        video.any = data.get("any").and_then(Value::as_u64).unwrap_or(0);
        for (ssrc, quality) in data {
            if let (Ok(ssrc), Some(quality)) = (ssrc.parse(), quality.as_u64()) {
                video.wants.insert(ssrc, quality);
            }
        }
        self.video_wanted(channel);
    }

    /// Tells those who send video how much somebody wants it, where that has changed.
    pub fn video_wanted(&mut self, channel: Id) {
        let mut wants: Vec<(Seat, BTreeMap<u32, u64>, u64)> = Vec::new();
        for session in self.calls.in_call(channel) {
            if let Some(video) = &session.video {
                wants.push((session.seat, video.wants.clone(), video.any));
            }
        }
        for session in self.calls.in_call(channel) {
            let seat = session.seat;
            let Some(video) = session.video.as_mut().filter(|v| v.announced.is_some()) else {
                continue;
            };
            let ssrcs = video.layers.iter().map(|layer| layer.ssrc);
            let others = wants.iter().filter(|(other, ..)| *other != seat);
            let wanted = others
                .flat_map(|(_, wants, any)| {
                    ssrcs.clone().map(|ssrc| *wants.get(&ssrc).unwrap_or(any))
                })
                .max()
                .unwrap_or(0);
            if video.told != Some(wanted) {
                video.told = Some(wanted);
                session
                    .outbox
                    .send(op::MEDIA_SINK_WANTS, &json!({"any": wanted}));
            }
        }
    }

    /// Another codec is wanted of somebody's video: op 14.
    pub fn set_video_codec(&mut self, seat: Seat, codec: &str) {
        if let Some(session) = self.calls.session(seat) {
            session
                .outbox
                .send(op::SESSION_UPDATE, &json!({"video_codec": codec}));
        }
    }
}
