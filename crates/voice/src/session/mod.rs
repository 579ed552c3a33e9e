//! A session, and what one holds of it.

pub(crate) mod core;
mod driver;
#[cfg(test)]
mod endurance;
mod events;
mod queue;
mod websocket;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::core::Core;
use self::driver::{Command, Driver};
use self::queue::Queue;
use crate::config::{Config, JoinInfo};
use crate::error::{ConfigError, SendError};
use crate::receiver::Received;
use crate::status::Status;

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

/// A voice session. When this is dropped, the session leaves.
#[derive(Debug)]
pub struct Session {
    commands: mpsc::Sender<Command>,
    queue: Arc<Queue>,
    task: JoinHandle<()>,
}

impl Session {
    /// Begins to join, on the current tokio runtime. [`Event::Joined`](crate::Event::Joined) or
    /// [`Event::Ended`](crate::Event::Ended) tells what came of it.
    ///
    /// # Errors
    ///
    /// When the endpoint cannot be one.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with IO and time.
    pub fn join(info: JoinInfo, config: Config) -> Result<(Self, Events, Frames), ConfigError> {
        let core = Core::new(info, config.clone(), Instant::now())?;
        let (commands, receiver) = mpsc::channel(8);
        let (frame_sender, frames) = mpsc::channel(config.receive_queue.max(1));
        let (event_sender, events) = events::channel(config.event_queue);
        let queue = Arc::new(Queue::new(config.send_queue));
        let driver = Driver::new(
            core,
            config,
            receiver,
            Arc::clone(&queue),
            frame_sender,
            event_sender,
        );
        let session = Self {
            commands,
            queue,
            task: tokio::spawn(driver.run()),
        };
        Ok((session, events, Frames(frames)))
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

    /// As [`try_send_opus`](Self::try_send_opus), but waits for room: for what is not live.
    ///
    /// # Errors
    ///
    /// When the session has ended, or the frame cannot be one.
    pub async fn send_opus(&self, frame: Bytes) -> Result<(), SendError> {
        self.queue.push(frame).await
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

    /// The main gateway has no voice server for us at present: VOICE_SERVER_UPDATE has a null endpoint. The session waits for
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
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a voice session's task");
        }
    }

    async fn command(&self, command: Command) {
        // It fails when the session has ended: then there is nobody to ask.
        let _ = self.commands.send(command).await;
    }
}
