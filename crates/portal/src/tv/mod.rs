#![doc = include_str!("README.md")]

mod link;
pub(crate) mod message;
pub(crate) mod people;
#[cfg(test)]
mod slow_link;
#[cfg(test)]
mod tests;
pub(crate) mod timeline;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use uro_discord_media::assembler::{self, Assembler, Frame};
use uro_discord_media::{VideoCodec, h264};

use crate::peer::{Closed, Event, Peer, Rtp};
use crate::video::{Feedback, Jpeg, VideoFormat, VideoPacket};
use link::Link;
use message::{FromPage, GAP, KEY, Said, ToPage, VIDEO, VOICE, WHOLE, frame};
use timeline::Timeline;

/// Ticks of a second, of pictures, of whole pictures and of voice.
pub(crate) const PICTURES: u32 = 90_000;
const WHOLES: u32 = 1_000;
pub(crate) const SAMPLES: u32 = 48_000;

/// Between two requests of one viewer for a keyframe.
const ASKED: Duration = Duration::from_millis(500);

/// H.264's type of a sequence parameter set.
const SPS: u8 = 7;

/// Messages of one kind: when each is to be shown, and the next one's number.
struct Track {
    timeline: Timeline,
    next: u16,
}

impl Track {
    fn new(hertz: u32) -> Self {
        Self {
            timeline: Timeline::new(hertz),
            next: 0,
        }
    }

    fn number(&mut self) -> u16 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }
}

/// One page that sees and hears a room by a WebSocket.
pub(crate) struct Tv {
    began: Instant,
    takes: Vec<VideoCodec>,
    hears: bool,
    events: VecDeque<Event>,
    out: VecDeque<ToPage>,
    /// The page shows what it is sent.
    flows: bool,
    assembler: Assembler,
    /// Nothing of the picture goes until a keyframe.
    waits: bool,
    /// Something of it is missing since the last frame that went.
    gap: bool,
    asked: Option<Instant>,
    link: Link,
    pictures: Track,
    wholes: Track,
    voice: Track,
    /// How what the page was sent last is encoded.
    codec: String,
}

impl Tv {
    /// A page that is in. It takes these codecs, and it may want to hear.
    pub(crate) fn new(now: Instant, takes: Vec<VideoCodec>, hears: bool) -> Self {
        Self {
            began: now,
            takes,
            hears,
            events: VecDeque::from([Event::Connected]),
            out: VecDeque::new(),
            flows: true,
            assembler: Assembler::default(),
            waits: true,
            gap: false,
            asked: None,
            link: Link::new(now),
            pictures: Track::new(PICTURES),
            wholes: Track::new(WHOLES),
            voice: Track::new(SAMPLES),
            codec: String::new(),
        }
    }

    /// What time it is for frames: microseconds since the page came.
    fn time(&self, now: Instant) -> i64 {
        let passed = now.saturating_duration_since(self.began).as_micros();
        i64::try_from(passed).unwrap_or(i64::MAX)
    }

    fn ask(&mut self, now: Instant) {
        let passed = |then| now.saturating_duration_since(then);
        if self.asked.is_none_or(|then| passed(then) >= ASKED) {
            self.asked = Some(now);
            self.events.push_back(Event::Feedback(Feedback::Keyframe));
        }
    }

    /// The picture begins anew, with a keyframe.
    fn begin(&mut self, now: Instant) {
        self.assembler = Assembler::default();
        self.waits = true;
        self.gap = true;
        self.ask(now);
    }

    fn assemble(&mut self, now: Instant) {
        while let Some(frame) = self.assembler.poll(now) {
            self.picture(now, &frame);
        }
    }

    fn picture(&mut self, now: Instant, frame: &Frame) {
        let key = frame.codec.is_keyframe(&frame.data);
        if frame.lost_before > 0 {
            (self.waits, self.gap) = (true, true);
        }
        let was_full = self.link.is_full();
        if !self.link.takes_pictures(now) {
            if !was_full {
                self.events.push_back(Event::Feedback(Feedback::Slow));
            }
            (self.waits, self.gap) = (true, true);
            return;
        }
        if self.waits && !key {
            return self.ask(now);
        }
        if key {
            self.encoded(frame);
        }
        self.waits = false;
        let mut flags = if key { KEY } else { 0 };
        if std::mem::take(&mut self.gap) {
            flags |= GAP;
        }
        let at = self.time(now);
        let pts = self.pictures.timeline.place(at, frame.rtp_time);
        let sequence = self.pictures.number();
        self.put(now, VIDEO, flags, sequence, pts, &frame.data);
    }

    /// Tells how a keyframe is encoded, if that is something else than before.
    fn encoded(&mut self, frame: &Frame) {
        let codec = match frame.codec {
            VideoCodec::Vp8 => "vp8".into(),
            VideoCodec::H264 => match avc1(&frame.data) {
                Some(codec) => codec,
                // It goes on with the parameters that were sent before.
                None if self.codec.starts_with("avc1") => return,
                None => "avc1.42e01f".into(),
            },
        };
        if self.codec != codec {
            self.out
                .push_back(ToPage::Text(Said::Video { codec: &codec }.text()));
            self.codec = codec;
        }
    }

    fn put(&mut self, now: Instant, kind: u8, flags: u8, sequence: u16, pts: i64, data: &[u8]) {
        self.link.sent(now);
        self.out.push_back(frame(kind, flags, sequence, pts, data));
    }
}

/// H.264's profile, constraints and level, as WebCodecs calls them (RFC 6381).
fn avc1(frame: &[u8]) -> Option<String> {
    let parameters = h264::nals(frame).find_map(|nal| match nal {
        [header, profile, constraints, level, ..] if header & 0x1f == SPS => {
            Some([*profile, *constraints, *level])
        }
        _ => None,
    });
    let [profile, constraints, level] = parameters?;
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
}

impl Peer for Tv {
    fn send_rtp(&mut self, now: Instant, rtp: Rtp) {
        // Numbers go on over what does not go, so that the page knows.
        let sequence = self.voice.number();
        if !(self.flows && self.hears && self.link.takes_voice(now)) {
            return;
        }
        let at = self.time(now);
        let pts = self.voice.timeline.place(at, rtp.time);
        self.put(now, VOICE, KEY, sequence, pts, &rtp.payload);
    }

    fn formats(&self) -> Vec<VideoFormat> {
        // Whatever the profile, it is tried.
        let format = |codec: &VideoCodec| VideoFormat {
            codec: *codec,
            profile: 0,
        };
        self.takes.iter().map(format).collect()
    }

    fn send_video(&mut self, now: Instant, packet: VideoPacket, _again: bool) {
        if !self.flows {
            return;
        }
        self.assembler.packet(
            packet.sequence,
            assembler::Packet {
                codec: packet.format.codec,
                timestamp: packet.time,
                marker: packet.marker,
                payload: packet.payload,
            },
            now,
        );
        self.assemble(now);
    }

    fn deadline(&mut self) -> Option<Instant> {
        [self.assembler.overdue(), self.link.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn timeout(&mut self, now: Instant) {
        if self.link.is_stuck(now) {
            self.events.push_back(Event::Closed(Closed::Failed));
        }
        self.assemble(now);
    }

    fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

impl Tv {
    /// Sends a whole picture, unless those before it are on their way still. Whether it was sent.
    pub(crate) fn send_whole(&mut self, now: Instant, jpeg: &Jpeg) -> bool {
        if !(self.flows && self.link.takes_whole(now)) {
            return false;
        }
        let at = self.time(now);
        let pts = self.wholes.timeline.place(at, jpeg.time);
        let sequence = self.wholes.number();
        self.put(now, WHOLE, KEY, sequence, pts, &jpeg.bytes);
        true
    }

    /// The page says something.
    pub(crate) fn hear(&mut self, now: Instant, said: FromPage) {
        match said {
            FromPage::Start if !self.flows => {
                self.flows = true;
                self.begin(now);
            }
            FromPage::Start => {}
            FromPage::Pause => {
                self.flows = false;
                self.assembler = Assembler::default();
            }
            FromPage::Key => {
                (self.waits, self.gap) = (true, true);
                self.ask(now);
            }
            FromPage::Ack { count } => {
                self.link.came(now, count);
                if self.flows && self.link.is_full() && self.link.takes_pictures(now) {
                    self.ask(now);
                }
            }
            FromPage::Ping { t } => {
                let pts = self.time(now);
                self.tell(Said::Pong { t, pts }.text());
            }
        }
    }

    /// A message for the page.
    pub(crate) fn tell(&mut self, text: String) {
        self.out.push_back(ToPage::Text(text));
    }

    /// The next message for the page. To be called until there is nothing, after every other call.
    pub(crate) fn next_to_page(&mut self) -> Option<ToPage> {
        self.out.pop_front()
    }
}

/// See [`crate::fuzzing`].
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use super::link::ON_THE_WAY;
    use super::message::{HEADER, Hello};
    use super::{Duration, Event, Feedback, FromPage, Instant, KEY, Peer as _, Rtp, ToPage, Tv};
    use super::{VIDEO, VOICE, VideoCodec, VideoFormat, VideoPacket, assembler};
    use bytes::Bytes;

    /// What pages say, and packets of any kind: a picture begins with a keyframe, what is missing is said, and nothing grows without end.
    pub fn tv(mut data: &[u8]) {
        let mut now = Instant::now();
        let mut tv = Tv::new(now, VideoCodec::ALL.to_vec(), true);
        let (mut key, mut last, mut paused) = (true, i64::MIN, false);
        while let Some(([what, more, length], rest)) = data.split_first_chunk() {
            let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
            data = rest;
            match what & 7 {
                0 | 1 => {
                    let text = String::from_utf8_lossy(bytes);
                    if let Ok(hello) = Hello::parse(&text) {
                        assert!(hello.codecs().len() <= VideoCodec::ALL.len());
                    }
                    if let Ok(said) = FromPage::parse(&text) {
                        match said {
                            FromPage::Pause => paused = true,
                            FromPage::Start => paused = false,
                            FromPage::Key => key = true,
                            FromPage::Ack { .. } | FromPage::Ping { .. } => {}
                        }
                        tv.hear(now, said);
                    }
                }
                2 => {
                    now += Duration::from_millis(u64::from(*more) * 8);
                    tv.timeout(now);
                }
                3 => tv.send_rtp(
                    now,
                    Rtp {
                        sequence: 0,
                        time: u32::from(*more) << 20,
                        marker: false,
                        payload: Bytes::copy_from_slice(bytes),
                    },
                ),
                _ => {
                    let codec = VideoCodec::ALL[usize::from(what >> 3 & 1)];
                    let packet = VideoPacket {
                        ssrc: 0,
                        format: VideoFormat { codec, profile: 0 },
                        sequence: (*more).into(),
                        time: u32::from(more >> 2) << 12,
                        marker: what & 16 != 0,
                        payload: Bytes::copy_from_slice(bytes),
                    };
                    tv.send_video(now, packet, false);
                }
            }
            while let Some(event) = tv.event() {
                assert!(matches!(
                    event,
                    Event::Connected
                        | Event::Closed(_)
                        | Event::Feedback(Feedback::Keyframe | Feedback::Slow)
                ));
            }
            while let Some(message) = tv.next_to_page() {
                let ToPage::Frame(frame) = message else {
                    continue;
                };
                assert!(!paused && frame.len() >= HEADER);
                if frame[0] == VIDEO {
                    assert!(!key || frame[1] & KEY != 0, "it begins in the middle");
                    key = false;
                    let pts = frame[4..12].try_into().map(i64::from_be_bytes);
                    assert!(pts.is_ok_and(|pts| pts > last));
                    last = pts.unwrap_or(last);
                } else {
                    assert!(frame[0] == VOICE);
                }
            }
            assert!(tv.link.len() <= ON_THE_WAY && tv.events.is_empty());
            assert!(tv.assembler.size() as u64 <= assembler::WINDOW);
        }
    }
}
