//! What the endpoint asks of a loop: peers that come, begin ICE anew, and go.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use uro_discord_media::VideoCodec;

use super::super::handle::RoomLink;
use super::super::line::{Line, LoopEnd};
use super::super::paths::PeerPaths;
use super::super::session::{Connection, Left, PeerInfo, Session, Wants};
use super::super::{Kind, count};
use super::{Media, guarded};
use crate::clip::{Cut, NoClip};
use crate::peer::{Offer, OfferError, Rtc, RtcPeer as _};
use crate::room::Status;
use crate::tv::Tv;

/// What the endpoint asks of a loop.
pub(crate) enum Command {
    Join {
        link: Arc<RoomLink>,
        offer: Offer,
        info: PeerInfo,
        /// It is to see that while there is no picture for it.
        placeholder: bool,
        reply: oneshot::Sender<Result<Answered, Refused>>,
    },
    /// A page comes by a WebSocket.
    Watch {
        link: Arc<RoomLink>,
        info: PeerInfo,
        line: Arc<Line>,
        takes: Vec<VideoCodec>,
        looks: bool,
        hears: bool,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    /// A candidate of a session. They are not needed; whether it is there is.
    Look {
        session: SessionAddress,
        /// Our ufrag.
        reply: oneshot::Sender<Result<String, NoSession>>,
    },
    Restart {
        session: SessionAddress,
        ufrag: String,
        password: String,
        reply: oneshot::Sender<Result<Restarted, NoSession>>,
    },
    /// How a publisher is.
    Air {
        session: SessionAddress,
        reply: oneshot::Sender<Result<Air, NoSession>>,
    },
    End {
        session: SessionAddress,
        reply: oneshot::Sender<Result<(), NoSession>>,
    },
    Status {
        room: u64,
        reply: oneshot::Sender<Status>,
    },
    /// The newest whole picture of the camera that is on air.
    Still {
        link: Arc<RoomLink>,
        reply: oneshot::Sender<Option<Bytes>>,
    },
    /// What was on air lately.
    Clip {
        link: Arc<RoomLink>,
        length: Duration,
        reply: oneshot::Sender<Result<Cut, NoClip>>,
    },
}

/// A session, and who asks for it.
pub(crate) struct SessionAddress {
    pub(crate) portal: String,
    pub(crate) kind: Kind,
    pub(crate) session: String,
    pub(crate) subject: String,
}

/// An answer, and our ufrag in it.
pub(crate) type Answered = (String, String);

/// How a publisher is.
pub(crate) struct Air {
    /// His connection has come up.
    pub(crate) connected: bool,
    /// Viewers are shown his picture.
    pub(crate) on_air: bool,
    /// How many see it.
    pub(crate) viewers: usize,
}

/// Why an offer is not answered.
pub(crate) enum Refused {
    Offer(OfferError),
    /// The portal has closed meanwhile.
    Closed,
    /// What he publishes was ended.
    Stopped,
    /// Something went wrong here.
    Panic,
}

/// There is no such session, or it is somebody else's.
pub(crate) struct NoSession;

/// What ICE begins anew with.
pub(crate) enum Restarted {
    /// Lines of SDP, and the ufrag in them.
    Done {
        lines: String,
        ufrag: String,
    },
    Refused(String),
    /// It did so just now.
    Often,
}

impl Media {
    pub(super) fn command(&mut self, command: Command, now: Instant) {
        // Whoever does not wait for an answer any more gets none.
        match command {
            Command::Join {
                link,
                offer,
                info,
                placeholder,
                reply,
            } => {
                let session = info.session.clone();
                let answer = self.join(&link, offer, (info, placeholder), now);
                let joined = answer.is_ok();
                if reply.send(answer).is_err() && joined {
                    self.end_session(&session);
                }
            }
            Command::Watch {
                link,
                info,
                line,
                takes,
                looks,
                hears,
                reply,
            } => {
                let session = info.session.clone();
                let joined = self.watch(&link, info, line, (takes, looks, hears), now);
                let is_in = joined.is_ok();
                if reply.send(joined).is_err() && is_in {
                    self.end_session(&session);
                }
            }
            Command::Look { session, reply } => {
                let found = self.find(&session).and_then(|index| self.peers.get(index));
                let ufrag = found
                    .and_then(Option::as_ref)
                    .and_then(|it| it.peer.credentials());
                let _ = reply.send(ufrag.map(|(ours, _)| ours.to_owned()).ok_or(NoSession));
            }
            Command::Restart {
                session,
                ufrag,
                password,
                reply,
            } => {
                let restarted = match self.find(&session) {
                    Some(index) => Ok(self.restart(index, &ufrag, &password, now)),
                    None => Err(NoSession),
                };
                let _ = reply.send(restarted);
            }
            Command::Air { session, reply } => {
                let air = self.air(&session, now);
                let _ = reply.send(air);
            }
            Command::End { session, reply } => {
                let found = self.find(&session);
                if found.is_some() {
                    self.end_session(&session.session);
                }
                let _ = reply.send(found.map(|_| ()).ok_or(NoSession));
            }
            Command::Status { room, reply } => {
                // The room may be so new that nobody looked.
                self.look(now);
                let Some(host) = self.rooms.get_mut(&room) else {
                    return;
                };
                match host.status(now) {
                    Ok(status) => {
                        let _ = reply.send(status);
                    }
                    Err(_) => self.break_room(room),
                }
                self.stir_room(room);
            }
            Command::Clip {
                link,
                length,
                reply,
            } => {
                self.look(now);
                let Some(host) = self.rooms.get(&link.key) else {
                    return;
                };
                match host.clip(now, length) {
                    Ok(cut) => _ = reply.send(cut),
                    Err(_) => self.break_room(link.key),
                }
            }
            Command::Still { link, reply } => {
                self.look(now);
                if let Some(host) = self.rooms.get(&link.key) {
                    let _ = reply.send(host.still(now));
                }
            }
        }
    }

    fn find(&self, address: &SessionAddress) -> Option<usize> {
        let index = *self.by_session.get(&address.session)?;
        let session = self.peers.get(index)?.as_ref()?;
        let host = self.rooms.get(&session.room)?;
        let same = session.info.claims.sub == address.subject
            && session.info.kind == address.kind
            && host.link.id == address.portal;
        same.then_some(index)
    }

    fn air(&mut self, address: &SessionAddress, now: Instant) -> Result<Air, NoSession> {
        let index = self.find(address).ok_or(NoSession)?;
        let session = self.peers.get(index).and_then(Option::as_ref);
        let (connected, id, room) = session
            .map(|it| (it.in_room, it.id, it.room))
            .ok_or(NoSession)?;
        let host = self.rooms.get_mut(&room).ok_or(NoSession)?;
        let Ok((on_air, viewers)) = host.air(now, id) else {
            self.break_room(room);
            return Err(NoSession);
        };
        Ok(Air {
            connected,
            on_air,
            viewers,
        })
    }

    fn end_session(&mut self, session: &str) {
        if let Some(&index) = self.by_session.get(session) {
            if let Some(Some(session)) = self.peers.get_mut(index) {
                session.leave(Left::Said);
            }
            self.stir(index);
        }
    }

    fn join(
        &mut self,
        link: &Arc<RoomLink>,
        offer: Offer,
        (info, placeholder): (PeerInfo, bool),
        now: Instant,
    ) -> Result<Answered, Refused> {
        // The room may be so new that nobody looked.
        self.look(now);
        let host = self.rooms.get_mut(&link.key).ok_or(Refused::Closed)?;
        let audio = offer.audio();
        let video = offer.video().map(|(direction, _)| direction);
        let wants = Wants {
            sends: info.kind != Kind::Whep && audio.is_some_and(|audio| audio.sends),
            hears: info.kind != Kind::Whip && audio.is_some_and(|audio| audio.receives),
            data: info.kind == Kind::Peer && offer.data(),
            shows: info.kind != Kind::Whep && video.is_some_and(|video| video.sends),
            sees: info.kind != Kind::Whip && video.is_some_and(|video| video.receives),
            placeholder,
        };
        if wants.publishes(info.kind) && host.stopped.0.has(&info.claims.sub, now) {
            return Err(Refused::Stopped);
        }
        let identity = &self.identity;
        let addresses = self.candidates.clone();
        // An offer is what strangers wrote.
        let accepted = catch_unwind(AssertUnwindSafe(|| {
            Rtc::accept(now, identity, offer, addresses, (wants.hears, wants.sees))
        }));
        let (peer, answer) = match accepted {
            Ok(accepted) => accepted.map_err(Refused::Offer)?,
            Err(_) => {
                count(&self.counts.panics);
                return Err(Refused::Panic);
            }
        };
        let (ufrag, password) = peer.credentials();
        let (ufrag, paths) = (ufrag.to_owned(), PeerPaths::new(password));
        if self.by_ufrag.contains_key(&ufrag) {
            // Of 16 random letters.
            return Err(Refused::Panic);
        }
        let id = (host.number(), link.key);
        let peer = Connection::Rtc(Box::new(peer));
        let session = Session::new(now, &self.limits, id, peer, paths, info, wants);
        let index = self.place(session);
        self.by_ufrag.insert(ufrag.clone(), index);
        Ok((answer, ufrag))
    }

    fn watch(
        &mut self,
        link: &Arc<RoomLink>,
        info: PeerInfo,
        line: Arc<Line>,
        (takes, looks, hears): (Vec<VideoCodec>, bool, bool),
        now: Instant,
    ) -> Result<(), Refused> {
        let end = LoopEnd(line);
        self.look(now);
        let host = self.rooms.get_mut(&link.key).ok_or(Refused::Closed)?;
        let wants = Wants {
            sends: false,
            hears,
            data: false,
            shows: false,
            sees: !takes.is_empty(),
            // It is told who is on air.
            placeholder: false,
        };
        let id = (host.number(), link.key);
        let peer = Connection::Page(Box::new(Tv::new(now, takes, hears)));
        let paths = PeerPaths::new("");
        let mut session = Session::new(now, &self.limits, id, peer, paths, info, wants);
        session.line = Some(end);
        session.look(looks);
        self.place(session);
        Ok(())
    }

    /// A new peer of a room that is there.
    fn place(&mut self, session: Session) -> usize {
        let index = self.free.pop().unwrap_or(self.peers.len());
        if index == self.peers.len() {
            self.peers.push(None);
        }
        if let Some(host) = self.rooms.get_mut(&session.room) {
            host.peers.insert(session.id, index);
        }
        self.by_session.insert(session.info.session.clone(), index);
        if let Some(slot) = self.peers.get_mut(index) {
            *slot = Some(Box::new(session));
        }
        self.stir(index);
        index
    }

    fn restart(&mut self, index: usize, ufrag: &str, password: &str, now: Instant) -> Restarted {
        let Some(Some(session)) = self.peers.get_mut(index) else {
            return Restarted::Refused("the session has ended".into());
        };
        if !session.restarts.take(1, now) {
            return Restarted::Often;
        }
        let before = session.peer.credentials().map(|(ours, _)| ours.to_owned());
        let restarted = guarded(&self.counts, session, |session| {
            let peer = session.peer.rtc()?;
            Some(peer.restart(now, ufrag, password))
        });
        let lines = match restarted.flatten() {
            Some(Ok(lines)) => lines,
            Some(Err(error)) => return Restarted::Refused(error.to_string()),
            None => return Restarted::Refused("something went wrong here".into()),
        };
        let Some((ours, password)) = session.peer.credentials() else {
            return Restarted::Refused("it has no ICE".into());
        };
        let (ours, password) = (ours.to_owned(), password.to_owned());
        session.paths.restart(&password);
        if let Some(before) = before {
            self.by_ufrag.remove(&before);
        }
        self.by_ufrag.insert(ours.clone(), index);
        self.stir(index);
        Restarted::Done { lines, ufrag: ours }
    }
}
