use super::*;
use uro_discord_media::fixtures::frames;
use uro_discord_media::{h264, vp8};

const FRAME: Duration = Duration::from_millis(33);
const TICKS: u32 = 3_000;

/// Sends real frames, over and over. They have two keyframes in six.
struct Source {
    peer: PeerId,
    ssrc: u32,
    codec: VideoCodec,
    frames: Vec<Vec<u8>>,
    next: usize,
    sequence: u16,
    time: u32,
    picture: u16,
    /// Largest payload.
    size: usize,
}

impl Source {
    fn new(peer: u32, codec: VideoCodec) -> Self {
        Self {
            peer: PeerId(peer),
            ssrc: peer * 100,
            codec,
            frames: frames(codec),
            next: 0,
            sequence: 65_500_u16.wrapping_add(u16::try_from(peer).unwrap() * 1_000),
            time: 0xffff_f000_u32.wrapping_add(peer * 50_000),
            picture: 0x7ffe,
            size: 300,
        }
    }

    /// A frame's packets: a keyframe, or one that needs others.
    fn frame(&mut self, key: bool) -> Vec<VideoPacket> {
        while self.codec.is_keyframe(&self.frames[self.next]) != key {
            self.next = (self.next + 1) % self.frames.len();
        }
        let frame = &self.frames[self.next];
        self.next = (self.next + 1) % self.frames.len();
        let payloads = match self.codec {
            VideoCodec::Vp8 => vp8::packetize(frame, self.picture, self.size),
            VideoCodec::H264 => h264::packetize(frame, self.size),
        };
        self.picture = (self.picture + 1) % vp8::PICTURE_IDS;
        self.time = self.time.wrapping_add(TICKS);
        let last = payloads.len() - 1;
        let packets = payloads.into_iter().enumerate().map(|(index, payload)| {
            self.sequence = self.sequence.wrapping_add(1);
            VideoPacket {
                ssrc: self.ssrc,
                format: VideoFormat {
                    codec: self.codec,
                    profile: 0,
                },
                sequence: self.sequence,
                time: self.time,
                marker: index == last,
                payload: payload.into(),
            }
        });
        packets.collect()
    }
}

/// A stage, and what came out of it.
struct Scene {
    stage: Stage,
    now: Instant,
    seen: BTreeMap<PeerId, Vec<VideoPacket>>,
    again: Vec<VideoPacket>,
    /// Whole pictures, by what is in them.
    shown: Vec<(PeerId, Bytes)>,
    asked: Vec<(PeerId, u32)>,
    on_air: Option<PeerId>,
    /// Of what kind the picture is, as was told.
    kinds: Vec<Option<&'static str>>,
}

const BOTH: [VideoFormat; 2] = [
    VideoFormat {
        codec: VideoCodec::Vp8,
        profile: 0,
    },
    VideoFormat {
        codec: VideoCodec::H264,
        profile: 66,
    },
];

impl Scene {
    fn new() -> Self {
        Self {
            stage: Stage::new(),
            now: Instant::now(),
            seen: BTreeMap::new(),
            again: Vec::new(),
            shown: Vec::new(),
            asked: Vec::new(),
            on_air: None,
            kinds: Vec::new(),
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.stage.poll() {
            match output {
                VideoOutput::Packet {
                    viewer,
                    packet,
                    again: false,
                } => self.seen.entry(viewer).or_default().push(packet),
                VideoOutput::Packet { packet, .. } => self.again.push(packet),
                VideoOutput::Jpeg { viewer, jpeg } => {
                    self.stage.shown(self.now, viewer, jpeg.bytes.len(), true);
                    self.shown.push((viewer, jpeg.bytes));
                }
                VideoOutput::Keyframe { camera, ssrc } => self.asked.push((camera, ssrc)),
                VideoOutput::OnAir(peer) => self.on_air = peer,
                VideoOutput::Kind(kind) => self.kinds.push(kind),
            }
        }
    }

    fn publish(&mut self, source: &Source, subject: &str) {
        self.stage.publish(self.now, source.peer, subject.into());
        self.drain();
    }

    fn watch(&mut self, viewer: u32) {
        self.stage
            .watch(self.now, PeerId(viewer), BOTH.to_vec(), false);
        self.drain();
    }

    /// One that sees the placeholder while there is no camera.
    fn watch_always(&mut self, viewer: u32, formats: &[VideoFormat]) {
        let formats = formats.to_vec();
        self.stage.watch(self.now, PeerId(viewer), formats, true);
        self.drain();
    }

    fn send(&mut self, source: &Source, packets: Vec<VideoPacket>) {
        for packet in packets {
            self.stage.packet(self.now, source.peer, packet);
        }
        self.drain();
    }

    fn frame(&mut self, source: &mut Source, key: bool) {
        let packets = source.frame(key);
        self.send(source, packets);
    }

    fn jpeg(&mut self, camera: u32, bytes: &'static [u8]) {
        let jpeg = Jpeg {
            time: 0,
            width: 640,
            height: 360,
            bytes: Bytes::from_static(bytes),
        };
        self.stage.jpeg(self.now, PeerId(camera), jpeg);
        self.drain();
    }

    fn look(&mut self, viewer: u32, looks: bool) {
        self.stage.look(self.now, PeerId(viewer), looks);
        self.drain();
    }

    /// Whole pictures since this was asked last.
    fn shown(&mut self) -> Vec<(u32, Bytes)> {
        let shown = std::mem::take(&mut self.shown).into_iter();
        shown.map(|(viewer, bytes)| (viewer.0, bytes)).collect()
    }

    fn still(&self) -> Option<Bytes> {
        let jpeg = self.stage.still(self.now)?;
        Some(jpeg.bytes.clone())
    }

    fn say(&mut self, viewer: u32, feedback: Feedback) {
        self.stage.feedback(self.now, PeerId(viewer), feedback);
        self.drain();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.stage.deadline().filter(|at| *at <= until) {
            self.now = at;
            self.stage.timeout(at);
            self.drain();
        }
        self.now = until;
    }

    /// What a viewer was sent since this was asked last.
    fn seen(&mut self, viewer: u32) -> Vec<VideoPacket> {
        self.seen.remove(&PeerId(viewer)).unwrap_or_default()
    }
}

/// The frames of packets that come in order; they have no seam.
fn pictures(packets: &[VideoPacket]) -> Vec<Vec<u8>> {
    for (one, other) in packets.iter().zip(&packets[1..]) {
        assert_eq!(one.sequence.wrapping_add(1), other.sequence, "a seam");
        let step = other.time.wrapping_sub(one.time);
        assert!(step == 0 || one.marker && (1..0x8000_0000).contains(&step));
    }
    let mut found = Vec::new();
    for packets in packets.chunk_by(|one, other| one.time == other.time) {
        let payloads = packets.iter().map(|it| &it.payload[..]);
        let mut frame = Vec::new();
        match packets[0].format.codec {
            VideoCodec::Vp8 => drop(vp8::depacketize(payloads, &mut frame).unwrap()),
            VideoCodec::H264 => h264::depacketize(payloads, &mut frame).unwrap(),
        }
        found.push(frame);
    }
    found
}

#[test]
fn who_is_there_sees_what_is_sent() {
    for codec in VideoCodec::ALL {
        let (mut scene, mut source) = (Scene::new(), Source::new(1, codec));
        scene.watch(9);
        assert_eq!(scene.stage.deadline(), None, "nothing is to be done");
        scene.publish(&source, "a");
        assert_eq!(scene.on_air, Some(PeerId(1)));
        // What needs others is of no use yet, and a keyframe is asked for.
        scene.frame(&mut source, false);
        assert_eq!(scene.seen(9), []);
        assert_eq!(scene.asked, [(PeerId(1), 100)]);
        let wanted = frames(codec);
        source.next = 0;
        for frame in &wanted {
            scene.frame(&mut source, codec.is_keyframe(frame));
        }
        assert_eq!(pictures(&scene.seen(9)), wanted);
    }
}

#[test]
fn who_comes_late_sees_a_keyframe_and_all_after_it_at_once() {
    let (mut scene, mut source) = (Scene::new(), Source::new(1, VideoCodec::Vp8));
    scene.publish(&source, "a");
    let mut wanted = Vec::new();
    for key in [false, true, false, false] {
        scene.pass(FRAME);
        wanted.push(source.frames[source.next].clone());
        scene.frame(&mut source, key);
    }
    scene.watch(9);
    let seen = scene.seen(9);
    assert_eq!(pictures(&seen).len(), 3);
    assert_eq!(scene.asked, []);
    // What is past goes by within some milliseconds, so that the player does not stay behind for it.
    let past = seen.last().unwrap().time.wrapping_sub(seen[0].time);
    assert_eq!(past, 2 * TICKS / 32);
    scene.pass(FRAME);
    scene.frame(&mut source, false);
    let next = scene.seen(9);
    assert_eq!(next[0].time.wrapping_sub(seen.last().unwrap().time), TICKS);
}

#[test]
fn who_comes_much_later_shares_a_keyframe_with_others() {
    let (mut scene, mut source) = (Scene::new(), Source::new(1, VideoCodec::H264));
    scene.publish(&source, "a");
    source.size = 40;
    scene.frame(&mut source, true);
    for _ in 0..300 {
        scene.pass(FRAME);
        scene.frame(&mut source, false);
    }
    for viewer in 10..20 {
        scene.watch(viewer);
        scene.pass(Duration::from_millis(10));
        scene.say(viewer, Feedback::Keyframe);
        assert_eq!(scene.seen(viewer), []);
    }
    assert_eq!(scene.asked.len(), 1);
    // None comes: it is asked again, less and less often.
    scene.frame(&mut source, false);
    scene.pass(Duration::from_secs(2));
    scene.frame(&mut source, false);
    assert_eq!(scene.asked.len(), 2);
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.asked.len(), 3);
    scene.frame(&mut source, true);
    for viewer in 10..20 {
        assert_eq!(pictures(&scene.seen(viewer)).len(), 1);
    }
    // One that was asked for has come; the next who needs one is heard at once.
    scene.say(10, Feedback::Keyframe);
    assert_eq!(scene.asked.len(), 4);
    scene.say(11, Feedback::Keyframe);
    assert_eq!(scene.asked.len(), 4);
}

#[test]
fn another_camera_is_seen_from_its_keyframe_on_without_a_seam() {
    for codecs in [
        [VideoCodec::Vp8, VideoCodec::Vp8],
        [VideoCodec::Vp8, VideoCodec::H264],
        [VideoCodec::H264, VideoCodec::Vp8],
    ] {
        let mut scene = Scene::new();
        let [mut one, mut other] = [Source::new(1, codecs[0]), Source::new(2, codecs[1])];
        scene.watch(9);
        scene.publish(&one, "one");
        scene.publish(&other, "other");
        assert_eq!(scene.on_air, Some(PeerId(1)));
        scene.frame(&mut one, true);
        scene.frame(&mut other, false);
        scene.pass(FRAME);
        scene.asked.clear();
        scene.stage.want(scene.now, Some("other".into()));
        scene.drain();
        assert_eq!(scene.on_air, Some(PeerId(2)));
        assert_eq!(scene.asked, [(PeerId(2), 200)]);
        // The first one is seen until the second has a keyframe.
        scene.frame(&mut one, false);
        scene.frame(&mut other, false);
        scene.pass(FRAME);
        scene.frame(&mut other, true);
        scene.frame(&mut one, false);
        scene.pass(FRAME);
        scene.frame(&mut other, false);
        let seen = scene.seen(9);
        assert_eq!(pictures(&seen).len(), 4);
        let formats: Vec<VideoCodec> = seen.iter().map(|it| it.format.codec).collect();
        assert_eq!(
            (formats[0], *formats.last().unwrap()),
            (codecs[0], codecs[1])
        );
        if codecs[0] == codecs[1] {
            let ids: Vec<u16> = seen
                .chunk_by(|one, other| one.time == other.time)
                .map(|it| vp8::numbers(&it[0].payload).unwrap().0.unwrap())
                .collect();
            assert_eq!(ids, [0x7ffe, 0x7fff, 0, 1]);
        }
        // He goes: the one who is left is on air.
        scene.stage.leave(scene.now, PeerId(2));
        scene.drain();
        assert_eq!(scene.on_air, Some(PeerId(1)));
        assert_eq!(scene.seen(9), []);
        scene.frame(&mut one, true);
        assert_eq!(pictures(&scene.seen(9)).len(), 1);
    }
}

#[test]
fn a_room_that_turns_to_another_camera_waits_for_its_keyframe() {
    let mut scene = Scene::new();
    let (mut one, mut two) = (
        Source::new(1, VideoCodec::Vp8),
        Source::new(2, VideoCodec::Vp8),
    );
    (one.size, two.size) = (20, 20);
    scene.publish(&one, "a");
    scene.publish(&two, "b");
    for viewer in 10..310 {
        scene.watch(viewer);
    }
    for source in [&mut one, &mut two] {
        scene.frame(source, true);
        scene.frame(source, false);
    }
    scene.seen.clear();
    scene.asked.clear();
    scene.pass(Duration::from_secs(1));
    scene.stage.want(scene.now, Some("b".into()));
    scene.drain();
    assert_eq!(scene.on_air, Some(two.peer));
    assert_eq!(scene.asked, [(two.peer, two.ssrc)]);
    assert!(scene.seen.is_empty());
    scene.frame(&mut two, true);
    for viewer in 10..310 {
        assert_eq!(pictures(&scene.seen(viewer)).len(), 1);
    }
}

#[test]
fn who_cannot_take_the_camera_on_air_sees_the_one_before_no_more() {
    // The other one sends what this viewer was not offered, or whole pictures only.
    for whole in [false, true] {
        let mut scene = Scene::new();
        let mut one = Source::new(1, VideoCodec::H264);
        let mut other = Source::new(2, VideoCodec::Vp8);
        let formats = BOTH[1..].to_vec();
        scene.stage.watch(scene.now, PeerId(9), formats, false);
        scene.watch(8);
        scene.publish(&one, "one");
        scene.publish(&other, "other");
        scene.frame(&mut one, true);
        assert_eq!(pictures(&scene.seen(9)).len(), 1);
        scene.pass(FRAME);
        scene.stage.want(scene.now, Some("other".into()));
        scene.drain();
        // Nothing is known of the other one: what was seen before goes on until then.
        scene.frame(&mut one, false);
        assert_eq!(pictures(&scene.seen(9)).len(), 1);
        scene.seen.clear();
        scene.pass(FRAME);
        match whole {
            true => scene.jpeg(2, b"whole"),
            false => scene.frame(&mut other, true),
        }
        scene.frame(&mut one, false);
        scene.frame(&mut one, true);
        assert_eq!(scene.seen(9), [], "whole: {whole}");
        let (_, viewers) = scene.stage.health(scene.now);
        let camera = viewers.iter().find(|it| it.peer == PeerId(9)).unwrap();
        assert_eq!(camera.camera, None);
        // It is so while the other one stands still, too.
        scene.pass(Duration::from_secs(15));
        scene.frame(&mut one, true);
        assert_eq!(scene.seen(9), [], "whole: {whole}");
        assert_eq!(scene.seen(8).is_empty(), whole);
        // The first one is on air again: from a keyframe on, which is asked for.
        scene.asked.clear();
        scene.stage.want(scene.now, Some("one".into()));
        scene.drain();
        scene.frame(&mut one, false);
        assert_eq!(scene.seen(9), []);
        assert_eq!(scene.asked, [(one.peer, one.ssrc)]);
        scene.frame(&mut one, true);
        assert_eq!(pictures(&scene.seen(9)).len(), 1);
    }
}

#[test]
fn nobody_sees_his_own_picture() {
    let mut scene = Scene::new();
    let [mut one, mut other] = [1, 2].map(|peer| Source::new(peer, VideoCodec::Vp8));
    for (source, subject, viewer) in [(&one, "one", 1), (&other, "other", 2)] {
        scene.publish(source, subject);
        scene.watch(viewer);
    }
    scene.frame(&mut one, true);
    scene.frame(&mut other, true);
    assert_eq!(scene.seen(1), []);
    assert_eq!(pictures(&scene.seen(2)).len(), 1);
    // The other one is on air: he is seen by the first, and sees the first no more.
    scene.stage.want(scene.now, Some("other".into()));
    scene.drain();
    scene.frame(&mut other, true);
    scene.frame(&mut one, true);
    assert!(!pictures(&scene.seen(1)).is_empty());
    assert_eq!(scene.seen(2), []);
}

#[test]
fn what_was_lost_is_sent_again() {
    let (mut scene, mut source) = (Scene::new(), Source::new(1, VideoCodec::Vp8));
    scene.watch(9);
    scene.publish(&source, "a");
    scene.frame(&mut source, true);
    scene.frame(&mut source, false);
    let seen = scene.seen(9);
    let numbers = |packets: &[VideoPacket]| packets.iter().map(|it| it.sequence).collect();
    let all: Vec<u16> = numbers(&seen);
    let wrong = [
        all[0].wrapping_sub(1),
        all.last().unwrap().wrapping_add(1),
        40_000,
    ];
    scene.say(9, Feedback::Missing([&wrong[..], &all].concat()));
    assert_eq!(scene.again, seen);
    // Not for ever.
    for _ in 0..1_000 {
        scene.say(9, Feedback::Missing(all.clone()));
    }
    assert_eq!(scene.again.len(), 200);
    // One that is nobody's viewer is not heard.
    scene.say(8, Feedback::Missing(all));
    assert_eq!(scene.again.len(), 200);
}

#[test]
fn what_comes_late_has_its_place() {
    let (mut scene, mut source) = (Scene::new(), Source::new(1, VideoCodec::H264));
    source.size = 60;
    scene.watch(9);
    scene.publish(&source, "a");
    let mut packets = source.frame(true);
    assert!(packets.len() > 4);
    let late = packets.remove(2);
    scene.send(&source, packets.clone());
    let next = source.frame(false);
    scene.send(&source, next.clone());
    scene.send(
        &source,
        vec![late.clone(), late.clone(), packets[0].clone()],
    );
    let mut seen = scene.seen(9);
    assert_eq!(seen.len(), packets.len() + 1 + next.len(), "none twice");
    seen.sort_by_key(|it| it.sequence);
    assert_eq!(pictures(&seen).len(), 2);
    let (cameras, _) = scene.stage.health(scene.now);
    assert_eq!((cameras[0].dropped, cameras[0].keyframes), (2, 1));
}

#[test]
fn a_link_that_is_full_is_its_viewers_alone() {
    let (mut scene, mut source) = (Scene::new(), Source::new(1, VideoCodec::Vp8));
    scene.publish(&source, "a");
    scene.watch(8);
    scene.watch(9);
    scene.frame(&mut source, true);
    scene.say(9, Feedback::Lost(100));
    scene.frame(&mut source, false);
    scene.frame(&mut source, true);
    assert_eq!(pictures(&scene.seen(8)).len(), 3);
    let before = scene.seen(9);
    assert_eq!(pictures(&before).len(), 1);
    scene.asked.clear();
    scene.pass(Duration::from_secs(2));
    assert!(scene.asked.contains(&(PeerId(1), 100)));
    scene.frame(&mut source, false);
    assert_eq!(scene.seen(9), [], "it waits for a keyframe");
    scene.frame(&mut source, true);
    let after = scene.seen(9);
    assert_eq!(pictures(&[before, after].concat()).len(), 2);
    let (_, viewers) = scene.stage.health(scene.now);
    let congested: Vec<u64> = viewers.iter().map(|it| it.congested).collect();
    assert_eq!(congested, [0, 1]);
}

#[test]
fn a_viewer_has_the_largest_layer_that_its_link_carries() {
    let mut scene = Scene::new();
    let [mut large, mut small] = [1, 1].map(|peer| Source::new(peer, VideoCodec::Vp8));
    small.ssrc = 101;
    // As if it were larger: twice the frames.
    scene.publish(&large, "a");
    let both = |scene: &mut Scene, large: &mut Source, small: &mut Source, key| {
        scene.frame(small, key);
        scene.frame(large, key);
        scene.frame(large, false);
        scene.pass(FRAME);
    };
    for round in 0..40 {
        both(&mut scene, &mut large, &mut small, round == 0);
    }
    scene.watch(9);
    both(&mut scene, &mut large, &mut small, true);
    let ssrcs = |packets: Vec<VideoPacket>| -> Vec<u32> {
        pictures(&packets);
        let mut all: Vec<u32> = packets.iter().map(|it| it.ssrc).collect();
        all.dedup();
        all
    };
    assert_eq!(ssrcs(scene.seen(9)), [100]);
    scene.say(9, Feedback::Lost(100));
    both(&mut scene, &mut large, &mut small, true);
    assert_eq!(ssrcs(scene.seen(9)).last(), Some(&101));
    // It is tried whether it carries more by now.
    for round in 0..290 {
        both(&mut scene, &mut large, &mut small, round % 30 == 0);
    }
    assert_eq!(ssrcs(scene.seen(9)), [101, 100]);
    let (cameras, _) = scene.stage.health(scene.now);
    assert_eq!(cameras[0].layers, 2);
}

#[test]
fn who_asks_for_much_again_gets_the_smaller_layer_before_he_reports_it() {
    for (each, ends) in [(5, 101), (20, 100)] {
        let mut scene = Scene::new();
        let [mut large, mut small] = [1, 1].map(|peer| Source::new(peer, VideoCodec::Vp8));
        small.ssrc = 101;
        // As if it were larger: its packets have less in them, and more before it.
        (large.size, small.size) = (60, 1_000);
        scene.publish(&large, "a");
        let round = |scene: &mut Scene, large: &mut Source, small: &mut Source, key| {
            scene.frame(small, key);
            scene.frame(large, key);
            scene.pass(FRAME);
        };
        // How large both layers are is known before somebody comes.
        for n in 0..40 {
            round(&mut scene, &mut large, &mut small, n == 0);
        }
        scene.watch(9);
        round(&mut scene, &mut large, &mut small, true);
        let mut last = scene.seen(9).last().unwrap().ssrc;
        assert_eq!(last, 100);
        for _ in 0..20 {
            let seen = scene.seen(9);
            last = seen.last().map_or(last, |it| it.ssrc);
            let missed = seen
                .iter()
                .map(|it| it.sequence)
                .filter(|it| it % each == 0);
            scene.say(9, Feedback::Missing(missed.collect()));
            round(&mut scene, &mut large, &mut small, true);
        }
        assert_eq!(last, ends, "one in {each} was missed");
    }
}

/// The placeholder, as it comes whole.
fn placeholders(codec: VideoCodec) -> [Vec<u8>; 2] {
    [0, 1].map(|picture| {
        let payloads = placeholder::payloads(codec, picture);
        let parts = payloads.iter().map(|it| &it[..]);
        let mut frame = Vec::new();
        match codec {
            VideoCodec::Vp8 => drop(vp8::depacketize(parts, &mut frame).unwrap()),
            VideoCodec::H264 => h264::depacketize(parts, &mut frame).unwrap(),
        }
        frame
    })
}

#[test]
fn who_has_no_camera_to_see_sees_the_placeholder_without_a_seam() {
    for (codec, format) in [(VideoCodec::Vp8, BOTH[0]), (VideoCodec::H264, BOTH[1])] {
        let [even, odd] = placeholders(codec);
        let (mut scene, mut source) = (Scene::new(), Source::new(1, codec));
        let began = scene.now;
        scene.watch_always(9, &[format]);
        scene.watch(8);
        let mut all = Vec::new();
        let next = |scene: &mut Scene, all: &mut Vec<VideoPacket>| {
            let seen = scene.seen(9);
            all.extend(seen.clone());
            pictures(&seen)
        };
        assert_eq!(next(&mut scene, &mut all), [&odd[..]]);
        // What was lost is mended.
        scene.pass(Duration::from_millis(1_999));
        assert_eq!(scene.seen(9), []);
        scene.pass(Duration::from_millis(2_001));
        assert_eq!(next(&mut scene, &mut all), [&even[..], &odd[..]]);
        scene.pass(FRAME * 20);
        scene.say(9, Feedback::Keyframe);
        assert_eq!(next(&mut scene, &mut all), [&even[..]]);
        // A camera is seen from its keyframe on; until then what is there stays.
        scene.publish(&source, "a");
        scene.frame(&mut source, false);
        assert_eq!(scene.seen(9), []);
        scene.say(9, Feedback::Keyframe);
        assert_eq!(scene.asked, [(PeerId(1), 100)]);
        scene.pass(FRAME * 20);
        scene.say(9, Feedback::Keyframe);
        assert_eq!(next(&mut scene, &mut all), [&odd[..]]);
        let wanted = frames(codec);
        for round in 0..60 {
            source.next = round % wanted.len();
            let frame = &wanted[source.next];
            scene.frame(&mut source, codec.is_keyframe(frame));
            assert_eq!(next(&mut scene, &mut all), [&frame[..]]);
            scene.say(9, Feedback::Keyframe);
            scene.pass(FRAME);
        }
        let camera = |scene: &mut Scene| scene.stage.health(scene.now).1[1].camera;
        assert_eq!(camera(&mut scene), Some(PeerId(1)));
        // It goes, comes again, and goes.
        for _ in 0..2 {
            scene.stage.leave(scene.now, PeerId(1));
            scene.drain();
            let seen = next(&mut scene, &mut all);
            assert!(seen == [&even[..]] || seen == [&odd[..]]);
            assert_eq!(camera(&mut scene), None);
            scene.pass(Duration::from_millis(700));
            scene.publish(&source, "a");
            scene.frame(&mut source, true);
            assert_eq!(next(&mut scene, &mut all).len(), 1);
        }
        pictures(&all);
        assert_eq!(all[0].sequence, 1);
        // Time is that of the clock.
        let ticks = all.last().unwrap().time.wrapping_sub(all[0].time);
        let passed = (scene.now - began).as_millis() as u32 * 90;
        assert!(ticks.abs_diff(passed) < 90 * 50, "{ticks} of {passed}");
        if codec == VideoCodec::Vp8 {
            let ids = all.chunk_by(|one, other| one.time == other.time);
            let ids: Vec<u16> = ids
                .map(|it| vp8::numbers(&it[0].payload).unwrap().0.unwrap())
                .collect();
            assert!(ids.windows(2).all(|it| it[1] == it[0].wrapping_add(1)));
        }
        // Who is told in words was sent the camera, and nothing else.
        assert_eq!(pictures(&scene.seen(8)).len(), 62);
    }
}

#[test]
fn the_placeholder_is_seen_in_place_of_what_cannot_be() {
    let [even, odd] = placeholders(VideoCodec::H264);
    let is_it = |packets: Vec<VideoPacket>| match &pictures(&packets)[..] {
        [one] => *one == even || *one == odd,
        _ => false,
    };
    let mut scene = Scene::new();
    let mut one = Source::new(1, VideoCodec::H264);
    let mut other = Source::new(2, VideoCodec::Vp8);
    scene.publish(&one, "one");
    scene.publish(&other, "other");
    scene.frame(&mut one, true);
    scene.watch_always(9, &BOTH[1..]);
    assert_eq!(pictures(&scene.seen(9)).len(), 1);
    // Another one is on air, of which nothing is known: what was seen goes on.
    scene.stage.want(scene.now, Some("other".into()));
    scene.drain();
    scene.frame(&mut one, false);
    assert!(!is_it(scene.seen(9)));
    // It is in another codec; and then it sends whole pictures.
    scene.frame(&mut other, true);
    assert!(is_it(scene.seen(9)));
    scene.frame(&mut other, true);
    scene.jpeg(2, b"whole");
    assert_eq!(scene.seen(9), []);
    scene.pass(Duration::from_secs(4));
    scene.jpeg(2, b"whole");
    assert_eq!(pictures(&scene.seen(9)).len(), 2);
    // Of one's own picture nothing is seen.
    scene.watch_always(1, &BOTH[1..]);
    assert!(is_it(scene.seen(1)));
    scene.stage.want(scene.now, Some("one".into()));
    scene.drain();
    scene.frame(&mut one, true);
    assert!(!is_it(scene.seen(9)));
    assert_eq!(scene.seen(1), []);
    scene.stage.leave(scene.now, PeerId(1));
    scene.stage.leave(scene.now, PeerId(2));
    scene.drain();
    assert!(is_it(scene.seen(9)));
    scene.stage.leave(scene.now, PeerId(9));
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.stage.deadline(), None, "nothing is to be done");
}

#[test]
fn the_placeholder_is_seen_when_nothing_comes_of_the_camera() {
    for key in [false, true] {
        let (mut scene, mut source) = (Scene::new(), Source::new(1, VideoCodec::Vp8));
        scene.watch_always(9, &BOTH);
        scene.watch(8);
        scene.publish(&source, "a");
        scene.frame(&mut source, true);
        pictures(&scene.seen(9));
        scene.pass(Duration::from_millis(2_900));
        assert_eq!(scene.seen(9), []);
        scene.pass(Duration::from_millis(700));
        assert_eq!(pictures(&scene.seen(9)).len(), 1);
        // When it goes on: from a keyframe on.
        scene.asked.clear();
        scene.frame(&mut source, key);
        assert_eq!(scene.seen(9).is_empty(), !key);
        assert_eq!(scene.asked.is_empty(), key);
        assert_eq!(scene.kinds.last(), Some(&Some("VP8")));
        scene.frame(&mut source, true);
        scene.frame(&mut source, false);
        assert!(!pictures(&scene.seen(9)).is_empty());
        // Who is told in words sees what he saw before, once.
        pictures(&scene.seen(8));
    }
}

#[test]
fn the_placeholder_is_sent_twice_a_second_at_most() {
    let mut scene = Scene::new();
    scene.watch_always(9, &BOTH);
    for _ in 0..1_000 {
        scene.say(9, Feedback::Keyframe);
        scene.say(9, Feedback::Missing(vec![0, 1, 2, 65_535]));
        scene.say(9, Feedback::Lost(255));
        scene.say(9, Feedback::Carries(0));
        scene.pass(Duration::from_millis(10));
    }
    let seen = pictures(&scene.seen(9)).len();
    assert!((20..=21).contains(&seen), "{seen} in ten seconds");
    assert_eq!(scene.again, []);
    // None of it was taken for a link that is full.
    let (_, viewers) = scene.stage.health(scene.now);
    assert_eq!((viewers[0].congested, viewers[0].camera), (0, None));
    let mut source = Source::new(1, VideoCodec::Vp8);
    scene.publish(&source, "a");
    scene.frame(&mut source, true);
    assert_eq!(pictures(&scene.seen(9)).len(), 1);
}

#[test]
fn a_layer_is_the_larger_one_whatever_its_bits() {
    let mut scene = Scene::new();
    let [mut large, mut small] = [1, 1].map(|peer| Source::new(peer, VideoCodec::Vp8));
    small.ssrc = 101;
    for key in [0, 3] {
        // Its width, in the keyframes.
        small.frames[key][6] /= 2;
    }
    scene.publish(&large, "a");
    scene.frame(&mut large, true);
    // The picture stands still, and somebody asks for the smaller layer's keyframes.
    for round in 0..90 {
        scene.frame(&mut small, true);
        if round % 20 == 0 {
            scene.frame(&mut large, false);
        }
        scene.pass(FRAME);
    }
    scene.watch(9);
    scene.frame(&mut small, true);
    scene.frame(&mut large, true);
    let seen = scene.seen(9);
    assert!(seen.len() > 3 && seen.iter().all(|packet| packet.ssrc == 100));
}

#[test]
fn a_stream_that_begins_anew_is_seen_from_its_first_keyframe_on() {
    let (mut scene, mut source) = (Scene::new(), Source::new(1, VideoCodec::Vp8));
    scene.watch(9);
    scene.publish(&source, "a");
    scene.frame(&mut source, true);
    for (leap, key) in [(10_000, true), (40_000, true), (10_000, false)] {
        scene.frame(&mut source, false);
        scene.pass(FRAME);
        source.sequence = source.sequence.wrapping_add(leap);
        scene.frame(&mut source, key);
    }
    // What needs others that nobody knows is not seen.
    let seen = scene.seen(9);
    assert_eq!(pictures(&seen).len(), 6);
    scene.frame(&mut source, true);
    assert_eq!(pictures(&[seen, scene.seen(9)].concat()).len(), 7);
}

#[test]
fn who_shows_first_is_on_air_whoever_came_first() {
    let mut scene = Scene::new();
    let [one, two, three] = [1, 2, 3].map(|peer| Source::new(peer, VideoCodec::Vp8));
    scene.publish(&two, "b");
    scene.publish(&one, "a");
    scene.publish(&three, "b");
    scene.publish(&two, "b");
    assert_eq!(scene.on_air, Some(two.peer));
    for wanted in [Some("a"), None, Some("b"), Some("nobody")] {
        scene.stage.want(scene.now, wanted.map(str::to_owned));
        scene.drain();
        let first = if wanted == Some("a") { &one } else { &two };
        assert_eq!(scene.on_air, Some(first.peer));
    }
    // He comes again, and is the last.
    scene.stage.withdraw(scene.now, two.peer);
    scene.publish(&two, "b");
    assert_eq!(scene.on_air, Some(one.peer));
    scene.stage.leave(scene.now, one.peer);
    scene.drain();
    assert_eq!(scene.on_air, Some(three.peer));
}

#[test]
fn whatever_comes_numbers_go_on() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20 {
        let mut scene = Scene::new();
        let mut sources = [
            Source::new(1, VideoCodec::Vp8),
            Source::new(2, VideoCodec::Vp8),
        ];
        scene.watch(9);
        for (source, subject) in sources.iter().zip(["0", "1"]) {
            scene.publish(source, subject);
        }
        let mut newest: Option<VideoPacket> = None;
        for _ in 0..400 {
            let source = &mut sources[random.usize(..2)];
            match random.u8(..40) {
                0 => source.sequence = random.u16(..),
                1 => source.time = random.u32(..),
                2 => scene
                    .stage
                    .want(scene.now, Some(random.u8(..2).to_string())),
                3 => scene.say(9, Feedback::Lost(random.u8(..))),
                4 => scene.say(9, Feedback::Missing(vec![random.u16(..)])),
                _ => {}
            }
            let mut packets = source.frame(random.u8(..10) == 0);
            if random.u8(..10) == 0 {
                random.shuffle(&mut packets);
            }
            packets.retain(|_| random.u8(..20) > 0);
            scene.send(source, packets);
            scene.pass(Duration::from_millis(random.u64(..60)));
            for packet in scene.seen(9) {
                if let Some(last) = &newest {
                    let ahead = packet.sequence.wrapping_sub(last.sequence);
                    assert!(ahead > 0, "a number comes twice");
                    if ahead < 0x8000 {
                        assert!(u64::from(ahead) < 3_100);
                        newest = Some(packet);
                    }
                } else {
                    newest = Some(packet);
                }
            }
        }
        assert!(newest.is_some());
    }
}

#[test]
fn what_is_too_large_or_nobodys_is_dropped() {
    let (mut scene, mut source) = (Scene::new(), Source::new(1, VideoCodec::Vp8));
    scene.watch(9);
    scene.frame(&mut source, true);
    assert_eq!(scene.seen(9), []);
    scene.publish(&source, "a");
    let mut packets = source.frame(true);
    packets[0].payload = [&packets[0].payload[..], &[0; LARGEST]].concat().into();
    packets.truncate(1);
    scene.send(&source, packets);
    // Streams are few, and one that has ended makes room.
    for ssrc in 0..20 {
        source.ssrc = ssrc;
        scene.frame(&mut source, true);
    }
    let (cameras, _) = scene.stage.health(scene.now);
    assert_eq!(cameras[0].layers, 6);
    scene.pass(Duration::from_secs(4));
    source.ssrc = 77;
    scene.frame(&mut source, true);
    let (cameras, _) = scene.stage.health(scene.now);
    assert_eq!(cameras[0].layers, 1);
    scene.stage.leave(scene.now, PeerId(1));
    scene.stage.leave(scene.now, PeerId(9));
    assert!(scene.stage.is_empty());
}

#[test]
fn whole_pictures_of_the_camera_on_air_are_seen_by_those_who_look() {
    let mut scene = Scene::new();
    scene.look(9, true);
    assert_eq!(scene.stage.deadline(), None, "nothing is to be done");
    // Nobody is a camera by a picture alone.
    scene.jpeg(1, b"none");
    assert_eq!((scene.still(), scene.shown()), (None, vec![]));
    for camera in [1, 2] {
        scene
            .stage
            .publish(scene.now, PeerId(camera), camera.to_string());
    }
    scene.jpeg(1, b"one");
    scene.jpeg(2, b"two");
    assert_eq!(scene.shown(), [(9, Bytes::from_static(b"one"))]);
    assert_eq!(scene.still(), Some(Bytes::from_static(b"one")));
    // Who comes later sees at once what is there, and nobody sees his own.
    scene.look(8, true);
    scene.look(8, true);
    scene.look(1, true);
    assert_eq!(scene.shown(), [(8, Bytes::from_static(b"one"))]);
    // Another camera is on air: its newest picture is there.
    scene.stage.want(scene.now, Some("2".into()));
    scene.drain();
    assert_eq!(scene.on_air, Some(PeerId(2)));
    let two = Bytes::from_static(b"two");
    assert_eq!(
        scene.shown(),
        [(1, two.clone()), (8, two.clone()), (9, two)]
    );
    scene.look(8, false);
    scene.look(1, false);
    scene.jpeg(2, b"more");
    assert_eq!(scene.shown(), [(9, Bytes::from_static(b"more"))]);
    let (cameras, viewers) = scene.stage.health(scene.now);
    let sizes: Vec<_> = cameras.iter().map(|it| (it.jpeg, it.packets)).collect();
    assert_eq!(sizes, [(Some((640, 360)), 1), (Some((640, 360)), 2)]);
    assert_eq!(viewers.len(), 1);
    assert_eq!(
        (viewers[0].camera, viewers[0].packets),
        (Some(PeerId(2)), 3)
    );
    scene.stage.withdraw(scene.now, PeerId(2));
    scene.drain();
    assert_eq!(scene.shown(), [(9, Bytes::from_static(b"one"))]);
    scene.stage.leave(scene.now, PeerId(1));
    scene.stage.leave(scene.now, PeerId(9));
    assert!(scene.stage.is_empty());
}

#[test]
fn a_whole_picture_does_not_stay_for_ever() {
    let mut scene = Scene::new();
    scene.stage.publish(scene.now, PeerId(1), "a".into());
    scene.look(9, true);
    scene.jpeg(1, b"one");
    scene.pass(Duration::from_secs(9));
    assert!(scene.still().is_some());
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.still(), None);
    let (cameras, viewers) = scene.stage.health(scene.now);
    assert_eq!((cameras[0].jpeg, viewers[0].camera), (None, None));
    scene.shown();
    scene.look(8, true);
    assert_eq!(scene.shown(), []);
}

#[test]
fn it_is_told_of_what_kind_the_picture_is() {
    let mut show = Scene::new();
    let mut first = Source::new(1, VideoCodec::H264);
    let mut second = Source::new(2, VideoCodec::Vp8);
    show.publish(&first, "a");
    assert!(show.kinds.is_empty(), "nothing came of it yet");
    show.frame(&mut first, true);
    show.frame(&mut first, false);
    assert_eq!(show.kinds, [Some("H264")]);
    // Another one is not on air, until it is wanted.
    show.publish(&second, "b");
    show.frame(&mut second, true);
    assert_eq!(show.kinds.len(), 1);
    show.stage.want(show.now, Some("b".into()));
    show.drain();
    assert_eq!(show.kinds, [Some("H264"), Some("VP8")]);
    // It sends no more, and then it sends whole pictures.
    show.pass(Duration::from_secs(4));
    assert_eq!(show.kinds.last(), Some(&None));
    show.jpeg(2, b"jpeg");
    assert_eq!(show.kinds.last(), Some(&Some("JPEG")));
    show.stage.leave(show.now, PeerId(2));
    show.drain();
    assert_eq!(show.kinds.last(), Some(&None));
    assert_eq!(show.kinds.len(), 5);
}
