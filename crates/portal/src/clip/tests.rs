use super::*;
use shiguredo_mp4::TrackKind;
use shiguredo_mp4::demux::{Input, Mp4FileDemuxer};
use uro_discord_media::fixtures::frames;
use uro_discord_media::{h264, vp8};

const FRAME: Duration = Duration::from_millis(100);
const PAYLOAD: usize = 1_000;

/// A camera of ten frames a second, with a keyframe every three, and a voice.
struct Scene {
    recorder: Recorder,
    began: Instant,
    now: Instant,
    codec: VideoCodec,
    frames: Vec<Vec<u8>>,
    next: usize,
    sequence: u16,
    asked: usize,
}

impl Scene {
    fn new(codec: VideoCodec, longest: u64) -> Self {
        let now = Instant::now();
        Self {
            recorder: Recorder::new(now, Duration::from_secs(longest)),
            began: now,
            now,
            codec,
            frames: frames(codec),
            next: 0,
            sequence: 65_530,
            asked: 0,
        }
    }

    fn frame(&mut self) -> Vec<u8> {
        self.next += 1;
        self.frames[(self.next - 1) % self.frames.len()].clone()
    }

    fn send(&mut self, frame: &[u8]) {
        let payloads = match self.codec {
            VideoCodec::H264 => h264::packetize(frame, PAYLOAD),
            VideoCodec::Vp8 => vp8::packetize(frame, self.sequence, PAYLOAD),
        };
        let last = payloads.len() - 1;
        for (number, payload) in payloads.into_iter().enumerate() {
            let packet = VideoPacket {
                ssrc: 1,
                format: VideoFormat {
                    codec: self.codec,
                    profile: 0,
                },
                sequence: self.sequence,
                time: (self.passed() * 90) as u32,
                marker: number == last,
                payload: payload.into(),
            };
            self.sequence = self.sequence.wrapping_add(1);
            self.recorder.video(self.now, packet);
        }
        self.asked += usize::from(self.recorder.asks());
    }

    fn passed(&self) -> u64 {
        self.now.duration_since(self.began).as_millis() as u64
    }

    fn speak(&mut self) {
        let time = (self.passed() * 48) as u32;
        let data = Bytes::from(self.passed().to_be_bytes().to_vec());
        self.recorder.voice(self.now, time, data);
    }

    /// A picture, and five packets of voice if somebody speaks.
    fn tenth(&mut self, speaks: bool) {
        let frame = self.frame();
        self.send(&frame);
        for _ in 0..5 {
            if speaks {
                self.speak();
            }
            self.now += FRAME / 5;
            self.recorder.timeout(self.now);
        }
    }

    fn seconds(&mut self, seconds: u64, speaks: bool) {
        for _ in 0..seconds * 10 {
            self.tenth(speaks);
        }
    }

    fn clip(&self, seconds: u64) -> Clip {
        let cut = self.recorder.take(self.now, Duration::from_secs(seconds));
        cut.expect("a picture").clip().expect("a file")
    }
}

/// Of each track: when a sample is to be shown, in milliseconds, whether it is a keyframe, and its bytes.
fn samples(mp4: &[u8], kind: TrackKind) -> Vec<(u64, bool, Vec<u8>)> {
    let mut demuxer = Mp4FileDemuxer::new();
    demuxer.handle_input(Input {
        position: 0,
        data: mp4,
    });
    let mut samples = Vec::new();
    while let Some(sample) = demuxer.next_sample().unwrap() {
        if sample.track.kind == kind {
            let at = sample.data_offset as usize;
            let data = mp4[at..at + sample.data_size].to_vec();
            let time = sample.timestamp * 1_000 / u64::from(sample.track.timescale.get());
            samples.push((time, sample.keyframe, data));
        }
    }
    samples
}

/// H.264 as it was before it was in a file.
fn nals(mut sample: &[u8]) -> Vec<&[u8]> {
    let mut nals = Vec::new();
    while let Some((length, rest)) = sample.split_first_chunk() {
        let (nal, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        nals.push(nal);
        sample = rest;
    }
    nals
}

#[test]
fn a_clip_has_the_last_seconds_from_a_keyframe_on() {
    for codec in VideoCodec::ALL {
        let mut scene = Scene::new(codec, 10);
        scene.seconds(20, true);
        let clip = scene.clip(5);
        // There is a keyframe every 300 ms.
        let length = clip.length.as_millis() as u64;
        assert!((5_000..5_400).contains(&length), "{length}");
        assert!(!clip.cut);
        let pictures = samples(&clip.mp4, TrackKind::Video);
        assert_eq!(pictures.len() as u64, length.div_ceil(100));
        assert!(pictures[0].1 && pictures[3].1 && !pictures[1].1);
        for (number, (time, _, data)) in pictures.iter().enumerate() {
            assert!(time.abs_diff(number as u64 * 100) <= 1, "{number}: {time}");
            let place = scene.next - pictures.len() + number;
            let frame = &scene.frames[place % scene.frames.len()];
            match codec {
                VideoCodec::Vp8 => assert_eq!(data, frame),
                VideoCodec::H264 => {
                    let sent = h264::nals(frame).filter(|nal| !matches!(nal[0] & 0x1f, 7 | 8));
                    assert_eq!(nals(data), sent.collect::<Vec<_>>());
                }
            }
        }
        // Each packet of voice has the time at which it was said in it.
        let voice = samples(&clip.mp4, TrackKind::Audio);
        let start = scene.passed() - length;
        assert_eq!(voice.len() as u64, length / 20);
        for (time, _, data) in &voice {
            let said = u64::from_be_bytes(data[..].try_into().unwrap());
            assert!((start + time).abs_diff(said) <= 20, "{time}: {said}");
        }
        // The whole of what is kept, and no more.
        let whole = scene.clip(60).length.as_millis();
        assert!((10_000..10_400).contains(&whole), "{whole}");
    }
}

#[test]
fn silence_keeps_voice_and_picture_in_step() {
    let mut scene = Scene::new(VideoCodec::Vp8, 10);
    scene.seconds(2, false);
    scene.seconds(1, true);
    scene.seconds(2, false);
    scene.seconds(1, true);
    let clip = scene.clip(10);
    let voice = samples(&clip.mp4, TrackKind::Audio);
    assert_eq!(voice.len(), 300);
    let mut said = 0;
    for (time, _, data) in &voice {
        if let Ok(at) = data[..].try_into().map(u64::from_be_bytes) {
            assert!(time.abs_diff(at) <= 30, "{time}: {at}");
            said += 1;
        } else {
            assert_eq!(data, &[0xf8, 0xff, 0xfe]);
        }
    }
    assert_eq!(said, 100);
    let mut quiet = Scene::new(VideoCodec::Vp8, 10);
    quiet.seconds(1, false);
    assert!(samples(&quiet.clip(10).mp4, TrackKind::Audio).is_empty());
}

#[test]
fn of_whoever_was_stopped_nothing_is_kept() {
    let mut scene = Scene::new(VideoCodec::Vp8, 5);
    for _ in 0..20 {
        scene.tenth(true);
    }
    let wanted = Duration::from_secs(5);
    assert!(scene.recorder.take(scene.now, wanted).is_some());
    scene.recorder.clear(scene.now);
    assert!(scene.recorder.take(scene.now, wanted).is_none());
    // From the next keyframe on it goes on, for as long as before.
    for _ in 0..80 {
        scene.tenth(true);
    }
    let clip = scene
        .recorder
        .take(scene.now, wanted)
        .unwrap()
        .clip()
        .unwrap();
    assert!(clip.length >= wanted, "{:?}", clip.length);
}

#[test]
fn what_is_kept_has_a_bound() {
    let mut scene = Scene::new(VideoCodec::Vp8, 60);
    // A frame of a megabyte: 10 MB a second.
    let large = |frame: &[u8]| {
        let mut frame = frame.to_vec();
        frame.resize(1 << 20, 7);
        frame
    };
    for _ in 0..100 {
        let frame = large(&scene.frame());
        scene.send(&frame);
        scene.now += FRAME;
        assert!(scene.recorder.bytes <= KEPT);
    }
    let clip = scene.clip(60);
    assert!(clip.cut && clip.mp4.len() <= LARGEST);
    assert!(samples(&clip.mp4, TrackKind::Video)[0].1);
    assert!(clip.length < Duration::from_secs(2));
    // Without another keyframe nothing is left, and one is asked for.
    let delta = large(&scene.frames[1].clone());
    let asked = scene.asked;
    for _ in 0..20 {
        scene.send(&delta);
        scene.now += FRAME;
        assert!(scene.recorder.bytes <= KEPT);
    }
    assert!(scene.asked > asked);
    // Frames of nothing have a bound too, and so has a voice that nobody shows a picture to.
    for _ in 0..400_000 {
        scene.speak();
        scene.now += Duration::from_micros(10);
        assert!(scene.recorder.bytes <= KEPT);
    }
}

#[test]
fn another_size_begins_anew_and_a_lost_frame_waits_for_a_keyframe() {
    let mut scene = Scene::new(VideoCodec::Vp8, 30);
    scene.seconds(3, true);
    // Another size: a bit more of the width, in the keyframes.
    let before = scene.frames.clone();
    for at in [0, 3] {
        scene.frames[at][6] ^= 16;
    }
    scene.seconds(3, true);
    let length = scene.clip(30).length.as_millis();
    assert!((2_700..=3_000).contains(&length), "{length}");
    scene.frames = before;
    scene.next = 0;
    scene.seconds(3, true);
    // A packet that nobody sends again.
    scene.sequence = scene.sequence.wrapping_add(1);
    scene.next = 1;
    let count = samples(&scene.clip(30).mp4, TrackKind::Video).len();
    scene.seconds(1, true);
    let after = samples(&scene.clip(30).mp4, TrackKind::Video);
    assert!(after.len() < count + 10, "two frames were left out");
    assert!(after[count].1, "and it goes on with a keyframe");
    assert_eq!(after.last().unwrap().0 / 1_000, 3);
}

#[test]
fn a_camera_that_sends_no_keyframe_is_asked_for_one() {
    let mut scene = Scene::new(VideoCodec::Vp8, 30);
    scene.tenth(false);
    scene.frames = vec![scene.frames[1].clone()];
    scene.seconds(9, false);
    assert_eq!(scene.asked, 0);
    scene.seconds(2, false);
    assert!((1..=4).contains(&scene.asked), "{}", scene.asked);
    // One who went has no clip after a while, and what he showed is gone.
    let clip = scene.recorder.take(scene.now, Duration::from_secs(30));
    assert!(clip.is_some());
    scene.now += Duration::from_secs(31);
    assert!(
        scene
            .recorder
            .take(scene.now, Duration::from_secs(30))
            .is_none()
    );
    scene.speak();
    assert!(scene.recorder.kept.is_empty());
    scene.seconds(1, false);
    assert!(scene.recorder.kept.is_empty(), "it begins with a keyframe");
}

#[test]
fn a_camera_that_sends_no_keyframe_makes_no_clip_much_longer_than_it_may_be() {
    let mut scene = Scene::new(VideoCodec::Vp8, 10);
    let key = scene.frames[0].clone();
    scene.tenth(true);
    scene.frames = vec![scene.frames[1].clone()];
    let mut longest = 0;
    for _ in 0..100 {
        scene.seconds(1, true);
        if let Some(cut) = scene.recorder.take(scene.now, Duration::from_secs(5)) {
            longest = longest.max(cut.clip().unwrap().length.as_secs());
        }
    }
    assert!((28..=31).contains(&longest), "{longest}");
    assert!(scene.recorder.kept.is_empty() && scene.recorder.heard.len() <= 501);
    // It begins anew with a keyframe, and says that there was more.
    assert!(scene.asked > 100, "{}", scene.asked);
    scene.send(&key);
    assert!(
        !scene.clip(10).cut,
        "of what was let go of so long ago nothing was asked for"
    );
    for _ in 0..31 {
        scene.seconds(1, true);
    }
    scene.send(&key);
    assert!(scene.clip(10).cut);
}

#[test]
fn frames_of_another_codec_are_not_in_the_same_file() {
    let mut scene = Scene::new(VideoCodec::Vp8, 10);
    scene.seconds(1, false);
    // H.264 without its parameter sets, of which no file can be made.
    scene.codec = VideoCodec::H264;
    for frame in frames(VideoCodec::H264) {
        let nals = h264::nals(&frame).filter(|nal| !matches!(nal[0] & 0x1f, 8));
        let frame: Vec<u8> = nals.flat_map(|nal| [&[0, 0, 0, 1], nal].concat()).collect();
        scene.send(&frame);
        scene.now += FRAME;
    }
    assert!(scene.asked > 0);
    assert_eq!(samples(&scene.clip(10).mp4, TrackKind::Video).len(), 10);
    // Nor those that come before their keyframe.
    scene.send(&frames(VideoCodec::H264)[1]);
    assert_eq!(samples(&scene.clip(10).mp4, TrackKind::Video).len(), 10);
    scene.send(&frames(VideoCodec::H264)[0]);
    assert_eq!(samples(&scene.clip(10).mp4, TrackKind::Video).len(), 1);
}

#[test]
fn a_picture_that_stands_is_not_shown_for_ever() {
    let mut scene = Scene::new(VideoCodec::Vp8, 30);
    scene.seconds(2, false);
    for _ in 0..500 {
        scene.speak();
        scene.now += FRAME / 5;
    }
    let length = scene.clip(30).length.as_millis();
    assert!((4_800..=5_000).contains(&length), "{length}");
}
