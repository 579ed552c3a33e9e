//! A page of World TV without a browser: it takes what comes, says so as often as the page does, and shows nothing.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::Error;
use crate::guest::token;

/// As assets/tv/socket.js has it.
const ACK: Duration = Duration::from_millis(150);

pub struct Page {
    socket: WebSocketStream<TcpStream>,
    acks: Interval,
    came: u64,
    said: u64,
}

impl Page {
    /// Comes to a room, and returns when it is let in.
    pub async fn join(server: SocketAddr, room: u32) -> Result<Self, Error> {
        let url = format!("ws://{server}/portal/room-{room}/tv");
        let stream = TcpStream::connect(server).await?;
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        let token = token(room)?;
        let hello = format!(
            r#"{{"op":"hello","token":"{token}","video":["H264","VP8","JPEG"],"audio":false}}"#
        );
        socket.send(Message::Text(hello.into())).await?;
        match socket.next().await.ok_or("it was closed")?? {
            Message::Text(text) if text.contains(r#""op":"hello""#) => {}
            other => return Err(other.to_string().into()),
        }
        let mut acks = interval(ACK);
        acks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            socket,
            acks,
            came: 0,
            said: 0,
        })
    }

    /// The next frame: how long it is.
    pub async fn see(&mut self) -> Result<usize, Error> {
        loop {
            tokio::select! {
                message = self.socket.next() => match message.ok_or("it was closed")?? {
                    Message::Binary(frame) => {
                        self.came += 1;
                        return Ok(frame.len());
                    }
                    Message::Close(why) => return Err(format!("it was closed: {why:?}").into()),
                    _ => {}
                },
                _ = self.acks.tick() => {
                    if self.said != self.came {
                        self.said = self.came;
                        let ack = format!(r#"{{"op":"ack","count":{}}}"#, self.came);
                        self.socket.send(Message::Text(ack.into())).await?;
                    }
                }
            }
        }
    }
}
