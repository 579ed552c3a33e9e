//! Plays an Ogg Opus file into a session, as it is: nothing is decoded.

use bytes::Bytes;
use ogg::reading::{OggReadError, PacketReader};
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::mpsc;
use uro_discord_voice::{SendError, Session};
use uro_discord_wire::Play;

/// Packets read ahead: half a second.
const AHEAD: usize = 25;

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub enum PlayError {
    #[error("it cannot be opened: {0}")]
    Open(#[source] std::io::Error),
    #[error("it is not readable as Ogg: {0}")]
    Ogg(#[from] OggReadError),
    #[error("it is not Ogg Opus")]
    NotOpus,
    #[error(
        "a packet in it is not of 20 ms, which is what Discord takes: encode it with ffmpeg -c:a libopus -ar 48000 -frame_duration 20"
    )]
    Duration,
    #[error("a packet of it cannot be sent: {0}")]
    Send(#[from] SendError),
}

/// Plays a file to its end; for ever, where that is wished.
///
/// # Errors
///
/// Whatever is wrong with the file.
pub async fn play(play: &Play, session: &Arc<Session>) -> Result<(), PlayError> {
    let (sender, mut packets) = mpsc::channel(AHEAD);
    let path = play.path.clone();
    let again = play.again;
    // Ends when nobody takes its packets any more.
    let reading = tokio::task::spawn_blocking(move || {
        loop {
            let read = read(&path, &sender)?;
            if !again || read == 0 || sender.is_closed() {
                return Ok(());
            }
        }
    });
    while let Some(packet) = packets.recv().await {
        session.send_opus(packet).await?;
    }
    reading.await.unwrap_or(Ok(()))
}

/// Reads a file's packets, and says how many these are.
fn read(path: &str, packets: &mpsc::Sender<Bytes>) -> Result<u64, PlayError> {
    let file = File::open(path).map_err(PlayError::Open)?;
    let mut reader = PacketReader::new(BufReader::new(file));
    let mut number = 0_u64;
    while let Some(packet) = reader.read_packet()? {
        // https://www.rfc-editor.org/rfc/rfc7845#section-5: the identification and the comment header come first.
        match number {
            0 if !packet.data.starts_with(b"OpusHead") => return Err(PlayError::NotOpus),
            1 if !packet.data.starts_with(b"OpusTags") => return Err(PlayError::NotOpus),
            0 | 1 => {}
            _ if !lasts_20_ms(&packet.data) => return Err(PlayError::Duration),
            _ if packets.blocking_send(packet.data.into()).is_err() => return Ok(number),
            _ => {}
        }
        number += 1;
    }
    if number < 2 {
        return Err(PlayError::NotOpus);
    }
    Ok(number - 2)
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
    use super::*;

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

    #[test]
    fn what_is_no_opus_is_said() {
        let (sender, _receiver) = mpsc::channel(1);
        assert!(matches!(
            read("/does/not/exist", &sender),
            Err(PlayError::Open(_))
        ));
        assert!(matches!(
            read(file!(), &sender),
            Err(PlayError::Open(_) | PlayError::Ogg(_) | PlayError::NotOpus)
        ));
    }
}
