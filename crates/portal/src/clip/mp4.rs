//! A clip as MP4: pictures as they are, and the voice with silence where nobody spoke.

use std::num::NonZeroU32;

use bytes::Bytes;
use shiguredo_mp4::boxes::{
    AudioSampleEntryFields, Avc1Box, AvccBox, DopsBox, OpusBox, SampleEntry,
    VisualSampleEntryFields, Vp08Box, VpccBox,
};
use shiguredo_mp4::mux::{
    Mp4FileMuxer, Mp4FileMuxerOptions, MuxError, Sample, estimate_maximum_moov_box_size,
};
use shiguredo_mp4::{FixedPointNumber, TrackKind, Uint};
use uro_discord_media::{VideoCodec, h264};

use super::form::{Form, is_described};
use super::{Cut, LARGEST, Voice};

/// Of both tracks: this muxer writes a track's length in its own time, which players read in that of the longest one.
const TIMESCALE: NonZeroU32 = NonZeroU32::MIN.saturating_add(47_999);

/// Of a packet of voice, in microseconds and in samples.
const PACKET: (i64, u32) = (20_000, 960);

/// How far voice may be from its place: less than is heard, and more than clocks wander while somebody speaks.
const EARLY: i64 = 30_000;
const LATE: i64 = 60_000;

/// 20 ms of silence.
const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];

/// What decoders of Opus leave out at first: how far encoders look ahead.
const PRE_SKIP: u16 = 312;

/// Pictures and voice take turns so often, in microseconds.
const TURN: i64 = 500_000;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Mux(#[from] MuxError),
    #[error("{0} bytes are more than a clip may have")]
    Large(usize),
}

struct Writer {
    muxer: Mp4FileMuxer,
    file: Vec<u8>,
}

impl Writer {
    fn add(
        &mut self,
        track_kind: TrackKind,
        entry: &mut Option<SampleEntry>,
        (keyframe, duration): (bool, u32),
        data: &[u8],
    ) -> Result<(), MuxError> {
        let sample = Sample {
            track_kind,
            sample_entry: entry.take(),
            keyframe,
            timescale: TIMESCALE,
            duration,
            composition_time_offset: None,
            data_offset: self.file.len() as u64,
            data_size: data.len(),
        };
        self.file.extend_from_slice(data);
        self.muxer.append_sample(&sample)
    }
}

pub(super) fn write(cut: &Cut) -> Result<Vec<u8>, WriteError> {
    let voice = placed(cut);
    let muxer = Mp4FileMuxer::with_options(Mp4FileMuxerOptions {
        reserved_moov_box_size: estimate_maximum_moov_box_size(&[cut.pictures.len(), voice.len()]),
        ..Mp4FileMuxerOptions::default()
    })?;
    let mut file = muxer.initial_boxes_bytes().to_vec();
    let pictures = cut.pictures.iter().map(|picture| picture.data.len());
    file.reserve(pictures.chain(voice.iter().map(Bytes::len)).sum());
    let mut writer = Writer { muxer, file };
    let (mut entry, mut voice_entry) = (Some(described(&cut.form)), Some(opus()));
    let codec = cut.form.codec();
    let mut voice = voice.into_iter().zip(0_i64..).peekable();
    let mut turn = TURN;
    let mut pictures = cut.pictures.iter().peekable();
    while let Some(picture) = pictures.next() {
        let next = pictures.peek().map_or(cut.end, |next| next.at);
        let duration = ticks(next, cut.start).saturating_sub(ticks(picture.at, cut.start));
        let data = sample(codec, &picture.data);
        let of = (picture.key, duration.max(1));
        writer.add(TrackKind::Video, &mut entry, of, &data)?;
        let passed = next.saturating_sub(cut.start);
        if passed < turn && pictures.peek().is_some() {
            continue;
        }
        turn = passed.saturating_add(TURN);
        let due = |(_, number): &(Bytes, i64)| number.saturating_mul(PACKET.0) < passed;
        while let Some((data, _)) = voice.next_if(due) {
            writer.add(TrackKind::Audio, &mut voice_entry, (true, PACKET.1), &data)?;
        }
    }
    let Writer {
        mut muxer,
        mut file,
    } = writer;
    let finished = muxer.finalize()?;
    for (offset, bytes) in finished.offset_and_bytes_pairs() {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = offset.saturating_add(bytes.len());
        if end > LARGEST {
            return Err(WriteError::Large(end));
        }
        // What is behind the frames, where the place before them was too small.
        if file.len() < end {
            file.resize(end, 0);
        }
        if let Some(place) = file.get_mut(offset..end) {
            place.copy_from_slice(bytes);
        }
    }
    if file.len() > LARGEST {
        return Err(WriteError::Large(file.len()));
    }
    Ok(file)
}

fn ticks(at: i64, start: i64) -> u32 {
    let passed = at.saturating_sub(start).max(0);
    let ticks = passed.saturating_mul(TIMESCALE.get().into()) / 1_000_000;
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// A picture as a file has it: H.264's NAL units with their lengths.
fn sample(codec: VideoCodec, data: &Bytes) -> Bytes {
    if codec == VideoCodec::Vp8 {
        return data.clone();
    }
    let mut sample = Vec::with_capacity(data.len());
    for nal in h264::nals(data).filter(|nal| !is_described(nal)) {
        let length = u32::try_from(nal.len()).unwrap_or(u32::MAX);
        sample.extend_from_slice(&length.to_be_bytes());
        sample.extend_from_slice(nal);
    }
    sample.into()
}

/// The packets of voice one behind the other, from the first picture on; none where nobody spoke.
fn placed(cut: &Cut) -> Vec<Bytes> {
    let mut placed: Vec<Bytes> = Vec::new();
    let end = |placed: &Vec<Bytes>| {
        let count = i64::try_from(placed.len()).unwrap_or(i64::MAX);
        cut.start.saturating_add(count.saturating_mul(PACKET.0))
    };
    for Voice { at, data } in &cut.voice {
        let early = at.saturating_sub(end(&placed));
        if early < -LATE {
            continue;
        }
        if early > EARLY {
            while at.saturating_sub(end(&placed)) >= PACKET.0 {
                placed.push(Bytes::from_static(SILENCE));
            }
        }
        placed.push(data.clone());
    }
    if !placed.is_empty() {
        while cut.end.saturating_sub(end(&placed)) >= PACKET.0 {
            placed.push(Bytes::from_static(SILENCE));
        }
    }
    placed
}

fn described(form: &Form) -> SampleEntry {
    let visual = |width, height| VisualSampleEntryFields {
        data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        width,
        height,
        horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
        vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
        frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
        compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
        depth: VisualSampleEntryFields::DEFAULT_DEPTH,
    };
    match form {
        Form::Vp8 { width, height } => SampleEntry::Vp08(Vp08Box {
            visual: visual(*width, *height),
            vpcc_box: VpccBox {
                profile: 0,
                // It is of VP9: VP8 has none.
                level: 0,
                bit_depth: Uint::new(8),
                chroma_subsampling: Uint::new(1),
                video_full_range_flag: Uint::new(0),
                // BT.601, as VP8 has it.
                colour_primaries: 6,
                transfer_characteristics: 6,
                matrix_coefficients: 6,
                codec_initialization_data: Vec::new(),
            },
            unknown_boxes: Vec::new(),
        }),
        Form::H264 { picture, sps, pps } => {
            let head = |at| sps.first().and_then(|sps| sps.get(at)).copied();
            SampleEntry::Avc1(Avc1Box {
                visual: visual(picture.width, picture.height),
                avcc_box: AvccBox {
                    avc_profile_indication: head(1).unwrap_or_default(),
                    profile_compatibility: head(2).unwrap_or_default(),
                    avc_level_indication: head(3).unwrap_or_default(),
                    length_size_minus_one: Uint::new(3),
                    sps_list: sps.clone(),
                    pps_list: pps.clone(),
                    chroma_format: Some(Uint::new(picture.chroma)),
                    bit_depth_luma_minus8: Some(Uint::new(picture.depths.0)),
                    bit_depth_chroma_minus8: Some(Uint::new(picture.depths.1)),
                    sps_ext_list: Vec::new(),
                },
                unknown_boxes: Vec::new(),
            })
        }
    }
}

fn opus() -> SampleEntry {
    SampleEntry::Opus(OpusBox {
        audio: AudioSampleEntryFields {
            data_reference_index: AudioSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
            channelcount: 2,
            samplesize: AudioSampleEntryFields::DEFAULT_SAMPLESIZE,
            samplerate: FixedPointNumber::new(48_000, 0),
        },
        dops_box: DopsBox {
            output_channel_count: 2,
            pre_skip: PRE_SKIP,
            input_sample_rate: 48_000,
            output_gain: 0,
        },
        unknown_boxes: Vec::new(),
    })
}
