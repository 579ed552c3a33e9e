//! A session, and what one holds of it.

mod connection;
pub(crate) mod core;
mod driver;
#[cfg(test)]
mod endurance;
mod events;
mod length;
mod queue;
mod source;
mod udp;
mod websocket;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use self::core::Core;
use self::driver::{Command, Driver, Video};
use self::queue::{EndsWithThis, Queue};
use crate::config::{Config, JoinInfo};
use crate::error::{ConfigError, SendError, VideoError};
use crate::receiver::Received;
use crate::status::Status;
use crate::video::{ReceivedVideo, VideoFrame};
use uro_discord_media::assembler::MAX_FRAME;

pub use connection::Connection;
pub use events::Events;

/// Received frames, in the order in which they came.
#[derive(Debug)]
pub struct Frames(mpsc::Receiver<Received>);

impl Frames {
    /// The next frame; `None` when the session is over.
    pub async fn next(&mut self) -> Option<Received> {
        self.0.recv().await
    }

    /// As [`next`](Self::next), for a future's `poll`.
    pub fn poll_next(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Received>> {
        self.0.poll_recv(cx)
    }
}

/// Received frames of video, in the order in which they were sent.
#[derive(Debug)]
pub struct VideoFrames(mpsc::Receiver<ReceivedVideo>);

impl VideoFrames {
    /// The next frame; `None` when the session is over.
    pub async fn next(&mut self) -> Option<ReceivedVideo> {
        self.0.recv().await
    }
}

/// Video, where it is on.
#[derive(Debug)]
struct VideoEnds {
    frames: mpsc::Sender<VideoFrame>,
    received: Option<VideoFrames>,
}

/// A voice session. When this is dropped, the session leaves.
#[derive(Debug)]
pub struct Session {
    commands: mpsc::Sender<Command>,
    queue: Arc<Queue>,
    video: Option<VideoEnds>,
}

impl Session {
    /// Begins to join, as soon as the [`Connection`] is polled. [`Event::Joined`](crate::Event::Joined) or
    /// [`Event::Ended`](crate::Event::Ended) tells what came of it.
    ///
    /// # Errors
    ///
    /// When the endpoint cannot be one.
    pub fn join(
        info: JoinInfo,
        config: Config,
    ) -> Result<(Self, Connection, Events, Frames), ConfigError> {
        let core = Core::new(info, config.clone(), Instant::now())?;
        let (commands, commanded) = mpsc::channel(8);
        let (frame_sender, frames) = mpsc::channel(config.receive_queue.max(1));
        let (event_sender, events) = events::channel(config.event_queue);
        let queue = Arc::new(Queue::new(config.send_queue));
        let (video, ends) = match &config.video {
            None => (None, None),
            Some(video) => {
                let (sender, to_send) = mpsc::channel(video.queue.max(1));
                let (received, to_read) = mpsc::channel(video.queue.max(1));
                let ends = VideoEnds {
                    frames: sender,
                    received: Some(VideoFrames(to_read)),
                };
                let frames = to_send;
                (Some(Video { frames, received }), Some(ends))
            }
        };
        let to_send = EndsWithThis(Arc::clone(&queue));
        let connection = Connection::new(async move {
            // Made where it runs, since its timer is that runtime's.
            let driver = Driver::new(
                core,
                config,
                commanded,
                Arc::clone(&to_send.0),
                frame_sender,
                video,
                event_sender,
            );
            driver.run().await;
        });
        let session = Self {
            commands,
            queue,
            video: ends,
        };
        Ok((session, connection, events, Frames(frames)))
    }

    /// Sends an Opus packet of 20 ms, 48 kHz. It waits for its turn, one every 20 ms; when none waits any more, speech has
    /// ended, which receivers are told by silence. Until there is a connection and a key, frames are dropped as their turn comes:
    /// what is said is not said later.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] gives the frame back when [`Config::send_queue`] frames wait: drop it, if it is live.
    pub fn try_send_opus(&self, frame: Bytes) -> Result<(), SendError> {
        self.queue.try_push(frame)
    }

    /// As [`try_send_opus`](Self::try_send_opus), for what is live and made at its own pace: no more than `most` frames wait, and beyond
    /// these the oldest are dropped, so that a stall does not stay as delay. Returns how many were.
    ///
    /// # Errors
    ///
    /// When the session has ended, or the frame cannot be one.
    pub fn send_latest_opus(&self, frame: Bytes, most: usize) -> Result<usize, SendError> {
        self.queue.push_latest(frame, most)
    }

    /// As [`try_send_opus`](Self::try_send_opus), but waits for room: for what is not live.
    ///
    /// # Errors
    ///
    /// When the session has ended, or the frame cannot be one.
    pub async fn send_opus(&self, frame: Bytes) -> Result<(), SendError> {
        self.queue.push(frame).await
    }

    /// Others' audio is wanted from now on, or no longer: what [`Config::receive`] says at the beginning.
    pub async fn want_audio(&self, wanted: bool) {
        self.command(Command::WantAudio(wanted)).await;
    }

    /// Sends a frame of video: a whole access unit, as the encoder made it. The first one, and the first after any that was
    /// dropped, must be a keyframe; [`Event::KeyframeWanted`](crate::Event::KeyframeWanted) asks for one. Without a connection, a
    /// key or somebody who watches, frames are dropped and [counted](crate::VideoSendStats).
    ///
    /// # Errors
    ///
    /// [`VideoError::Off`] unless [`Config::video`] is set; [`VideoError::Full`] gives the frame back when
    /// [`VideoConfig::queue`](crate::VideoConfig::queue) frames wait.
    pub fn send_video(&self, frame: VideoFrame) -> Result<(), VideoError> {
        let video = self.video.as_ref().ok_or(VideoError::Off)?;
        if frame.data.len() > MAX_FRAME {
            return Err(VideoError::Size {
                size: frame.data.len(),
                max: MAX_FRAME,
            });
        }
        frame.codec.check(&frame.data)?;
        let keyframe = frame.codec.is_keyframe(&frame.data);
        if frame.keyframe != keyframe {
            return Err(VideoError::Keyframe(keyframe));
        }
        video.frames.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Full(frame) => VideoError::Full {
                frame,
                waiting: video.frames.max_capacity(),
            },
            mpsc::error::TrySendError::Closed(_) => VideoError::Ended,
        })
    }

    /// Ends our video. The next frame sent begins it again.
    ///
    /// # Errors
    ///
    /// [`VideoError::Off`].
    pub async fn stop_video(&self) -> Result<(), VideoError> {
        self.video_command(Command::StopVideo).await
    }

    /// Others' frames of video; `None` where video is off, and the second time.
    pub fn video_frames(&mut self) -> Option<VideoFrames> {
        self.video.as_mut()?.received.take()
    }

    /// How good we want somebody's video, or everybody's: from 0, which is not at all, to 100, which is what all begin with.
    /// The server need not send it otherwise.
    ///
    /// # Errors
    ///
    /// [`VideoError::Off`].
    pub async fn want_video(&self, user_id: Option<u64>, quality: u8) -> Result<(), VideoError> {
        let user = user_id;
        self.video_command(Command::WantVideo { user, quality })
            .await
    }

    /// Asks somebody for a keyframe, as a decoder must that begins or that lost its way. After a loss on the network it is
    /// asked for without this.
    ///
    /// # Errors
    ///
    /// [`VideoError::Off`].
    pub async fn request_keyframe(&self, user_id: u64) -> Result<(), VideoError> {
        self.video_command(Command::RequestKeyframe(user_id)).await
    }

    async fn video_command(&self, command: Command) -> Result<(), VideoError> {
        self.video.as_ref().ok_or(VideoError::Off)?;
        let sent = self.commands.send(command).await;
        sent.map_err(|_| VideoError::Ended)
    }

    /// The main gateway named another voice server: after a move to another channel, or a region's change. `info` is whole and
    /// new; frames wait no longer than they would anyway.
    ///
    /// # Errors
    ///
    /// When the endpoint cannot be one.
    pub async fn update_server(&self, info: JoinInfo) -> Result<(), ConfigError> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::UpdateServer(Box::new(info), answer))
            .await;
        // A session that has ended takes no server, and has said so.
        answered.await.unwrap_or(Ok(()))
    }

    /// The main gateway has no voice server for us at present: `VOICE_SERVER_UPDATE` has a null endpoint. The session waits for
    /// [`update_server`](Self::update_server), for [`Config::move_timeout`].
    pub async fn server_gone(&self) {
        self.command(Command::ServerGone).await;
    }

    /// How it does; `None` when it has ended.
    pub async fn status(&self) -> Option<Status> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Status(answer)).await;
        answered.await.ok()
    }

    /// Leaves, and waits until the voice server has been told. The main gateway must be told by whoever joined.
    pub async fn leave(self) {
        self.command(Command::Leave).await;
        self.commands.closed().await;
    }

    async fn command(&self, command: Command) {
        // It fails when the session has ended: then there is nobody to ask.
        let _ = self.commands.send(command).await;
    }
}
