//! The task of a session: its sockets and its clock around the [`Core`].
//!
//! It is one future, and one timer stands for all deadlines. So a session that sends is woken once per frame; what did not wake it is
//! not looked at.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::task::AtomicWaker;
use futures_util::{Sink, Stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Sleep, sleep_until};
use tokio_websockets::{CloseCode, Message};

use super::core::{Action, Core, Sending};
use super::events::EventSender;
use super::length::at_length;
use super::queue::Queue;
use super::source::Source;
use super::udp::Udp;
use super::websocket::{self, ConnectError, WebSocket};
use crate::config::{Config, JoinInfo};
use crate::error::{Cause, ConfigError, End};
use crate::receiver::Received;
use crate::status::Status;
use crate::video::{ReceivedVideo, VideoFrame};

/// Datagrams are smaller: Discord keeps them below an MTU of 1500.
const MAX_DATAGRAM: usize = 2048;

/// Datagrams taken in a row before others have their turn.
const BURST: usize = 64;

/// What the handle asks of the task.
pub(crate) enum Command {
    UpdateServer(Box<JoinInfo>, oneshot::Sender<Result<(), ConfigError>>),
    ServerGone,
    WantAudio(bool),
    StopVideo,
    WantVideo { user: Option<u64>, quality: u8 },
    RequestKeyframe(u64),
    Status(oneshot::Sender<Status>),
    Leave,
}

/// Frames of video, on their way through the session.
pub(crate) struct Video {
    pub frames: mpsc::Receiver<VideoFrame>,
    pub received: mpsc::Sender<ReceivedVideo>,
}

type Connecting = Pin<Box<dyn Future<Output = Result<WebSocket, ConnectError>> + Send>>;

enum Socket {
    None,
    Connecting(Connecting),
    Open(Box<WebSocket>),
    /// The session is over, and the server is told.
    Closing(Box<WebSocket>),
}

pub(crate) struct Driver {
    core: Core,
    config: Config,
    socket: Socket,
    /// Something was written and may not have left yet.
    flush: bool,
    udp: Option<Udp>,
    sleep: Pin<Box<Sleep>>,
    commands: mpsc::Receiver<Command>,
    queue: Arc<Queue>,
    frames: mpsc::Sender<Received>,
    video: Option<Video>,
    events: EventSender,
    buffer: Box<[u8; MAX_DATAGRAM]>,
    packet: Vec<u8>,
    end: Option<End>,
    task: Arc<AtomicWaker>,
    wakes: Wakes,
}

/// What wakes it, beside the timer and frames to send.
struct Wakes {
    socket: Source,
    udp: Source,
    commands: Source,
}

impl Driver {
    pub(crate) fn new(
        core: Core,
        config: Config,
        commands: mpsc::Receiver<Command>,
        queue: Arc<Queue>,
        frames: mpsc::Sender<Received>,
        video: Option<Video>,
        events: EventSender,
    ) -> Self {
        let task = Arc::new(AtomicWaker::new());
        Self {
            core,
            config,
            socket: Socket::None,
            flush: false,
            udp: None,
            sleep: Box::pin(sleep_until(Instant::now().into())),
            commands,
            queue,
            frames,
            video,
            events,
            buffer: Box::new([0; MAX_DATAGRAM]),
            packet: Vec::new(),
            end: None,
            wakes: Wakes {
                socket: Source::new(&task),
                udp: Source::new(&task),
                commands: Source::new(&task),
            },
            task,
        }
    }

    /// Runs the session to its end.
    pub(crate) async fn run(mut self) {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        tracing::debug!(%end, "a voice session ended");
        self.queue.end();
        self.events.end(end);
        // Whoever listens hears of the end now.
        drop((self.events, self.frames, self.video));
        if let Socket::Closing(mut socket) = self.socket {
            // Only so that the server need not find out by itself.
            let closed = std::future::poll_fn(|cx| Pin::new(&mut *socket).poll_close(cx));
            if let Err(error) = tokio::time::timeout(self.config.step_timeout, closed).await {
                tracing::debug!(%error, "the voice gateway did not take the close");
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.task.register(cx.waker());
        loop {
            self.take_commands();
            self.read_socket();
            self.read_udp();
            let now = Instant::now();
            self.core.advance(now);
            self.act();
            self.send_frames(now, cx);
            self.send_video(now, cx);
            self.act();
            self.flush();
            if let Some(end) = self.end.take() {
                return Poll::Ready(end);
            }
            let Some(deadline) = self.core.deadline() else {
                return Poll::Pending;
            };
            if self.sleep.deadline() != deadline.into() {
                self.sleep.as_mut().reset(deadline.into());
            }
            ready!(self.sleep.as_mut().poll(cx));
        }
    }

    fn take_commands(&mut self) {
        if !self.wakes.commands.take() {
            return;
        }
        while self.end.is_none()
            && let Poll::Ready(command) =
                self.commands.poll_recv(&mut self.wakes.commands.context())
        {
            self.command(command.unwrap_or(Command::Leave));
            self.act();
        }
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::UpdateServer(info, answer) => {
                // It fails if nobody waits for the answer any more.
                let _ = answer.send(self.core.update_server(*info, now));
            }
            Command::WantAudio(wanted) => self.core.want_audio(wanted),
            Command::StopVideo => self.core.stop_video(),
            Command::WantVideo { user, quality } => self.core.want_video(user, quality),
            Command::RequestKeyframe(user) => self.core.request_keyframe(user, now),
            Command::ServerGone => self.core.server_gone(now),
            Command::Status(answer) => {
                let _ = answer.send(self.core.status());
            }
            Command::Leave => self.core.leave(),
        }
    }

    /// Takes what the voice gateway sent.
    fn read_socket(&mut self) {
        if !self.wakes.socket.take() {
            return;
        }
        loop {
            let (now, cx) = (Instant::now(), &mut self.wakes.socket.context());
            match &mut self.socket {
                Socket::None | Socket::Closing(_) => return,
                Socket::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(socket)) => {
                        self.socket = Socket::Open(Box::new(socket));
                        self.core.opened(now);
                    }
                    Poll::Ready(Err(error)) => {
                        self.socket = Socket::None;
                        self.core.failed(Cause::new(error), now);
                    }
                },
                Socket::Open(socket) => match Pin::new(&mut **socket).poll_next(cx) {
                    Poll::Pending => return,
                    Poll::Ready(Some(Ok(message))) => {
                        if let Some(text) = message.as_text() {
                            self.core.text_message(text, now);
                        } else if message.is_binary() {
                            // MLS takes milliseconds for some.
                            at_length(|| self.core.binary_message(message.as_payload(), now));
                        } else if let Some((code, _)) = message.as_close() {
                            let code = Some(u16::from(code)).filter(|code| *code != 1005);
                            self.socket = Socket::None;
                            self.core.closed(code, now);
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        self.socket = Socket::None;
                        self.core.failed(Cause::new(error), now);
                    }
                    Poll::Ready(None) => {
                        self.socket = Socket::None;
                        self.core.closed(None, now);
                    }
                },
            }
            self.act();
        }
    }

    /// Takes datagrams.
    fn read_udp(&mut self) {
        if !self.wakes.udp.take() {
            return;
        }
        for _ in 0..BURST {
            let Some(udp) = &self.udp else { return };
            match udp.poll_receive(&mut self.buffer[..], &mut self.wakes.udp.context()) {
                Poll::Pending => return,
                Poll::Ready(Ok(length)) => {
                    if let Some(datagram) = self.buffer.get_mut(..length) {
                        self.core.datagram(datagram, Instant::now());
                    }
                }
                // What was sent did not arrive: nobody listens there, or not yet.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Poll::Ready(Err(error)) => self.core.end(End::Socket(Cause::new(error))),
            }
            self.act();
        }
        // There may be more.
        self.wakes.udp.wake();
    }

    fn send_frames(&mut self, now: Instant, cx: &mut Context<'_>) {
        loop {
            let (queue, waker) = (&self.queue, cx.waker());
            match self.core.packet(now, || queue.pop(waker), &mut self.packet) {
                Sending::Nothing => return,
                Sending::Skip => {}
                Sending::Packet => {
                    // That we speak is said first.
                    self.act();
                    self.flush();
                    if !self.send(&self.packet) {
                        self.core.unsent();
                    }
                }
            }
        }
    }

    fn send_video(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(video) = &mut self.video else { return };
        while let Poll::Ready(Some(frame)) = video.frames.poll_recv(cx) {
            self.core.video_frame(&frame, now);
        }
        // That there is video is said first.
        self.act();
        self.flush();
        while self.core.video_packet(now, &mut self.packet) == Sending::Packet {
            if !self.send(&self.packet) {
                self.core.video_unsent();
            }
        }
    }

    fn send(&self, datagram: &[u8]) -> bool {
        self.udp.as_ref().is_some_and(|udp| udp.send(datagram))
    }

    /// Does what the core says.
    fn act(&mut self) {
        while let Some(action) = self.core.action() {
            match action {
                Action::Connect { endpoint, version } => {
                    let (scheme, tls) = (self.config.scheme, self.config.tls.clone());
                    self.socket = Socket::Connecting(Box::pin(websocket::connect(
                        endpoint, version, scheme, tls,
                    )));
                    self.wakes.socket.wake();
                }
                Action::Disconnect { code } => self.disconnect(code),
                Action::Text(text) => self.write(Message::text(text)),
                Action::Binary(binary) => self.write(Message::binary(binary)),
                Action::Bind(server) => match Udp::bind(server) {
                    Ok(udp) => {
                        self.udp = Some(udp);
                        self.wakes.udp.wake();
                    }
                    Err(error) => self.core.end(End::Socket(Cause::new(error))),
                },
                // Those of the protocol are sent again, if nothing comes back.
                Action::Datagram(datagram) => {
                    self.send(&datagram);
                }
                Action::Event(event) => self.events.send(event),
                Action::Frame(frame) => {
                    if let Err(mpsc::error::TrySendError::Full(_)) = self.frames.try_send(frame) {
                        self.core.overflowed();
                    }
                }
                Action::Video(frame) => {
                    let (ssrc, lost_before) = (frame.ssrc, frame.lost_before);
                    if let Some(video) = &self.video
                        && let Err(mpsc::error::TrySendError::Full(_)) =
                            video.received.try_send(frame)
                    {
                        self.core
                            .video_overflowed(ssrc, lost_before, Instant::now());
                    }
                }
                Action::End(end) => self.end = Some(end),
            }
        }
    }

    fn disconnect(&mut self, code: u16) {
        self.socket = match std::mem::replace(&mut self.socket, Socket::None) {
            Socket::Open(mut socket) if code == 1000 => {
                let close = Message::close(Some(CloseCode::NORMAL_CLOSURE), "");
                let sent = Pin::new(&mut *socket).start_send(close);
                // What does not leave now is told by the end of the connection, or when the session ends.
                match sent
                    .map(|()| Pin::new(&mut *socket).poll_flush(&mut self.wakes.socket.context()))
                {
                    Ok(Poll::Pending | Poll::Ready(Ok(()))) => Socket::Closing(socket),
                    Ok(Poll::Ready(Err(_))) | Err(_) => Socket::None,
                }
            }
            _ => Socket::None,
        };
    }

    fn write(&mut self, message: Message) {
        if let Socket::Open(socket) = &mut self.socket {
            if let Err(error) = Pin::new(&mut **socket).start_send(message) {
                self.socket = Socket::None;
                self.core.failed(Cause::new(error), Instant::now());
                self.wakes.socket.wake();
            }
            self.flush = true;
        }
    }

    /// Lets go what was written.
    fn flush(&mut self) {
        let Socket::Open(socket) = &mut self.socket else {
            return;
        };
        if self.flush
            && Pin::new(&mut **socket)
                .poll_flush(&mut self.wakes.socket.context())
                .is_ready()
        {
            // An error is met again when reading.
            self.flush = false;
        }
    }
}
