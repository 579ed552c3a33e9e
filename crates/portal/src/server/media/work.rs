//! What is done after every input: peers' voice to rooms, rooms' voice to peers, datagrams out, timers anew.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::super::count;
use super::super::handle::{Happened, PortalEvent};
use super::super::host::{Broken, Host, Outward};
use super::super::paths::Path;
use super::super::queue::Worth;
use super::super::session::{Action, Left, Session};
use super::super::socket::{Route, Socket};
use super::{Media, Timer, guarded};
use crate::channel::control;
use crate::peer::Datagram;
use crate::room::{PeerId, Side};
use crate::tv::message::Said;
use crate::tv::people;

impl Media {
    /// Until nothing moves any more.
    pub(super) fn work(&mut self, now: Instant) {
        loop {
            let peers = std::mem::take(&mut self.stirred_peers);
            let rooms_before = self.stirred_rooms.len();
            if peers.is_empty() && rooms_before == 0 {
                return;
            }
            for index in peers {
                self.peer(index, now);
            }
            for key in std::mem::take(&mut self.stirred_rooms) {
                self.room(key, now);
            }
        }
    }

    fn peer(&mut self, index: usize, now: Instant) {
        let Some(mut session) = self.peers.get_mut(index).and_then(Option::take) else {
            return;
        };
        session.dirty = false;
        while session.left.is_none() {
            let action = guarded(&self.counts, &mut session, |session| session.action(now));
            let Some(Some(action)) = action else { break };
            self.do_in_room(&mut session, action, now);
        }
        self.flush(index, &mut session, now);
        if session.left.is_some() {
            return self.remove(index, session, now);
        }
        let deadline = guarded(&self.counts, &mut session, Session::deadline);
        if let Some(deadline) = deadline {
            let deadline = deadline.max(now.checked_add(super::TICK).unwrap_or(now));
            if session.due.is_none_or(|due| deadline < due) {
                session.due = Some(deadline);
                self.timers.push(Reverse((deadline, Timer::Peer(index))));
            }
        }
        if let Some(slot) = self.peers.get_mut(index) {
            *slot = Some(session);
        }
    }

    fn do_in_room(&mut self, session: &mut Session, action: Action, now: Instant) {
        let key = session.room;
        let Some(host) = self.rooms.get_mut(&key) else {
            return session.leave(Left::Closed);
        };
        if matches!(action, Action::Join(_) | Action::Pictures { .. }) {
            session.stop(now, &host.stopped.0);
        }
        let done = match action {
            Action::Join(member) => host
                .with(|room| room.join(now, session.id, member))
                .and_then(|joined| Self::joined(host, session, joined.err(), now)),
            Action::Voice(source, packet) => host.with(|room| room.from_world(now, source, packet)),
            Action::Name(source, name) => {
                host.people_change(now);
                host.with(|room| room.name(source, name))
            }
            Action::Video(packet) => {
                host.with_stage(now, |stage| stage.packet(now, session.id, packet))
            }
            Action::Feedback(feedback) => {
                host.with_stage(now, |stage| stage.feedback(now, session.id, feedback))
            }
            Action::Pictures { shows, sees } => {
                let subject = &session.info.claims.sub;
                let shows = shows && session.shows_there();
                let camera = shows.then(|| subject.clone()).or_else(|| session.shows());
                host.pictures(now, session.id, camera, sees)
            }
            Action::Jpeg(jpeg) => host.with_stage(now, |stage| stage.jpeg(now, session.id, jpeg)),
        };
        match done {
            Ok(()) => self.stir_room(key),
            Err(_) => {
                session.leave(Left::Panic);
                self.break_room(key);
            }
        }
    }

    fn joined(
        host: &mut Host,
        session: &mut Session,
        refused: Option<crate::room::JoinError>,
        now: Instant,
    ) -> Result<(), Broken> {
        if let Some(refused) = refused {
            session.say(now, control::error("refused", &refused.to_string()));
            session.leave(Left::Refused);
            return Ok(());
        }
        session.in_room = true;
        host.tell(PortalEvent::PeerJoined {
            peer: session.id,
            name: session.name.clone(),
            role: session.info.claims.role,
            subject: session.info.claims.sub.clone(),
            kind: session.info.kind,
            world: session.is_world(),
        });
        let heard = host.heard();
        session.welcome(now, &host.link.id, &host.roster, &heard);
        if let Some(PeerId(peer)) = host.on_air() {
            session.say(now, control::on_air(Some(peer)));
        }
        if session.line.is_some() {
            let picture = host.picture_kind();
            session.greet(picture, &host.people()?);
        }
        host.people_change(now);
        host.picture(now, session.id, session.shows(), session.sees())?;
        if session.looks() {
            return host.pictures(now, session.id, None, true);
        }
        Ok(())
    }

    fn room(&mut self, key: u64, now: Instant) {
        let Some(host) = self.rooms.get_mut(&key) else {
            return;
        };
        host.dirty = false;
        loop {
            let Some(host) = self.rooms.get_mut(&key) else {
                return;
            };
            let outward = match host.output(now) {
                Ok(Some(outward)) => outward,
                Ok(None) => break,
                Err(_) => return self.break_room(key),
            };
            match outward {
                Outward::Voice(peer, spoken) => {
                    let Some(&index) = host.peers.get(&peer) else {
                        continue;
                    };
                    if let Some(Some(session)) = self.peers.get_mut(index) {
                        guarded(&self.counts, session, |session| {
                            session.deliver(now, spoken)
                        });
                    }
                    self.stir(index);
                }
                Outward::Video(peer, packet, again) => {
                    let Some(&index) = host.peers.get(&peer) else {
                        continue;
                    };
                    if let Some(Some(session)) = self.peers.get_mut(index) {
                        guarded(&self.counts, session, |session| {
                            session.peer.any().send_video(now, packet, again);
                        });
                    }
                    self.stir(index);
                }
                Outward::Jpeg(peer, jpeg) => {
                    let Some(&index) = host.peers.get(&peer) else {
                        continue;
                    };
                    let mut sent = None;
                    if let Some(Some(session)) = self.peers.get_mut(index) {
                        sent = guarded(&self.counts, session, |session| session.show(now, &jpeg));
                    }
                    let (bytes, sent) = (jpeg.bytes.len(), sent == Some(true));
                    if host
                        .with_stage(now, |stage| stage.shown(now, peer, bytes, sent))
                        .is_err()
                    {
                        return self.break_room(key);
                    }
                    self.stir(index);
                }
                Outward::Keyframe(peer, ssrc) => {
                    let Some(&index) = host.peers.get(&peer) else {
                        continue;
                    };
                    if let Some(Some(session)) = self.peers.get_mut(index) {
                        guarded(&self.counts, session, |session| {
                            if let Some(peer) = session.peer.rtc() {
                                peer.ask_keyframe(now, ssrc);
                            }
                        });
                    }
                    self.stir(index);
                }
                Outward::Speaking(who, speaking) => {
                    // A player of whom nothing was known before, perhaps.
                    if who.side() == Side::World {
                        host.people_change(now);
                    }
                    if let Some(text) = host.said_to_peers(who, speaking) {
                        self.say_all(key, &text, now);
                    }
                    let id = people::id(who);
                    let said = Said::Speaking { id: &id, speaking };
                    self.tell_pages(key, &said.text());
                }
                Outward::Roster => {
                    let roster = control::roster(&host.roster);
                    host.people_change(now);
                    self.say_all(key, &roster, now);
                }
                Outward::Say(text) => self.say_all(key, &text, now),
                Outward::Kind(picture) => self.tell_pages(key, &Said::Air { picture }.text()),
            }
        }
        let changed = match self.rooms.get_mut(&key) {
            Some(host) => host.changed_people(now),
            None => return,
        };
        match changed {
            Ok(Some(people)) => self.tell_pages(key, &Said::People(&people).text()),
            Ok(None) => {}
            Err(_) => return self.break_room(key),
        }
        let Some(host) = self.rooms.get_mut(&key) else {
            return;
        };
        match host.deadline() {
            Ok(Some(deadline)) => {
                if host.due.is_none_or(|due| deadline < due) {
                    host.due = Some(deadline);
                    self.timers.push(Reverse((deadline, Timer::Room(key))));
                }
            }
            Ok(None) => host.due = None,
            Err(_) => self.break_room(key),
        }
    }

    /// To all who have said hello.
    fn say_all(&mut self, key: u64, text: &str, now: Instant) {
        let Some(host) = self.rooms.get(&key) else {
            return;
        };
        for index in host.peers.values().copied().collect::<Vec<_>>() {
            if let Some(Some(session)) = self.peers.get_mut(index)
                && session.in_room
            {
                guarded(&self.counts, session, |session| {
                    session.say(now, text.to_owned());
                });
                self.stir(index);
            }
        }
    }

    /// To all pages that are in.
    fn tell_pages(&mut self, key: u64, text: &str) {
        let Some(host) = self.rooms.get(&key) else {
            return;
        };
        for index in host.peers.values().copied().collect::<Vec<_>>() {
            if let Some(Some(session)) = self.peers.get_mut(index)
                && session.in_room
                && let Some(page) = session.peer.page()
            {
                page.tell(text.to_owned());
                self.stir(index);
            }
        }
    }

    /// What a peer's machine has for the network.
    fn flush(&mut self, index: usize, session: &mut Session, now: Instant) {
        if session.line.is_some() {
            guarded(&self.counts, session, Session::flush_page);
        }
        loop {
            let transmit = guarded(&self.counts, session, |session| {
                session.peer.rtc()?.transmit()
            });
            let Some(Some(transmit)) = transmit else {
                return self.send(now);
            };
            let same_family = |name: &std::net::SocketAddr| name.is_ipv4() == transmit.to.is_ipv4();
            let socket = self
                .names
                .iter()
                .position(|name| *name == transmit.local)
                .or_else(|| self.names.iter().position(same_family));
            let Some(socket) = socket else { continue };
            let known = Path {
                socket,
                address: transmit.to,
            };
            // STUN is tried on every path.
            if Datagram::of(&transmit.bytes) != Datagram::Stun {
                session.paths.sends_media(known);
            }
            let path = session.paths.swapped(known);
            // Nothing goes to an address that this peer did not prove to be its own, or that is another one's by now.
            let Some(proved) = self.by_path.get(&path).filter(|it| it.peer == index) else {
                continue;
            };
            let route = Route {
                socket: path.socket,
                to: path.address,
                from: proved.to,
            };
            let segments = self.sockets.get(path.socket).map_or(1, Socket::segments);
            if !self.batch.add(route, segments, &transmit.bytes) {
                self.send(now);
                self.batch.add(route, segments, &transmit.bytes);
            }
        }
    }

    /// Sends what is together.
    fn send(&mut self, now: Instant) {
        let route = self.batch.route();
        let socket = route.and_then(|route| self.sockets.get(route.socket));
        if let Some(socket) = socket {
            let counter = match socket.send(&self.batch) {
                Ok(()) => &self.counts.sent,
                Err(error) => {
                    tracing::debug!(%error, at = ?now, "datagrams are not sent");
                    &self.counts.unsent
                }
            };
            for _ in 0..self.batch.count() {
                count(counter);
            }
        }
        self.batch.clear();
    }

    /// The end of a peer, which is out of its place already.
    fn remove(&mut self, index: usize, mut session: Box<Session>, now: Instant) {
        let why = session.left.unwrap_or(Left::Failed);
        if why != Left::Panic {
            guarded(&self.counts, &mut session, |session| {
                session.farewell(now, why)
            });
            self.flush(index, &mut session, now);
        }
        if let Some(line) = session.line.take() {
            line.0.end(why);
        }
        for path in session.paths.all() {
            if self.by_path.get(path).is_some_and(|it| it.peer == index) {
                self.by_path.remove(path);
            }
        }
        if let Some((ours, _)) = session.peer.credentials() {
            self.by_ufrag.remove(ours);
        }
        self.by_session.remove(&session.info.session);
        self.free.push(index);
        let key = session.room;
        let Some(host) = self.rooms.get_mut(&key) else {
            return;
        };
        host.peers.remove(&session.id);
        if why == Left::NeverConnected && session.paths.all().next().is_none() {
            count(&self.counts.unreached);
            self.unreached.note(&host.link.id, now);
        }
        if !session.in_room {
            return;
        }
        host.people_change(now);
        let left = host.leave(now, session.id);
        host.tell(PortalEvent::PeerLeft {
            peer: session.id,
            reason: why,
        });
        match left {
            Ok(()) => self.stir_room(key),
            Err(_) => self.break_room(key),
        }
    }

    /// A room that panicked. Its owner is told, and opens it anew.
    pub(super) fn break_room(&mut self, key: u64) {
        count(&self.counts.panics);
        if let Some(host) = self.rooms.get(&key) {
            host.link.outbox.push(Worth::Fact, Happened::Panicked);
        }
        self.close_room(key, Left::Panic);
    }

    /// The end of a room and of its peers.
    pub(super) fn close_room(&mut self, key: u64, why: Left) {
        let Some(host) = self.rooms.remove(&key) else {
            return;
        };
        host.link.outbox.close();
        host.link.woken.store(false, Ordering::Release);
        for index in host.peers.into_values() {
            if let Some(Some(session)) = self.peers.get_mut(index) {
                session.leave(why);
            }
            self.stir(index);
        }
    }
}
