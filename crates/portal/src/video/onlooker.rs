//! Who sees whole pictures (JPEG), one message or more each, instead of a stream of packets.

use std::time::Instant;

use super::ViewerHealth;
use super::pace::Meter;
use crate::room::PeerId;

pub(super) struct Onlooker {
    /// Whose picture it was given last, while that is on air.
    pub(super) camera: Option<PeerId>,
    meter: Meter,
    pictures: u64,
    skipped: u64,
}

impl Onlooker {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            camera: None,
            meter: Meter::new(now),
            pictures: 0,
            skipped: 0,
        }
    }

    /// A picture was sent, or left out because those before it wait still.
    pub(super) fn shown(&mut self, now: Instant, bytes: usize, sent: bool) {
        if sent {
            self.pictures = self.pictures.saturating_add(1);
            self.meter.add(now, bytes);
        } else {
            self.skipped = self.skipped.saturating_add(1);
        }
    }

    pub(super) fn health(&mut self, now: Instant, peer: PeerId) -> ViewerHealth {
        ViewerHealth {
            peer,
            camera: self.camera,
            bits: self.meter.rate(now),
            packets: self.pictures,
            again: 0,
            congested: self.skipped,
        }
    }
}
