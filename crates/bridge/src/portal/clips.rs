//! Clips that Elixir wants.

use super::Served;
use crate::media::Media;
use crate::sender::FrameSender;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use uro_discord_portal::{NoClip, Portals};
use uro_discord_wire::{self as wire, ClipInfo, FromBridge};

/// So many are made at once. Each has 10 MiB at most, and is there twice while it is sent.
const AT_ONCE: usize = 2;

/// So much of one is sent at once: at 12 Mbit/s what comes behind it waits for 45 ms.
const PIECE: usize = 64 * 1024;

/// Makes clips, beside what else Elixir says.
pub struct Clips {
    sender: FrameSender,
    media: Media,
    served: watch::Receiver<Served>,
    places: Arc<Semaphore>,
}

impl Clips {
    pub fn new(sender: FrameSender, media: Media, served: watch::Receiver<Served>) -> Self {
        Self {
            sender,
            media,
            served,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Answers when the clip is there, or at once if too many are made.
    pub fn make(&self, id: u64, portal: &str, length: Duration) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return none(&self.sender, id, wire::NoClip::Busy);
        };
        let portals = match &*self.served.borrow() {
            Served::Routes(_, portals) => Some(portals.clone()),
            Served::Nothing | Served::Soon => None,
        };
        let (sender, portal) = (self.sender.clone(), portal.to_owned());
        self.media.spawn(async move {
            made(&sender, portals, id, &portal, length).await;
            drop(place);
        });
    }
}

async fn made(
    sender: &FrameSender,
    portals: Option<Portals>,
    id: u64,
    portal: &str,
    length: Duration,
) {
    let Some(portals) = portals else {
        return none(sender, id, wire::NoClip::Off);
    };
    let clip = match portals.clip(portal, length).await {
        Ok(clip) => clip,
        Err(reason) => return none(sender, id, said(reason)),
    };
    let mut pieces = clip.mp4.chunks(PIECE).peekable();
    while let Some(piece) = pieces.next() {
        let info = ClipInfo {
            length: u64::try_from(clip.length.as_millis()).unwrap_or(u64::MAX),
            cut: clip.cut,
            more: pieces.peek().is_some(),
            reason: None,
        };
        let mp4 = piece.into();
        if let Err(error) = sender.send_last(&FromBridge::Clip { id, info, mp4 }).await {
            tracing::error!(%error, "a clip cannot be carried to Elixir");
            return none(sender, id, wire::NoClip::Fault);
        }
    }
}

fn said(reason: NoClip) -> wire::NoClip {
    match reason {
        NoClip::Off | NoClip::Closed => wire::NoClip::Off,
        NoClip::Nothing => wire::NoClip::Nothing,
        NoClip::Jpeg => wire::NoClip::Jpeg,
        _ => wire::NoClip::Fault,
    }
}

/// There is no clip, which takes no room.
fn none(sender: &FrameSender, id: u64, reason: wire::NoClip) {
    let info = ClipInfo {
        reason: Some(reason),
        ..ClipInfo::default()
    };
    let mp4 = Vec::new().into();
    if let Err(error) = sender.send_now(&FromBridge::Clip { id, info, mp4 }) {
        tracing::error!(%error, "a message cannot be carried to Elixir");
    }
}
