//! A peer of a portal.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use secrecy::SecretString;
use thiserror::Error;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    address::{Address, Kind},
    connection::{Arrived, Connection, Direction, Failure, Shape},
    control::{FromPeer, FromPortal, Listens, Role, Voice},
    http::{Http, HttpError},
    voice::Frame,
};

/// A connection that is not there by then does not come.
const PATIENCE: Duration = Duration::from_secs(15);
/// Events that wait for their reader; then the connection waits.
const WAITING: usize = 256;

/// How a peer takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a track, speaking only: WHIP.
    Publish,
    /// By a track, listening only: WHEP.
    Watch,
    /// By tracks both ways: `/peer`.
    Both,
    /// By data channels, as Godot does: `/peer`.
    Channels {
        /// For whom it speaks.
        role: Role,
        /// How voice is encoded.
        voice: Voice,
        /// Whom it hears.
        listens: Listens,
    },
}

/// What a peer needs to join.
#[derive(Clone, Debug)]
pub struct Join {
    /// Where the portal is.
    pub portal: Address,
    /// A token with the role for the way.
    pub token: SecretString,
    /// How it takes part.
    pub way: Way,
    /// Where to send media to, in place of the addresses that the portal names: a relay's.
    pub media: Option<SocketAddr>,
}

/// A packet of voice that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who speaks, by his number in the roster; 0 is the mix.
    pub speaker: u32,
    /// Its number: of 16 bits on a track, of 24 on a channel.
    pub sequence: u32,
    /// When it is to be heard, in samples, on a track.
    pub time: Option<u32>,
    /// Opus or samples; nothing is silence.
    pub payload: Bytes,
}

/// What happens to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Somebody is heard.
    Packet(Packet),
    /// The portal says something.
    Said(FromPortal),
    /// The connection has ended, and nothing comes any more.
    Ended(String),
}

/// Why a peer is not there, or not any more.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The endpoint could not be asked, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// WebRTC failed.
    #[error("WebRTC: {0}")]
    WebRtc(#[from] Failure),
    /// The portal took the offer, but no packets of its come.
    #[error("the portal answered, but no connection came about within {} s: is its UDP port open ({media}), and are its public addresses right?", PATIENCE.as_secs())]
    NoMedia {
        /// Where the portal says that it is.
        media: String,
    },
    /// The portal said good-bye or an error in place of a welcome.
    #[error("the portal does not want this peer: {0}")]
    Unwelcome(String),
    /// The connection has ended.
    #[error("the connection has ended: {0}")]
    Ended(String),
}

/// A peer in a portal.
pub struct Peer {
    connection: Connection,
    arrived: mpsc::Receiver<Arrived>,
    http: Http,
    session: String,
    way: Way,
    /// What came in the message that is being read, and is not handed out yet.
    message: Bytes,
    sequence: u32,
    time: u32,
    pausing: bool,
    /// The connection is not there any more, but for what it had received.
    closing: bool,
    ended: bool,
}

impl Peer {
    /// Joins; returns when media can flow, and a peer of data channels is welcome.
    ///
    /// # Errors
    /// When the portal refuses, or no connection comes about within 15 s.
    pub async fn join(join: Join) -> Result<Self, Error> {
        let http = Http::new(&join.token)?;
        let (come, arrived) = mpsc::channel(WAITING);
        let mut connection = Connection::new(shape(&join), come).await?;
        let offer = connection.offer().await?;
        let opened = http.open(&join.portal, kind(join.way), offer).await?;
        let mut peer = Self {
            connection,
            arrived,
            http,
            session: opened.session,
            way: join.way,
            message: Bytes::new(),
            sequence: fastrand::u32(..) & 0xffff,
            time: fastrand::u32(..),
            pausing: true,
            closing: false,
            ended: false,
        };
        let answer = match join.media {
            Some(media) => through(&opened.answer, media),
            None => opened.answer,
        };
        let media = candidates(&answer);
        let connected = timeout(PATIENCE, peer.connect(answer)).await;
        let failed = match connected {
            Ok(Ok(())) => return Ok(peer),
            Ok(Err(error)) => error,
            Err(_) => Error::NoMedia { media },
        };
        // The portal would keep its half until its own patience ends; what went wrong first is what to tell.
        if let Err(error) = peer.leave().await {
            tracing::debug!(%error, "the session could not be ended");
        }
        Err(failed)
    }

    async fn connect(&mut self, answer: String) -> Result<(), Error> {
        self.connection.answer(answer.clone()).await?;
        if !self.connection.connected().await {
            return Err(Error::NoMedia {
                media: candidates(&answer),
            });
        }
        let Way::Channels {
            role,
            voice,
            listens,
        } = self.way
        else {
            return Ok(());
        };
        // Both channels, in whatever order.
        let mut open = 0;
        while open < 2 {
            match self.arrived.recv().await {
                Some(Arrived::Open) => open += 1,
                Some(Arrived::Closed) | None => {
                    return Err(Error::Ended("a data channel was closed".into()));
                }
                Some(_) => {}
            }
        }
        let hello = FromPeer::Hello {
            proto: 1,
            role,
            voice,
            listens,
        };
        self.say(&hello).await?;
        loop {
            match self.next().await {
                Some(Happened::Said(FromPortal::Welcome { voice: agreed, .. })) => {
                    if agreed != voice {
                        let agreed = format!("it wants {agreed:?}, and not {voice:?}");
                        return Err(Error::Unwelcome(agreed));
                    }
                    return Ok(());
                }
                Some(Happened::Said(FromPortal::Error { code, message })) => {
                    return Err(Error::Unwelcome(format!("{message} ({code})")));
                }
                Some(Happened::Said(FromPortal::Bye { reason })) => {
                    return Err(Error::Unwelcome(reason));
                }
                Some(Happened::Ended(reason)) => return Err(Error::Ended(reason)),
                None => return Err(Error::Ended("before the welcome".into())),
                Some(_) => {}
            }
        }
    }

    /// Says something on `vsk-control`.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn say(&self, said: &FromPeer) -> Result<(), Error> {
        let text = serde_json::to_string(said).unwrap_or_default();
        Ok(self.connection.send_control(&text).await?)
    }

    /// Sends the next frame of its own voice, of so many samples.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn speak(&mut self, samples: u32, payload: Bytes) -> Result<(), Error> {
        self.speak_for(0, samples, payload).await
    }

    /// Sends the next frame of a player's voice, whom it forwards on a data channel; 0 is the peer itself.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn speak_for(
        &mut self,
        sender: u32,
        samples: u32,
        payload: Bytes,
    ) -> Result<(), Error> {
        let (sequence, time) = (self.sequence, self.time);
        self.sequence = self.sequence.wrapping_add(1);
        self.time = self.time.wrapping_add(samples);
        self.send(sender, sequence, time, payload).await
    }

    /// Sends a packet with a number and a time that the caller counts, as when a network has lost and mixed up what was before it.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(
        &mut self,
        sender: u32,
        sequence: u32,
        time: u32,
        payload: Bytes,
    ) -> Result<(), Error> {
        let marker = std::mem::take(&mut self.pausing);
        match self.way {
            Way::Channels { .. } => {
                let frame = Frame {
                    sender,
                    sequence,
                    payload,
                };
                let mut message = Vec::with_capacity(crate::voice::HEADER + frame.payload.len());
                frame.write(&mut message);
                self.connection.send_voice(&message).await?;
            }
            Way::Publish | Way::Both | Way::Watch => {
                self.connection
                    .send_rtp(sequence as u16, time, marker, payload)
                    .await?;
            }
        }
        Ok(())
    }

    /// Says nothing for so many samples: time goes on, and numbers do not.
    pub fn pause(&mut self, samples: u32) {
        self.time = self.time.wrapping_add(samples);
        self.pausing = true;
    }

    /// What happens next. After [`Happened::Ended`] it is `None`.
    ///
    /// It may be dropped before it is ready, and nothing is lost.
    pub async fn next(&mut self) -> Option<Happened> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(packet) = self.unread() {
                return Some(Happened::Packet(packet));
            }
            let arrived = tokio::select! {
                biased;
                arrived = self.arrived.recv() => arrived,
                // What had come before the end is in the queue then.
                () = self.connection.over(self.closing) => self.arrived.try_recv().ok(),
            };
            match arrived {
                Some(Arrived::Rtp(packet)) => {
                    return Some(Happened::Packet(Packet {
                        speaker: 0,
                        sequence: packet.header.sequence_number.into(),
                        time: Some(packet.header.timestamp),
                        payload: packet.payload,
                    }));
                }
                Some(Arrived::Control(text)) => match serde_json::from_slice(&text) {
                    Ok(said) => return Some(Happened::Said(said)),
                    Err(error) => tracing::warn!(%error, "vsk-control"),
                },
                Some(Arrived::Voice(message)) => self.message = message,
                Some(Arrived::Open) => {}
                None if self.closing => return self.end(),
                // By the portal, or by its silence. Its last words may still be on their way through the connection.
                Some(Arrived::Closed) | None => {
                    self.closing = true;
                    if let Err(error) = self.connection.stop().await {
                        tracing::debug!(%error, "a connection that does not close");
                    }
                }
            }
        }
    }

    fn end(&mut self) -> Option<Happened> {
        self.ended = true;
        Some(Happened::Ended(
            "the portal has closed it, or is out of reach".into(),
        ))
    }

    /// The next packet of the message of voice that is being read.
    fn unread(&mut self) -> Option<Packet> {
        match Frame::read(&mut self.message) {
            Ok(frame) => frame.map(|frame| Packet {
                speaker: frame.sender,
                sequence: frame.sequence,
                time: None,
                payload: frame.payload,
            }),
            Err(error) => {
                self.message.clear();
                tracing::warn!(%error, "vsk-voice");
                None
            }
        }
    }

    /// What a check of the connection last took to the portal and back.
    pub async fn round_trip(&self) -> Option<Duration> {
        self.connection.round_trip().await
    }

    /// Leaves, and says so.
    ///
    /// # Errors
    /// When the portal does not hear it; the connection is closed all the same.
    pub async fn leave(self) -> Result<(), Error> {
        if matches!(self.way, Way::Channels { .. }) && !self.closing {
            // A connection that cannot say it is as good as closed.
            let _ = self.say(&FromPeer::Bye).await;
        }
        let told = self.http.close(&self.session).await;
        self.connection.stop().await?;
        match told {
            // It was over already.
            Err(HttpError::Refused {
                status: hyper::StatusCode::NOT_FOUND,
                ..
            }) => Ok(()),
            told => Ok(told?),
        }
    }
}

fn kind(way: Way) -> Kind {
    match way {
        Way::Publish => Kind::Whip,
        Way::Watch => Kind::Whep,
        Way::Both | Way::Channels { .. } => Kind::Peer,
    }
}

fn shape(join: &Join) -> Shape {
    let (track, channels) = match join.way {
        Way::Publish => (Some(Direction::Send), false),
        Way::Watch => (Some(Direction::Receive), false),
        Way::Both => (Some(Direction::Both), false),
        Way::Channels { .. } => (None, true),
    };
    let loopback = join
        .media
        .map_or(join.portal.is_loopback(), |media| media.ip().is_loopback());
    Shape {
        track,
        channels,
        loopback,
    }
}

/// The addresses that an answer names.
fn candidates(answer: &str) -> String {
    let addresses: std::collections::BTreeSet<String> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .filter_map(|candidate| {
            let mut fields = candidate.split_whitespace().skip(4);
            Some(format!("{} {}", fields.next()?, fields.next()?))
        })
        .collect();
    if addresses.is_empty() {
        return "it names none".to_owned();
    }
    addresses.into_iter().collect::<Vec<_>>().join(", ")
}

/// The answer with one candidate in place of its own.
fn through(answer: &str, media: SocketAddr) -> String {
    let mut replaced = String::new();
    for line in answer.lines() {
        if line.starts_with("a=candidate:") {
            continue;
        }
        replaced.push_str(line);
        replaced.push_str("\r\n");
        // The credentials stand in each section, or once above all of them.
        if line.starts_with("a=ice-pwd:") {
            let (ip, port) = (media.ip(), media.port());
            replaced.push_str(&format!(
                "a=candidate:1 1 udp 2130706431 {ip} {port} typ host\r\n"
            ));
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
        a=candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host\r\n\
        a=candidate:2 1 udp 2130706430 2001:db8::1 7882 typ host\r\na=end-of-candidates\r\n";

    #[test]
    fn the_addresses_are_named() {
        assert_eq!(candidates(ANSWER), "192.0.2.1 7882, 2001:db8::1 7882");
        assert_eq!(candidates("v=0"), "it names none");
    }

    #[test]
    fn a_relay_takes_the_place_of_all_addresses() {
        let relayed = through(ANSWER, "127.0.0.1:9".parse().unwrap());
        assert_eq!(candidates(&relayed), "127.0.0.1 9");
        assert!(relayed.ends_with("a=end-of-candidates\r\n"));
    }
}
