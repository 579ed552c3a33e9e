//! Plays an Ogg Opus file into a session, as it is: nothing is decoded.
//!
//! A player is a task that holds no thread: it reads two seconds at a time, and only a few players read at once. The threads on which files
//! are read are the runtime's for whatever blocks, names being resolved among it, and have an end: whoever kept one would at last
//! keep voice servers from being found.

use crate::panics;
use bytes::Bytes;
use ogg::reading::{OggReadError, PacketReader};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use thiserror::Error;
use tokio::sync::Semaphore;
use uro_discord_voice::SendError;
use uro_discord_wire::Play;

/// Packets of one read: two seconds.
const AT_ONCE: usize = 100;

/// What one read may take of a file. Nothing but the header with a picture in it is nearly as large.
const BYTES_AT_ONCE: u64 = 16 * 1024 * 1024;

/// How many files are read at once, by all players of the process. A disk that hangs keeps so many threads.
const READERS: usize = 4;
static READING: Semaphore = Semaphore::const_new(READERS);

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub enum PlayError {
    #[error("it cannot be opened: {0}")]
    Open(#[source] io::Error),
    #[error("it cannot be read: {0}")]
    Read(#[source] io::Error),
    #[error("it is not readable as Ogg: {0}")]
    Ogg(#[source] OggReadError),
    #[error("it is not Ogg Opus")]
    NotOpus,
    #[error(
        "a packet in it is not of 20 ms, which is what Discord takes: encode it with ffmpeg -c:a libopus -ar 48000 -frame_duration 20"
    )]
    Duration,
    #[error("a packet of it cannot be sent: {0}")]
    Send(#[from] SendError),
}

impl From<OggReadError> for PlayError {
    fn from(error: OggReadError) -> Self {
        match error {
            // Which does not say what it is.
            OggReadError::ReadError(error) => Self::Read(error),
            other => Self::Ogg(other),
        }
    }
}

/// Plays a file to its end, packet by packet as `send` takes them; for ever, where that is wished.
///
/// # Errors
///
/// Whatever is wrong with the file.
pub async fn play<S>(play: &Play, send: impl Fn(Bytes) -> S) -> Result<(), PlayError>
where
    S: Future<Output = Result<(), SendError>>,
{
    loop {
        let path = play.path.clone();
        let mut tune = reading(move || Tune::open(&path)).await?;
        let mut played = false;
        loop {
            let packets;
            (tune, packets) = reading(move || tune.read()).await?;
            if packets.is_empty() {
                break;
            }
            played = true;
            for packet in packets {
                send(packet).await?;
            }
        }
        if !(play.again && played) {
            return Ok(());
        }
    }
}

/// Has something read on a thread that may block, when it is its turn.
async fn reading<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> T {
    // Nobody closes it.
    let turn = READING.acquire().await;
    let done = tokio::task::spawn_blocking(move || {
        let done = read();
        // Not before, even if nobody waits any more.
        drop(turn);
        done
    });
    match panics::passed_on(done.await) {
        Some(done) => done,
        // The runtime ends, and with it whoever waits here.
        None => std::future::pending().await,
    }
}

/// An open file.
struct Tune {
    packets: PacketReader<Bounded>,
    number: u64,
}

impl Tune {
    fn open(path: &str) -> Result<Self, PlayError> {
        // To open a pipe is to wait for whoever writes to it.
        if !std::fs::metadata(path).map_err(PlayError::Open)?.is_file() {
            return Err(PlayError::Open(io::Error::other("it is no file")));
        }
        let file = File::open(path).map_err(PlayError::Open)?;
        Ok(Self {
            packets: PacketReader::new(Bounded {
                file: BufReader::new(file),
                left: 0,
            }),
            number: 0,
        })
    }

    /// The next packets of audio; none at the end.
    fn read(mut self) -> Result<(Self, Vec<Bytes>), PlayError> {
        self.packets.get_mut().left = BYTES_AT_ONCE;
        let mut read = Vec::with_capacity(AT_ONCE);
        while read.len() < AT_ONCE
            && let Some(packet) = self.packets.read_packet()?
        {
            // https://www.rfc-editor.org/rfc/rfc7845#section-5: the identification and the comment header come first.
            match self.number {
                0 if !packet.data.starts_with(b"OpusHead") => return Err(PlayError::NotOpus),
                1 if !packet.data.starts_with(b"OpusTags") => return Err(PlayError::NotOpus),
                0 | 1 => {}
                _ if !lasts_20_ms(&packet.data) => return Err(PlayError::Duration),
                _ => read.push(packet.data.into()),
            }
            self.number += 1;
        }
        if self.number < 2 {
            return Err(PlayError::NotOpus);
        }
        Ok((self, read))
    }
}

/// A file of which only so much is read.
struct Bounded {
    file: BufReader<File>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let much = "there is no packet of audio within 16 MiB";
            return Err(io::Error::other(much));
        }
        let read = (&mut self.file).take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// By its first byte, and the second where that counts frames. <https://www.rfc-editor.org/rfc/rfc6716#section-3.1>
fn lasts_20_ms(packet: &[u8]) -> bool {
    let Some(toc) = packet.first() else {
        return false;
    };
    // In quarters of 10 ms.
    let frame = match toc >> 3 {
        config @ 0..=11 => [4, 8, 16, 24][usize::from(config & 3)],
        config @ 12..=15 => [4, 8][usize::from(config & 1)],
        config => [1, 2, 4, 8][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(0, |byte| usize::from(byte & 0x3f)),
    };
    frame * frames == 8
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use ogg::writing::{PacketWriteEndInfo, PacketWriter};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use tokio::sync::{Notify, mpsc};
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    /// A file that is removed with its owner.
    struct Written(PathBuf);

    impl Written {
        /// With a comment of this length, and so many packets of 20 ms, each of its own content.
        fn new(name: &str, comment: usize, packets: u64) -> Self {
            let path = std::env::temp_dir().join(format!("uro-{}-{name}.opus", std::process::id()));
            let mut writer = PacketWriter::new(File::create(&path).unwrap());
            let page = PacketWriteEndInfo::EndPage;
            let tags = [&b"OpusTags"[..], &vec![0; comment]].concat();
            for header in [b"OpusHead".to_vec(), tags] {
                writer.write_packet(header, 1, page, 0).unwrap();
            }
            for number in 1..=packets {
                let end = if number == packets {
                    PacketWriteEndInfo::EndStream
                } else {
                    PacketWriteEndInfo::NormalPacket
                };
                let packet = packet(number);
                writer.write_packet(packet, 1, end, number * 960).unwrap();
            }
            Self(path)
        }

        fn play(&self, again: bool) -> Play {
            Play {
                path: self.0.to_str().unwrap().into(),
                again,
                attempt: 1,
            }
        }
    }

    impl Drop for Written {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn packet(number: u64) -> Vec<u8> {
        [&[31 << 3][..], &number.to_be_bytes()].concat()
    }

    /// Everything that is played, or the first so many packets of it.
    async fn played(play: Play, enough: usize) -> (Vec<Bytes>, Option<Result<(), PlayError>>) {
        let (sender, mut receiver) = mpsc::channel(1);
        let playing = tokio::spawn(async move {
            super::play(&play, |packet| async {
                sender.send(packet).await.map_err(|_| SendError::Ended)
            })
            .await
        });
        let mut packets = Vec::new();
        while packets.len() < enough
            && let Some(packet) = receiver.recv().await
        {
            packets.push(packet);
        }
        let over = packets.len() < enough;
        (
            packets,
            if over {
                Some(playing.await.unwrap())
            } else {
                None
            },
        )
    }

    #[tokio::test]
    async fn all_of_it_is_played_in_order_and_again() {
        let tune = Written::new("order", 100, 250);
        let expected: Vec<Bytes> = (1..=250).map(|number| packet(number).into()).collect();
        let (packets, ended) = played(tune.play(false), usize::MAX).await;
        assert!(matches!(ended, Some(Ok(()))), "{ended:?}");
        assert_eq!(packets, expected);
        let (packets, _) = played(tune.play(true), 700).await;
        assert_eq!(packets[..250], expected);
        assert_eq!(packets[250..500], expected);
        assert_eq!(packets[500..], expected[..200]);
    }

    #[tokio::test]
    async fn a_file_without_audio_is_not_played_for_ever() {
        let (packets, ended) = played(Written::new("none", 100, 0).play(true), 1).await;
        assert!(
            packets.is_empty() && matches!(ended, Some(Ok(()))),
            "{ended:?}"
        );
    }

    #[tokio::test]
    async fn what_is_no_opus_is_said() {
        let play = |path: &str| Play {
            path: path.into(),
            again: true,
            attempt: 1,
        };
        for (path, reason) in [
            ("/does/not/exist", "cannot be opened"),
            ("/dev/zero", "it is no file"),
            (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "Ogg"),
        ] {
            let (_, ended) = played(play(path), 1).await;
            let error = ended.unwrap().unwrap_err().to_string();
            assert!(error.contains(reason), "{path}: {error}");
        }
    }

    #[tokio::test]
    async fn a_packet_has_a_size() {
        let much = usize::try_from(BYTES_AT_ONCE).unwrap();
        let (_, ended) = played(Written::new("large", much, 1).play(false), 1).await;
        let error = ended.unwrap().unwrap_err().to_string();
        assert!(error.contains("16 MiB"), "{error}");
    }

    /// tokio has 512 threads for what blocks.
    #[tokio::test]
    async fn players_hold_no_thread() {
        const PLAYERS: usize = 600;
        let tune = Written::new("many", 100, 1_000);
        let begun = Arc::new((AtomicUsize::new(0), Notify::new()));
        let mut players = JoinSet::new();
        for _ in 0..PLAYERS {
            let (play, begun) = (tune.play(true), begun.clone());
            players.spawn(async move {
                super::play(&play, |_| async {
                    if begun.0.fetch_add(1, Ordering::SeqCst) + 1 == PLAYERS {
                        begun.1.notify_one();
                    }
                    // The session's queue is full.
                    std::future::pending().await
                })
                .await
            });
        }
        let patience = Duration::from_secs(20);
        timeout(patience, begun.1.notified()).await.unwrap();
        let resolved = timeout(patience, tokio::net::lookup_host("localhost:1")).await;
        assert!(resolved.unwrap().unwrap().next().is_some());
    }

    #[test]
    fn durations_are_as_the_rfc_has_them() {
        // CELT fullband 20 ms, one frame; the same twice; 10 ms twice; SILK 20 ms; hybrid 20 ms; four of 5 ms.
        assert!(lasts_20_ms(&[31 << 3]));
        assert!(!lasts_20_ms(&[31 << 3 | 1]));
        assert!(lasts_20_ms(&[30 << 3 | 1]));
        assert!(lasts_20_ms(&[1 << 3]));
        assert!(lasts_20_ms(&[15 << 3]));
        assert!(lasts_20_ms(&[29 << 3 | 3, 4]));
        assert!(!lasts_20_ms(&[29 << 3 | 3]));
        assert!(!lasts_20_ms(&[]));
    }
}
