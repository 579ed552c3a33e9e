//! The picture on air, sent in the call over the bot's voice connection, where Elixir wants that. Discord shows it to nobody today.

use crate::voice::{InCall, Live, WantedVideo};
use std::future::pending;
use std::sync::Arc;
use tokio::sync::mpsc;
use uro_discord_portal::{Picture, Portal, Status};
use uro_discord_voice::{Session, VideoCodec, VideoError, VideoFrame};
use uro_discord_wire::DiscordVideoStats;

/// Frames that wait: those since a keyframe come at once.
const WAITING: usize = 64;

/// What the call is to see of a portal's room.
#[derive(Default)]
pub struct Showing {
    live: Option<Live>,
    /// What is wanted there; `None`: the session can send no video.
    wanted: Option<WantedVideo>,
    /// While somebody is to see the picture: in which codec, and its frames.
    pictures: Option<(VideoCodec, mpsc::Receiver<Picture>)>,
    /// A frame was lost: nothing can be decoded before a keyframe.
    waits: bool,
    /// The voice server was told of a stream, and frames have gone there since the last look.
    began: bool,
    flows: bool,
    /// Frames that the session did not take.
    lost: u64,
    /// It was said that it takes none of a kind.
    said: bool,
}

impl Showing {
    /// Turns to what is in the call now.
    pub async fn turn_to(&mut self, call: &InCall, portal: &Portal) {
        let same = match (&self.live, &call.live) {
            (Some(one), Some(other)) => one.is(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        if !same {
            if self.pictures.is_some() {
                portal.call_sees(None);
            }
            self.turn_away().await;
            self.live.clone_from(&call.live);
        }
        let before = std::mem::replace(&mut self.wanted, call.video);
        let asked = |wanted: Option<WantedVideo>| wanted.map_or(0, |wanted| wanted.keyframes);
        let somebody = call.live.is_some() && !call.users.is_empty();
        let wanted = call.video.filter(|wanted| somebody && wanted.watched);
        match wanted.and_then(|wanted| wanted.codec) {
            Some(codec) if self.pictures.as_ref().is_none_or(|it| it.0 != codec) => {
                let (sender, pictures) = mpsc::channel(WAITING);
                self.pictures = Some((codec, pictures));
                portal.call_sees(Some((codec, sender)));
            }
            Some(_) if same && asked(before) != asked(self.wanted) => portal.call_needs_keyframe(),
            Some(_) => {}
            None if self.pictures.is_some() => {
                portal.call_sees(None);
                self.end().await;
            }
            None => {}
        }
    }

    /// Nothing of a room is shown any more.
    pub async fn turn_away(&mut self) {
        self.end().await;
        *self = Self::default();
    }

    /// The next frame, when there is one. Nothing is lost when this is dropped.
    pub async fn next(&mut self) -> Picture {
        if let Some((_, pictures)) = &mut self.pictures
            && let Some(picture) = pictures.recv().await
        {
            return picture;
        }
        // The room is gone, or there is nothing to show.
        pending().await
    }

    /// Shows it in the call.
    pub fn show(&mut self, picture: Picture, portal: &Portal) {
        let Some(session) = self.session() else {
            return;
        };
        if self.waits && !picture.keyframe {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let frame = VideoFrame {
            codec: picture.codec,
            data: picture.data,
            rtp_time: picture.rtp_time,
            keyframe: picture.keyframe,
        };
        match session.send_video(frame) {
            Ok(()) => (self.waits, self.began, self.flows) = (false, true, true),
            Err(VideoError::Ended) => {}
            Err(error) => {
                (self.waits, self.lost) = (true, self.lost.saturating_add(1));
                if !matches!(error, VideoError::Full { .. })
                    && !std::mem::replace(&mut self.said, true)
                {
                    tracing::warn!(%error, "a camera's picture cannot be sent to Discord's voice server");
                }
                portal.call_needs_keyframe();
            }
        }
    }

    /// The camera that was on air is not any more, and no other one is: what was shown of it does not stay.
    pub async fn dark(&mut self) {
        if let Some((_, pictures)) = &mut self.pictures {
            while pictures.try_recv().is_ok() {}
        }
        self.stop().await;
    }

    /// Looks, every few seconds, whether frames come still.
    pub async fn look(&mut self) {
        if !std::mem::take(&mut self.flows) {
            self.stop().await;
        }
    }

    pub async fn stats(&self, status: &Status) -> Option<DiscordVideoStats> {
        let wanted = self.wanted?;
        let session = self.session()?.status().await?;
        let sent = session.video.unwrap_or_default().sent;
        let unsent = [
            sent.no_key,
            sent.not_connected,
            sent.unwatched,
            sent.other_codec,
            sent.needs_keyframe,
            sent.congested,
        ];
        let call = status.call.as_ref();
        Some(DiscordVideoStats {
            codec: wanted.codec.map(|codec| codec.name().to_owned()),
            watched: self.pictures.is_some(),
            camera: call.and_then(|call| call.camera).map(|peer| peer.0),
            frames: sent.frames,
            keyframes: wanted.keyframes,
            dropped: unsent.into_iter().fold(self.lost, u64::saturating_add),
        })
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.live.as_ref()?.session.upgrade()
    }

    async fn end(&mut self) {
        self.pictures = None;
        self.waits = false;
        self.stop().await;
    }

    /// Tells the voice server that there is no video.
    async fn stop(&mut self) {
        if std::mem::take(&mut self.began)
            && let Some(session) = self.session()
            && let Err(error) = session.stop_video().await
        {
            tracing::debug!(%error, "a session's video is not stopped");
        }
    }
}
