//! Ogg Opus files: what is heard goes into one, and what is published comes out of one.

use std::io::{self, Read, Seek, Write};

use bytes::Bytes;
use ogg::{PacketReader, PacketWriteEndInfo, PacketWriter, reading::OggReadError};
use thiserror::Error;

/// What decoders leave out at the beginning, in samples.
const PRE_SKIP: u16 = 312;
/// Any number does, since there is one stream in a file.
const SERIAL: u32 = 1;
/// Of a silence that is longer, the rest is left out: an hour of nothing is no recording.
const LONGEST_GAP: u64 = 48_000 * 60;

/// Why a file cannot be published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not Ogg.
    #[error(
        "it is no Ogg file ({0}); ffmpeg -i FILE -c:a libopus -frame_duration 20 voice.ogg makes one"
    )]
    Ogg(OggReadError),
    /// It holds something else.
    #[error(
        "it holds no Opus; ffmpeg -i FILE -c:a libopus -frame_duration 20 voice.ogg makes such a file"
    )]
    NotOpus,
    /// It has several streams or more than two channels.
    #[error("it has {0} channels, and a portal's voice has one or two")]
    Channels(u8),
    /// It has no packet.
    #[error("there is nothing in it")]
    Empty,
    /// A portal does not take such packets.
    #[error(
        "it has packets of {0} ms, and a portal takes 10 or 20: ffmpeg -i FILE -c:a libopus -frame_duration 20 voice.ogg"
    )]
    Duration(f64),
}

/// All packets of a file, of 10 or of 20 ms, with their samples.
///
/// # Errors
/// When it is something else.
pub fn read(file: impl Read + Seek) -> Result<Vec<(u32, Bytes)>, FileError> {
    let mut reader = PacketReader::new(file);
    let mut next = || reader.read_packet().map_err(FileError::Ogg);
    let head = next()?.ok_or(FileError::Empty)?.data;
    if !head.starts_with(b"OpusHead") {
        return Err(FileError::NotOpus);
    }
    match head.get(9) {
        Some(1 | 2) => {}
        channels => return Err(FileError::Channels(channels.copied().unwrap_or_default())),
    }
    let mut packets = Vec::new();
    // The tags come second.
    let mut tags = true;
    while let Some(packet) = next()? {
        if std::mem::take(&mut tags) {
            continue;
        }
        let samples = samples(&packet.data).unwrap_or_default();
        if !matches!(samples, 480 | 960) {
            return Err(FileError::Duration(f64::from(samples) / 48.0));
        }
        packets.push((samples, packet.data.into()));
    }
    if packets.is_empty() {
        return Err(FileError::Empty);
    }
    Ok(packets)
}

/// How many samples a packet is long.
#[must_use]
pub fn samples(packet: &[u8]) -> Option<u32> {
    u32::try_from(uro_discord_opus::samples(packet)?).ok()
}

/// Writes what is heard of one stream into a file.
pub struct Recording<W: Write> {
    writer: PacketWriter<'static, W>,
    /// The last one: the end of a file is told with its last packet.
    held: Option<(Vec<u8>, u64)>,
    /// Where the last one ends, in samples.
    end: u64,
    /// When the last one ended, by its sender's clock.
    expected: Option<u32>,
}

impl<W: Write> Recording<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(file: W) -> io::Result<Self> {
        let mut writer = PacketWriter::new(file);
        let mut head = b"OpusHead\x01\x02".to_vec();
        head.extend(PRE_SKIP.to_le_bytes());
        head.extend(48_000_u32.to_le_bytes());
        head.extend([0, 0, 0]);
        let vendor = b"uro-portal-peer";
        let mut tags = b"OpusTags".to_vec();
        tags.extend((vendor.len() as u32).to_le_bytes());
        tags.extend(vendor);
        tags.extend([0; 4]);
        for packet in [head, tags] {
            writer.write_packet(packet, SERIAL, PacketWriteEndInfo::EndPage, 0)?;
        }
        Ok(Self {
            writer,
            held: None,
            end: PRE_SKIP.into(),
            expected: None,
        })
    }

    /// Writes a packet that is to be heard at a time, in samples of its sender's clock, which wraps. What is before the last one is left out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, time: u32, packet: &[u8]) -> io::Result<()> {
        let Some(samples) = samples(packet) else {
            return Ok(());
        };
        let gap = time.wrapping_sub(self.expected.unwrap_or(time));
        if gap > u32::MAX / 2 {
            return Ok(());
        }
        self.expected = Some(time.wrapping_add(samples));
        self.end += u64::from(gap).min(LONGEST_GAP) + u64::from(samples);
        let held = self.held.replace((packet.to_vec(), self.end));
        if let Some((packet, end)) = held {
            self.writer
                .write_packet(packet, SERIAL, PacketWriteEndInfo::EndPage, end)?;
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        if let Some((packet, end)) = self.held.take() {
            self.writer
                .write_packet(packet, SERIAL, PacketWriteEndInfo::EndStream, end)?;
        }
        let mut file = self.writer.into_inner();
        file.flush()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// CELT of 20 ms, one frame.
    const PACKET: &[u8] = &[0xf8, 0xff, 0xfe];

    #[test]
    fn what_was_recorded_is_read_again() {
        let mut recording = Recording::new(Vec::new()).unwrap();
        let first = u32::MAX - 1_000;
        for number in 0..5_u32 {
            recording
                .write(first.wrapping_add(960 * number), PACKET)
                .unwrap();
        }
        // Late, and left out.
        recording.write(first, PACKET).unwrap();
        let file = recording.finish().unwrap();
        let packets = read(Cursor::new(file)).unwrap();
        assert_eq!(packets, vec![(960, Bytes::from_static(PACKET)); 5]);
    }

    #[test]
    fn time_goes_on_in_a_silence() {
        let mut recording = Recording::new(Vec::new()).unwrap();
        recording.write(0, PACKET).unwrap();
        recording.write(960 + 48_000, PACKET).unwrap();
        let file = recording.finish().unwrap();
        let mut reader = PacketReader::new(Cursor::new(file));
        let mut last = None;
        while let Some(packet) = reader.read_packet().unwrap() {
            last = Some((packet.absgp_page(), packet.last_in_stream()));
        }
        assert_eq!(last, Some((u64::from(PRE_SKIP) + 2 * 960 + 48_000, true)));
    }

    #[test]
    fn something_else_is_refused_with_what_to_do() {
        let told = |file: &[u8]| read(Cursor::new(file.to_vec())).unwrap_err().to_string();
        assert!(told(b"RIFF, and so on, and on, and on, and on").contains("ffmpeg -i"));
        assert!(told(b"").contains("no Ogg file"));
        let empty = Recording::new(Vec::new()).unwrap().finish().unwrap();
        assert!(told(&empty).contains("nothing in it"));
        let mut long = Recording::new(Vec::new()).unwrap();
        long.write(0, &[0x18, 0, 0]).unwrap();
        assert!(told(&long.finish().unwrap()).contains("packets of 60 ms"));
    }
}
