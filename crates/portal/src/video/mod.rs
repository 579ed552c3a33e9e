#![doc = include_str!("README.md")]

mod camera;
mod jpeg;
mod onlooker;
mod pace;
mod placeholder;
mod screen;
mod viewer;

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::{Duration, Instant};

use bytes::Bytes;
use uro_discord_media::VideoCodec;

use crate::room::PeerId;
use camera::Camera;
pub(crate) use jpeg::Jpeg;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use jpeg::PIXELS;
use onlooker::Onlooker;
pub use screen::Picture;
pub(crate) use screen::Screen;
use viewer::Viewer;

/// The call as a viewer: peers are numbered from 1 on.
pub(crate) const CALL: PeerId = PeerId(0);

/// How often it is looked whether layers have ended, and what viewers can take.
const TICK: Duration = Duration::from_millis(500);

/// What waits for [`Stage::poll`]. Who polls after every call never has so much.
const MAX_OUTPUT: usize = 65_536;

/// The largest payload that is passed on; with headers, RTX and encryption it stays below what networks carry in one piece.
pub(crate) const LARGEST: usize = 1_400;

/// How video is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VideoFormat {
    pub(crate) codec: VideoCodec,
    /// H.264's `profile_idc`; 0 for VP8.
    pub(crate) profile: u8,
}

/// A packet of a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VideoPacket {
    /// Its stream: a camera has one, or one for each layer.
    pub(crate) ssrc: u32,
    pub(crate) format: VideoFormat,
    pub(crate) sequence: u16,
    /// In ticks of 90 kHz.
    pub(crate) time: u32,
    /// The last one of its frame.
    pub(crate) marker: bool,
    /// Empty in one that is padding.
    pub(crate) payload: Bytes,
}

/// What a viewer says of what it gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Feedback {
    /// It needs a keyframe.
    Keyframe,
    /// These did not come.
    Missing(Vec<u16>),
    /// It reports how much was lost lately, in 256ths.
    Lost(u8),
    /// It takes its link to carry so many bits a second.
    Carries(u64),
    /// What it was sent comes late: its link is full.
    Slow,
}

/// What comes out of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VideoOutput {
    /// A packet for a viewer. Its `ssrc` says nothing.
    Packet {
        viewer: PeerId,
        packet: VideoPacket,
        /// It was sent before.
        again: bool,
    },
    /// A whole picture for who sees such.
    Jpeg { viewer: PeerId, jpeg: Jpeg },
    /// A camera is to begin anew with a keyframe.
    Keyframe { camera: PeerId, ssrc: u32 },
    /// Another camera is on air, or none.
    OnAir(Option<PeerId>),
    /// What is on air is of another kind now, as [`Camera::kind`] says.
    Kind(Option<&'static str>),
}

/// How a camera is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CameraHealth {
    /// Who sends it.
    pub peer: PeerId,
    /// Viewers see it.
    pub on_air: bool,
    /// How it is encoded; `None` before its first packet.
    pub codec: Option<VideoCodec>,
    /// Width and height of the whole pictures (JPEG) that come; `None`: none do.
    pub jpeg: Option<(u16, u16)>,
    /// Streams of different size that it sends now.
    pub layers: u32,
    /// Bits a second, of all layers.
    pub bits: u64,
    /// Packets that came, or whole pictures.
    pub packets: u64,
    /// Keyframes that came; each whole picture is one.
    pub keyframes: u64,
    /// Keyframes that were asked for.
    pub asked: u64,
    /// Packets that came again, too late, or were too large.
    pub dropped: u64,
}

/// How a viewer sees.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewerHealth {
    /// Who sees.
    pub peer: PeerId,
    /// What it sees; `None` while it waits for a picture.
    pub camera: Option<PeerId>,
    /// Bits a second.
    pub bits: u64,
    /// Packets that were sent, or whole pictures.
    pub packets: u64,
    /// Packets that were sent again.
    pub again: u64,
    /// How often its link could not carry the picture.
    pub congested: u64,
}

/// A room's cameras and viewers.
pub(crate) struct Stage {
    cameras: BTreeMap<PeerId, Camera>,
    /// Cameras that have come.
    came: u64,
    viewers: BTreeMap<PeerId, Viewer>,
    onlookers: BTreeMap<PeerId, Onlooker>,
    /// Whose camera is wanted on air, as tokens call him; `None`: the first that came.
    wanted: Option<String>,
    on_air: Option<PeerId>,
    /// Of what kind the picture is that is on air, as was told.
    kind: Option<&'static str>,
    tick: Option<Instant>,
    output: VecDeque<VideoOutput>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            cameras: BTreeMap::new(),
            came: 0,
            viewers: BTreeMap::new(),
            onlookers: BTreeMap::new(),
            wanted: None,
            on_air: None,
            kind: None,
            tick: None,
            output: VecDeque::new(),
        }
    }

    /// Nobody sends and nobody sees.
    pub(crate) fn is_empty(&self) -> bool {
        self.cameras.is_empty() && self.viewers.is_empty() && self.onlookers.is_empty()
    }

    /// Whose camera viewers see.
    pub(crate) fn on_air(&self) -> Option<PeerId> {
        self.on_air
    }

    /// Of what kind the picture is that viewers see, if any comes.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        self.kind
    }

    fn tell_kind(&mut self, now: Instant) {
        let on_air = self.on_air.and_then(|on_air| self.cameras.get(&on_air));
        let kind = on_air.and_then(|camera| camera.kind(now));
        if kind != self.kind {
            self.kind = kind;
            put(&mut self.output, VideoOutput::Kind(kind));
        }
    }

    /// A camera comes, or is there already. `subject` is who sends it, as his token has it.
    pub(crate) fn publish(&mut self, now: Instant, peer: PeerId, subject: String) {
        if let Entry::Vacant(place) = self.cameras.entry(peer) {
            place.insert(Camera::new(now, subject, self.came));
            self.came = self.came.saturating_add(1);
        }
        self.choose(now);
    }

    /// A camera goes, and its peer stays.
    pub(crate) fn withdraw(&mut self, now: Instant, peer: PeerId) {
        if self.cameras.remove(&peer).is_some() {
            self.choose(now);
        }
    }

    /// A viewer comes, which takes these formats, and may be to see the placeholder while there is no camera for it.
    pub(crate) fn watch(
        &mut self,
        now: Instant,
        peer: PeerId,
        formats: Vec<VideoFormat>,
        placeholder: bool,
    ) {
        let viewer = Viewer::new(now, formats, placeholder);
        self.viewers.insert(peer, viewer);
        self.aim(now, peer);
        self.wake(now);
    }

    /// Whether a peer is given whole pictures. It gets the newest one at once.
    pub(crate) fn look(&mut self, now: Instant, peer: PeerId, looks: bool) {
        if !looks {
            self.onlookers.remove(&peer);
        } else if let Entry::Vacant(place) = self.onlookers.entry(peer) {
            place.insert(Onlooker::new(now));
            self.show(now, peer);
        }
    }

    /// A peer goes.
    pub(crate) fn leave(&mut self, now: Instant, peer: PeerId) {
        self.viewers.remove(&peer);
        self.onlookers.remove(&peer);
        self.withdraw(now, peer);
    }

    /// Whose camera is to be on air. While he has none, the first that came is.
    pub(crate) fn want(&mut self, now: Instant, subject: Option<String>) {
        self.wanted = subject;
        self.choose(now);
    }

    fn choose(&mut self, now: Instant) {
        let wanted = self.wanted.as_deref();
        let first = self.cameras.iter().min_by_key(|(_, camera)| {
            let other = Some(&*camera.subject) != wanted;
            (other, camera.place)
        });
        let chosen = first.map(|(id, _)| *id);
        if chosen != self.on_air {
            self.on_air = chosen;
            put(&mut self.output, VideoOutput::OnAir(chosen));
            self.show_all(now);
        }
        self.tell_kind(now);
        self.aim_all(now);
        self.wake(now);
    }

    /// A packet of a camera.
    pub(crate) fn packet(&mut self, now: Instant, peer: PeerId, packet: VideoPacket) {
        let ssrc = packet.ssrc;
        let taken = match self.cameras.get_mut(&peer) {
            Some(camera) => camera.take(now, packet),
            None => None,
        };
        let Some((number, new)) = taken else { return };
        if new && self.on_air == Some(peer) {
            self.tell_kind(now);
            // Perhaps it is the one that is wanted.
            self.aim_all(now);
        }
        let layer = self.cameras.get(&peer).and_then(|it| it.layer(ssrc));
        let Some(layer) = layer else { return };
        for (id, viewer) in &mut self.viewers {
            let output = &mut self.output;
            viewer.packet(now, (peer, layer), number, |packet| {
                put(output, sent(*id, packet, false));
            });
        }
    }

    /// A whole picture of a camera. Those who see such get it as it is.
    pub(crate) fn jpeg(&mut self, now: Instant, peer: PeerId, jpeg: Jpeg) {
        let Some(camera) = self.cameras.get_mut(&peer) else {
            return;
        };
        let first = camera.still(now).is_none();
        camera.picture(now, jpeg);
        if self.on_air == Some(peer) {
            self.tell_kind(now);
            self.show_all(now);
            if first {
                // Those who see no such pictures see nothing more of the camera before.
                self.aim_all(now);
            }
        }
    }

    /// The newest whole picture of the camera that is on air, if such come of it.
    pub(crate) fn still(&self, now: Instant) -> Option<&Jpeg> {
        self.cameras.get(&self.on_air?)?.still(now)
    }

    /// A picture was sent to who sees such, or was left out because those before it wait still.
    pub(crate) fn shown(&mut self, now: Instant, viewer: PeerId, bytes: usize, sent: bool) {
        if let Some(onlooker) = self.onlookers.get_mut(&viewer) {
            onlooker.shown(now, bytes, sent);
        }
    }

    fn show_all(&mut self, now: Instant) {
        for id in self.onlookers.keys().copied().collect::<Vec<_>>() {
            self.show(now, id);
        }
    }

    /// Gives one the newest picture. Nobody is sent his own.
    fn show(&mut self, now: Instant, id: PeerId) {
        let on_air = self.on_air.filter(|on_air| *on_air != id);
        let jpeg = on_air.and_then(|_| self.still(now)).cloned();
        let Some(onlooker) = self.onlookers.get_mut(&id) else {
            return;
        };
        onlooker.camera = on_air.filter(|_| jpeg.is_some());
        if let Some(jpeg) = jpeg {
            let viewer = id;
            put(&mut self.output, VideoOutput::Jpeg { viewer, jpeg });
        }
    }

    /// A viewer says how it sees.
    pub(crate) fn feedback(&mut self, now: Instant, peer: PeerId, feedback: Feedback) {
        let Some(viewer) = self.viewers.get_mut(&peer) else {
            return;
        };
        let other = match feedback {
            Feedback::Keyframe => {
                let output = &mut self.output;
                let idle =
                    viewer.needs_placeholder(now, |packet| put(output, sent(peer, packet, false)));
                if !idle && let Some((camera, ssrc)) = viewer.sees() {
                    self.ask(now, camera, ssrc);
                }
                false
            }
            Feedback::Missing(sequences) => {
                let source = viewer.sees();
                let layer =
                    source.and_then(|(camera, ssrc)| self.cameras.get(&camera)?.layer(ssrc));
                let Some(layer) = layer else { return };
                for sequence in sequences {
                    if let Some(packet) = viewer.again(now, layer, sequence) {
                        put(&mut self.output, sent(peer, packet, true));
                    }
                }
                viewer.missed(now)
            }
            Feedback::Lost(of_256) => viewer.lost(now, of_256),
            Feedback::Carries(bits) => viewer.carries(now, bits),
            Feedback::Slow => viewer.slow(now),
        };
        if other {
            self.aim(now, peer);
        }
    }

    /// When to call [`timeout`](Self::timeout).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.tick
    }

    /// Time has passed.
    pub(crate) fn timeout(&mut self, now: Instant) {
        if self.tick.is_none_or(|tick| now < tick) {
            return;
        }
        self.tick = None;
        for (id, camera) in &mut self.cameras {
            for ssrc in camera.tick(now) {
                put(
                    &mut self.output,
                    VideoOutput::Keyframe { camera: *id, ssrc },
                );
            }
        }
        for viewer in self.viewers.values_mut() {
            viewer.pace.tick(now);
        }
        let on_air = self.on_air.and_then(|on_air| self.cameras.get(&on_air));
        if on_air.is_none_or(|camera| camera.still(now).is_none()) {
            for onlooker in self.onlookers.values_mut() {
                onlooker.camera = None;
            }
        }
        self.tell_kind(now);
        self.aim_all(now);
        self.wake(now);
    }

    pub(crate) fn poll(&mut self) -> Option<VideoOutput> {
        self.output.pop_front()
    }

    pub(crate) fn health(&mut self, now: Instant) -> (Vec<CameraHealth>, Vec<ViewerHealth>) {
        let on_air = self.on_air;
        let cameras = self.cameras.iter_mut();
        let viewers = self.viewers.iter_mut();
        let viewers = viewers.map(|(id, viewer)| viewer.health(now, *id));
        let onlookers = self.onlookers.iter_mut();
        let onlookers = onlookers.map(|(id, onlooker)| onlooker.health(now, *id));
        (
            cameras
                .map(|(id, camera)| camera.health(now, *id, on_air == Some(*id)))
                .collect(),
            viewers.chain(onlookers).collect(),
        )
    }

    /// Whether a camera is on air, and how many peers see it: neither the call nor the recorder is one.
    pub(crate) fn air(&self, camera: PeerId, recorder: Option<PeerId>) -> (bool, usize) {
        let peers = self
            .viewers
            .iter()
            .filter(|(id, _)| **id != CALL && Some(**id) != recorder);
        let seen = peers.filter(|(_, viewer)| viewer.camera() == Some(camera));
        (self.on_air == Some(camera), seen.count())
    }

    /// Time passes for a stage on which there is somebody.
    fn wake(&mut self, now: Instant) {
        let waits = || self.viewers.values().any(Viewer::takes_placeholder);
        if self.tick.is_none() && (!self.cameras.is_empty() || waits()) {
            self.tick = now.checked_add(TICK);
        }
    }

    fn aim_all(&mut self, now: Instant) {
        for id in self.viewers.keys().copied().collect::<Vec<_>>() {
            self.aim(now, id);
        }
    }

    /// What a viewer is to see, and the keyframe that it needs for that.
    fn aim(&mut self, now: Instant, id: PeerId) {
        let Some(viewer) = self.viewers.get_mut(&id) else {
            return;
        };
        let output = &mut self.output;
        let lives = |(camera, ssrc)| {
            let layer = self.cameras.get(&camera)?.layer(ssrc)?;
            layer.lives(now).then_some(())
        };
        let flows = viewer.sees().and_then(lives).is_some();
        // Nobody is sent his own picture.
        let on_air = self.on_air.filter(|on_air| *on_air != id);
        match on_air.and_then(|on_air| self.cameras.get_key_value(&on_air)) {
            Some((peer, camera)) => match &*camera.sent(now) {
                [] if camera.still(now).is_some() => viewer.nothing(),
                layers => viewer.choose(now, *peer, layers, |packet| {
                    put(output, sent(id, packet, false));
                }),
            },
            None => viewer.nothing(),
        }
        viewer.idle(now, flows, |packet| put(output, sent(id, packet, false)));
        if let Some((camera, ssrc)) = viewer.needs() {
            self.ask(now, camera, ssrc);
        }
    }

    fn ask(&mut self, now: Instant, camera: PeerId, ssrc: u32) {
        let found = self.cameras.get_mut(&camera);
        if found.is_some_and(|camera| camera.ask(now, ssrc)) {
            put(&mut self.output, VideoOutput::Keyframe { camera, ssrc });
        }
    }
}

fn sent(viewer: PeerId, packet: VideoPacket, again: bool) -> VideoOutput {
    VideoOutput::Packet {
        viewer,
        packet,
        again,
    }
}

fn put(output: &mut VecDeque<VideoOutput>, one: VideoOutput) {
    if output.len() >= MAX_OUTPUT {
        output.pop_front();
    }
    output.push_back(one);
}

/// See [`crate::fuzzing`].
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use super::{BTreeMap, Jpeg, VideoCodec, VideoPacket, placeholder};
    use super::{Bytes, Duration, Feedback, Instant, PeerId, Stage, VideoFormat, VideoOutput};
    use std::collections::BTreeSet;
    use uro_discord_media::sequence::nearest;

    /// The numbers of what a viewer was sent.
    #[derive(Default)]
    struct Sent {
        newest: u64,
        numbers: BTreeSet<u64>,
    }

    impl Sent {
        fn packet(&mut self, sequence: u16, again: bool) {
            let number = nearest(self.newest, sequence);
            if again {
                assert!(self.numbers.contains(&number), "it was never sent");
            } else {
                assert!(self.numbers.insert(number), "a number comes twice");
                assert!(number <= self.newest + super::camera::JUMP, "they go on");
                self.newest = self.newest.max(number);
            }
        }
    }

    /// Cameras and viewers that come, go, send, and say anything: each viewer's numbers go on, none comes twice, and nothing is without a bound.
    pub fn stage(mut data: &[u8]) {
        let mut now = Instant::now();
        let mut stage = Stage::new();
        // When each viewer was sent the placeholder, if nothing of a camera came after it.
        let mut dark = BTreeMap::new();
        let mut sent: BTreeMap<PeerId, Sent> = BTreeMap::new();
        while let Some(([what, who, high, low, more], rest)) = data.split_first_chunk() {
            data = rest;
            let (camera, viewer) = (
                PeerId((who & 3).into()),
                PeerId((8 + (who >> 2 & 3)).into()),
            );
            let number = u16::from_be_bytes([*high, *low]);
            let codec = VideoCodec::ALL[usize::from(who >> 4 & 1)];
            let format = VideoFormat { codec, profile: 0 };
            match what & 7 {
                0 => stage.publish(now, camera, more.to_string()),
                1 => {
                    dark.remove(&viewer);
                    sent.insert(viewer, Sent::default());
                    stage.watch(now, viewer, vec![format], more & 1 == 0);
                }
                2 if what & 8 != 0 => stage.look(now, viewer, more & 1 == 0),
                2 if what & 16 != 0 => stage.withdraw(now, camera),
                2 if what & 32 != 0 => {
                    let bytes = Bytes::copy_from_slice(&[*more]);
                    let (time, width, height) = (0, 1, 1);
                    let jpeg = Jpeg {
                        time,
                        width,
                        height,
                        bytes,
                    };
                    stage.jpeg(now, camera, jpeg);
                    assert!(stage.on_air() != Some(camera) || stage.still(now).is_some());
                }
                2 => {
                    let gone = if more & 1 == 0 { camera } else { viewer };
                    sent.remove(&gone);
                    stage.leave(now, gone);
                }
                3 => stage.want(now, Some(more.to_string())),
                4 => stage.feedback(
                    now,
                    viewer,
                    match more & 3 {
                        0 if more & 4 != 0 => Feedback::Slow,
                        0 => Feedback::Keyframe,
                        1 => Feedback::Missing(vec![number, number.wrapping_add(1)]),
                        2 => Feedback::Lost(*low),
                        _ => Feedback::Carries(u64::from(number) * 1_000),
                    },
                ),
                5 => {
                    now += Duration::from_millis(u64::from(number) / 4);
                    stage.timeout(now);
                }
                _ => {
                    let length = usize::from(*more).min(data.len());
                    let (payload, rest) = data.split_at(length);
                    data = rest;
                    let packet = VideoPacket {
                        ssrc: 1 + u32::from(what >> 3 & 7),
                        format,
                        sequence: number,
                        time: u32::from(number) << 12,
                        marker: what & 1 == 0,
                        payload: Bytes::copy_from_slice(payload),
                    };
                    stage.packet(now, camera, packet);
                }
            }
            while let Some(output) = stage.poll() {
                match output {
                    VideoOutput::Packet {
                        viewer,
                        packet,
                        again,
                    } => {
                        let Some(sent) = sent.get_mut(&viewer) else {
                            panic!("{viewer:?} does not watch");
                        };
                        sent.packet(packet.sequence, again);
                        if packet.ssrc != 0 {
                            dark.remove(&viewer);
                        } else if packet.marker {
                            let before = dark.insert(viewer, now);
                            assert!(before.is_none_or(|it| now - it >= placeholder::ASKED));
                        }
                    }
                    VideoOutput::Jpeg { viewer, .. } => {
                        stage.shown(now, viewer, 1, what & 1 == 0);
                    }
                    VideoOutput::Keyframe { .. } | VideoOutput::OnAir(_) | VideoOutput::Kind(_) => {
                    }
                }
            }
        }
        let (cameras, viewers) = stage.health(now);
        assert!(cameras.len() <= 4 && viewers.len() <= 8);
        assert!(cameras.iter().all(|camera| camera.layers <= 6));
    }
}

#[cfg(test)]
mod tests;
