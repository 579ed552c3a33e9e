//! `vsk-video` of one peer: its own pictures as they come, and those of others as they go to it.

use std::time::Instant;

use crate::channel::video;
use crate::peer::{Channel, Message, RtcPeer};
use crate::rate::Rate;
use crate::video::Jpeg;

/// Whole pictures a second.
const RATE: u32 = 60;

/// How often a peer is told what is wrong with its pictures: three times, and then every ten seconds.
const COMPLAINTS: (u32, f64) = (3, 0.1);

/// Bytes that were sent and did not arrive yet: a picture of usual size. More would be late, so the next picture is left out.
const UNSENT: usize = 64 * 1024;

pub(super) struct Pictures {
    pub(super) channel: Option<Channel>,
    /// Whether the peer shows pictures there, and whether it sees some.
    pub(super) shows: bool,
    pub(super) sees: bool,
    parts: video::Pictures,
    rate: Rate,
    complaints: Rate,
    /// How many it was sent.
    sent: u32,
}

impl Pictures {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            channel: None,
            shows: false,
            sees: false,
            parts: video::Pictures::default(),
            rate: Rate::new(RATE, now),
            complaints: Rate::within(COMPLAINTS.0, COMPLAINTS.1, now),
            sent: 0,
        }
    }

    /// The peer says what it does.
    pub(super) fn change(&mut self, shows: bool, sees: bool) {
        (self.shows, self.sees) = (shows, sees);
        if !shows {
            self.parts = video::Pictures::default();
        }
    }

    /// Takes a message of the peer. Gives the picture that is whole by it; or why the message is dropped, where the peer is to know.
    pub(super) fn take(
        &mut self,
        now: Instant,
        message: &[u8],
    ) -> Result<Option<Jpeg>, Option<String>> {
        if !self.shows {
            return Err(None);
        }
        let wrong = match self.parts.take(message) {
            Ok(None) => return Ok(None),
            Ok(Some(_)) if !self.rate.take(1, now) => return Err(None),
            Ok(Some(whole)) => match Jpeg::read(whole.time, whole.bytes) {
                Ok(jpeg) => return Ok(Some(jpeg)),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        Err(self.complaints.take(1, now).then_some(wrong))
    }

    /// Sends the peer a picture, unless those before it are on their way still. Whether it was sent.
    pub(super) fn show(&mut self, now: Instant, peer: &mut dyn RtcPeer, jpeg: &Jpeg) -> bool {
        let Some(channel) = self.channel else {
            return false;
        };
        if peer.unsent(channel) > UNSENT {
            return false;
        }
        self.sent = self.sent.wrapping_add(1);
        for message in video::write(self.sent, jpeg.time, &jpeg.bytes) {
            if let Err(error) = peer.send(now, channel, Message::Bytes(message)) {
                tracing::debug!(%error, "a peer does not see");
                return false;
            }
        }
        true
    }
}
