//! A media loop: the sockets of one port, the peers that come by them, and their rooms. One task, which shares nothing and waits for
//! nobody.

mod work;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep_until;

use super::handle::Hall;
use super::host::Host;
use super::place::{Path, Place, silent};
use super::session::{Left, Passport, Session, Wants};
use super::socket::{Buffers, Socket, candidates};
use super::stun::Request;
use super::{Counts, Kind, Limits, count};
use crate::peer::{Identity, Offer, OfferError, Peer, Rtc};
use crate::room::Status;

/// Batches that are read before the rest of the work is done.
const BATCHES: usize = 8;

/// Commands that are taken before the rest of the work is done: each answer costs some milliseconds of cryptography.
const COMMANDS: usize = 4;

/// An address is not taken from a peer that showed itself there so recently.
const HELD: Duration = Duration::from_secs(2);

/// Timers are not finer than the runtime's.
const TICK: Duration = Duration::from_millis(1);

/// With no timer at all, one is looked for this late.
const IDLE: Duration = Duration::from_secs(60);

/// What the endpoint asks of a loop.
pub(crate) enum Command {
    Join {
        hall: Arc<Hall>,
        offer: Offer,
        passport: Passport,
        reply: oneshot::Sender<Result<Answered, Refused>>,
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
    End {
        session: SessionAddress,
        reply: oneshot::Sender<Result<(), NoSession>>,
    },
    Status {
        room: u64,
        reply: oneshot::Sender<Status>,
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

/// Why an offer is not answered.
pub(crate) enum Refused {
    Offer(OfferError),
    /// The portal has closed meanwhile.
    Closed,
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
}

/// How a loop is told of rooms that have something for it.
#[derive(Default)]
pub(super) struct Wake {
    notify: Notify,
    halls: Mutex<Vec<Arc<Hall>>>,
    pub(super) rooms: AtomicUsize,
    pub(super) stopped: AtomicBool,
}

impl Wake {
    pub(super) fn look(&self, hall: Arc<Hall>) {
        let mut halls = self.halls.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stopped.load(Ordering::Acquire) {
            hall.outbox.close();
            return;
        }
        halls.push(hall);
        drop(halls);
        self.notify.notify_one();
    }

    fn take(&self) -> Vec<Arc<Hall>> {
        std::mem::take(&mut *self.halls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a timer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Room(u64),
    Peer(usize),
}

/// A path that somebody proved himself on.
struct Known {
    peer: usize,
    /// The address of ours that he sends to.
    to: Option<IpAddr>,
    heard: Instant,
}

pub(super) struct Media {
    sockets: Vec<Socket>,
    /// What peers are told of all sockets.
    candidates: Vec<SocketAddr>,
    /// By socket: what it is called towards peers' machines.
    names: Vec<SocketAddr>,
    identity: Identity,
    limits: Limits,
    counts: Arc<Counts>,
    wake: Arc<Wake>,
    peers: Vec<Option<Box<Session>>>,
    free: Vec<usize>,
    by_path: HashMap<Path, Known>,
    by_ufrag: HashMap<String, usize>,
    by_session: HashMap<String, usize>,
    rooms: HashMap<u64, Host>,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    stirred_peers: Vec<usize>,
    stirred_rooms: Vec<u64>,
}

impl Media {
    pub(super) fn new(
        sockets: Vec<Socket>,
        public: &[IpAddr],
        identity: Identity,
        limits: Limits,
        counts: Arc<Counts>,
        wake: Arc<Wake>,
    ) -> Self {
        let each = |socket: &Socket| candidates(socket.address(), public);
        let by_socket: Vec<Vec<SocketAddr>> = sockets.iter().map(each).collect();
        let first = |(socket, names): (&Socket, &Vec<SocketAddr>)| {
            names.first().copied().unwrap_or(socket.address())
        };
        let mut names: Vec<SocketAddr> = Vec::new();
        for both in sockets.iter().zip(&by_socket) {
            // Two sockets with one public address have two names all the same.
            let name = first(both);
            names.push(if names.contains(&name) {
                both.0.address()
            } else {
                name
            });
        }
        let mut all: Vec<SocketAddr> = Vec::new();
        for candidate in by_socket.into_iter().flatten().chain(names.iter().copied()) {
            if !all.contains(&candidate) {
                all.push(candidate);
            }
        }
        Self {
            sockets,
            candidates: all,
            names,
            identity,
            limits,
            counts,
            wake,
            peers: Vec::new(),
            free: Vec::new(),
            by_path: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_session: HashMap::new(),
            rooms: HashMap::new(),
            timers: BinaryHeap::new(),
            stirred_peers: Vec::new(),
            stirred_rooms: Vec::new(),
        }
    }

    /// Runs until nobody can ask anything any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut buffers = Buffers::new(&self.sockets);
        let wake = self.wake.clone();
        let timer = sleep_until(Instant::now().into());
        tokio::pin!(timer);
        loop {
            let next = self.next_timer(Instant::now());
            timer.as_mut().reset(next.into());
            let mut taken = Vec::new();
            tokio::select! {
                count = commands.recv_many(&mut taken, COMMANDS) => {
                    if count == 0 {
                        return;
                    }
                }
                () = wake.notify.notified() => {}
                () = &mut timer => {}
                () = readable(&self.sockets) => {}
            }
            let now = Instant::now();
            self.receive(&mut buffers, now);
            for command in taken {
                self.command(command, now);
            }
            self.look(now);
            self.ring(now);
            self.work(now);
        }
    }

    fn receive(&mut self, buffers: &mut Buffers, now: Instant) {
        let sockets = std::mem::take(&mut self.sockets);
        for (index, socket) in sockets.iter().enumerate() {
            for _ in 0..BATCHES {
                let read = socket.receive(buffers, |bytes, address, to| {
                    count(&self.counts.received);
                    let path = Path {
                        socket: index,
                        address,
                    };
                    self.route(path, to, bytes, now);
                });
                // Not readable, or an error that the next readable one shows again.
                if !matches!(read, Ok(true)) {
                    break;
                }
            }
        }
        self.sockets = sockets;
    }

    /// Finds out whose a datagram is. Only signed Binding requests show where somebody is; all else that comes from elsewhere goes.
    fn route(&mut self, path: Path, to: Option<IpAddr>, bytes: &[u8], now: Instant) {
        let request = Request::parse(bytes);
        let index = match &request {
            Some(request) => match self.prove(path, to, request, now) {
                Some(index) => index,
                None => return,
            },
            None => match self.by_path.get_mut(&path) {
                Some(known) => {
                    known.heard = now;
                    known.to = to;
                    known.peer
                }
                None => return count(&self.counts.unknown),
            },
        };
        let Some(Some(session)) = self.peers.get_mut(index) else {
            return count(&self.counts.unknown);
        };
        session.heard = now;
        if request.is_none() && !session.admits(now, bytes.len()) {
            count(&self.counts.limited);
        } else {
            let known = session.place.swapped(path);
            let local = self.names.get(known.socket).copied();
            if let Some(local) = local {
                guarded(&self.counts, session, |session| {
                    session.peer.datagram(now, local, known.address, bytes);
                });
            }
        }
        self.stir(index);
    }

    /// A Binding request: whose it is, if it is signed.
    fn prove(
        &mut self,
        path: Path,
        to: Option<IpAddr>,
        request: &Request<'_>,
        now: Instant,
    ) -> Option<usize> {
        let Some(&index) = self.by_ufrag.get(request.ufrag) else {
            count(&self.counts.unknown);
            return None;
        };
        let session = self.peers.get_mut(index)?.as_mut()?;
        if !request.signed_with(session.place.password()) {
            count(&self.counts.unsigned);
            return None;
        }
        let holder = self.by_path.get(&path);
        if holder.is_some_and(|it| it.peer != index && silent(Some(it.heard), now) < HELD) {
            // Whoever has a session of its own could take another one's voice by a forged address.
            count(&self.counts.refused);
            return None;
        }
        let current = session.place.current().and_then(|it| self.by_path.get(&it));
        let quiet = silent(current.map(|known| known.heard), now);
        let (forgotten, moved) = session.place.proved(path, request.nominates, quiet);
        if moved {
            count(&self.counts.moved);
        }
        if let Some(forgotten) = forgotten
            && self
                .by_path
                .get(&forgotten)
                .is_some_and(|it| it.peer == index)
        {
            self.by_path.remove(&forgotten);
        }
        self.by_path.insert(
            path,
            Known {
                peer: index,
                to,
                heard: now,
            },
        );
        Some(index)
    }

    fn command(&mut self, command: Command, now: Instant) {
        // Whoever does not wait for an answer any more gets none.
        match command {
            Command::Join {
                hall,
                offer,
                passport,
                reply,
            } => {
                let session = passport.session.clone();
                let answer = self.join(&hall, offer, passport, now);
                let joined = answer.is_ok();
                if reply.send(answer).is_err() && joined {
                    self.end_session(&session);
                }
            }
            Command::Look { session, reply } => {
                let found = self.find(&session).and_then(|index| self.peers.get(index));
                let ufrag = found
                    .and_then(Option::as_ref)
                    .map(|it| it.peer.credentials().0);
                let _ = reply.send(ufrag.map(str::to_owned).ok_or(NoSession));
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
            Command::End { session, reply } => {
                let found = self.find(&session);
                if found.is_some() {
                    self.end_session(&session.session);
                }
                let _ = reply.send(found.map(|_| ()).ok_or(NoSession));
            }
            Command::Status { room, reply } => {
                let Some(host) = self.rooms.get_mut(&room) else {
                    return;
                };
                match host.status(now) {
                    Ok(status) => {
                        let _ = reply.send(status);
                    }
                    Err(_) => self.break_room(room, now),
                }
                self.stir_room(room);
            }
        }
    }

    fn find(&self, address: &SessionAddress) -> Option<usize> {
        let index = *self.by_session.get(&address.session)?;
        let session = self.peers.get(index)?.as_ref()?;
        let host = self.rooms.get(&session.room)?;
        let same = session.passport.claims.sub == address.subject
            && session.passport.kind == address.kind
            && host.hall.id == address.portal;
        same.then_some(index)
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
        hall: &Arc<Hall>,
        offer: Offer,
        passport: Passport,
        now: Instant,
    ) -> Result<Answered, Refused> {
        // The room may be so new that nobody looked.
        self.look(now);
        let host = self.rooms.get_mut(&hall.key).ok_or(Refused::Closed)?;
        let audio = offer.audio();
        let wants = Wants {
            sends: passport.kind != Kind::Whep && audio.is_some_and(|audio| audio.sends),
            hears: passport.kind != Kind::Whip && audio.is_some_and(|audio| audio.receives),
            data: passport.kind == Kind::Peer && offer.data(),
        };
        let identity = &self.identity;
        let addresses = self.candidates.clone();
        // An offer is what strangers wrote.
        let accepted = catch_unwind(AssertUnwindSafe(|| {
            Rtc::accept(now, identity, offer, addresses, wants.hears)
        }));
        let (peer, answer) = match accepted {
            Ok(accepted) => accepted.map_err(Refused::Offer)?,
            Err(_) => {
                count(&self.counts.panics);
                return Err(Refused::Panic);
            }
        };
        let (ufrag, password) = peer.credentials();
        let (ufrag, place) = (ufrag.to_owned(), Place::new(password));
        if self.by_ufrag.contains_key(&ufrag) {
            // Of 16 random letters.
            return Err(Refused::Panic);
        }
        let id = host.number();
        let index = self.free.pop().unwrap_or(self.peers.len());
        if index == self.peers.len() {
            self.peers.push(None);
        }
        host.peers.insert(id, index);
        self.by_ufrag.insert(ufrag.clone(), index);
        self.by_session.insert(passport.session.clone(), index);
        let session = Session::new(
            now,
            &self.limits,
            (id, hall.key),
            Box::new(peer),
            place,
            passport,
            wants,
        );
        if let Some(place) = self.peers.get_mut(index) {
            *place = Some(Box::new(session));
        }
        self.stir(index);
        Ok((answer, ufrag))
    }

    fn restart(&mut self, index: usize, ufrag: &str, password: &str, now: Instant) -> Restarted {
        let Some(Some(session)) = self.peers.get_mut(index) else {
            return Restarted::Refused("the session has ended".into());
        };
        let before = session.peer.credentials().0.to_owned();
        let restarted = guarded(&self.counts, session, |session| {
            session.peer.restart(now, ufrag, password)
        });
        let lines = match restarted {
            Some(Ok(lines)) => lines,
            Some(Err(error)) => return Restarted::Refused(error.to_string()),
            None => return Restarted::Refused("something went wrong here".into()),
        };
        let (ours, password) = session.peer.credentials();
        let (ours, password) = (ours.to_owned(), password.to_owned());
        session.place.restart(&password);
        self.by_ufrag.remove(&before);
        self.by_ufrag.insert(ours.clone(), index);
        self.stir(index);
        Restarted::Done { lines, ufrag: ours }
    }

    /// Rooms that are new, have something in, or are to close.
    fn look(&mut self, now: Instant) {
        for hall in self.wake.take() {
            hall.woken.store(false, Ordering::Release);
            let key = hall.key;
            if hall.inbox.is_closed() {
                self.close_room(key, Left::Closed, now);
                continue;
            }
            if hall.outbox.is_closed() {
                continue;
            }
            let host = self
                .rooms
                .entry(key)
                .or_insert_with(|| Host::new(hall, now));
            match host.take_inputs(now) {
                Ok(()) => self.stir_room(key),
                Err(_) => self.break_room(key, now),
            }
        }
    }

    fn next_timer(&self, now: Instant) -> Instant {
        let idle = now.checked_add(IDLE).unwrap_or(now);
        let soonest = now.checked_add(TICK).unwrap_or(now);
        self.timers
            .peek()
            .map_or(idle, |Reverse((at, _))| (*at).max(soonest).min(idle))
    }

    fn ring(&mut self, now: Instant) {
        while let Some(Reverse((at, timer))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            match timer {
                Timer::Room(key) => {
                    let Some(host) = self.rooms.get_mut(&key).filter(|it| it.due == Some(at))
                    else {
                        continue;
                    };
                    host.due = None;
                    match host.with(|room| room.timeout(now)) {
                        Ok(()) => self.stir_room(key),
                        Err(_) => self.break_room(key, now),
                    }
                }
                Timer::Peer(index) => {
                    let Some(Some(session)) = self.peers.get_mut(index) else {
                        continue;
                    };
                    if session.due != Some(at) {
                        continue;
                    }
                    session.due = None;
                    guarded(&self.counts, session, |session| session.timeout(now));
                    self.stir(index);
                }
            }
        }
    }

    fn stir(&mut self, index: usize) {
        if let Some(Some(session)) = self.peers.get_mut(index)
            && !std::mem::replace(&mut session.dirty, true)
        {
            self.stirred_peers.push(index);
        }
    }

    fn stir_room(&mut self, key: u64) {
        if let Some(host) = self.rooms.get_mut(&key)
            && !std::mem::replace(&mut host.dirty, true)
        {
            self.stirred_rooms.push(key);
        }
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        let mut halls = self
            .wake
            .halls
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.wake.stopped.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *halls);
        drop(halls);
        for hall in self.rooms.values().map(|host| &host.hall).chain(&waiting) {
            hall.outbox.close();
        }
    }
}

/// Works with a peer. A panic costs the peer, and nothing else.
fn guarded<T>(
    counts: &Counts,
    session: &mut Session,
    work: impl FnOnce(&mut Session) -> T,
) -> Option<T> {
    let worked = catch_unwind(AssertUnwindSafe(|| work(session)));
    if worked.is_err() {
        count(&counts.panics);
        session.leave(Left::Panic);
    }
    worked.ok()
}

async fn readable(sockets: &[Socket]) {
    poll_fn(|context| {
        let mut ready = false;
        for socket in sockets {
            ready |= socket.poll_readable(context).is_ready();
        }
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::Options;
    use crate::server::handle::Happened;
    use crate::server::queue::Queue;

    fn hall(key: u64) -> Arc<Hall> {
        Arc::new(Hall {
            id: format!("room-{key}"),
            key,
            home: 0,
            options: Options::default(),
            inbox: Queue::new(),
            outbox: Queue::new(),
            woken: AtomicBool::new(true),
        })
    }

    #[tokio::test]
    async fn a_panic_costs_its_room_and_no_other() {
        let now = Instant::now();
        let wake = Arc::new(Wake::default());
        let identity = Identity::new().unwrap();
        let counts = Arc::new(Counts::default());
        let mut media = Media::new(
            vec![],
            &[],
            identity,
            Limits::default(),
            counts,
            wake.clone(),
        );
        let halls = [hall(1), hall(2)];
        for hall in &halls {
            wake.look(hall.clone());
        }
        media.look(now);
        media.work(now);
        let host = media.rooms.get_mut(&1).unwrap();
        assert!(host.with(|_| panic!("a room's")).is_err());
        media.break_room(1, now);
        media.work(now);
        assert_eq!(halls[0].outbox.next().await, Some(Happened::Panicked));
        assert_eq!(halls[0].outbox.next().await, None);
        assert_eq!(media.rooms.keys().collect::<Vec<_>>(), [&2]);
        // What comes for it later finds nothing, and does not begin it anew.
        wake.look(halls[0].clone());
        media.look(now);
        assert_eq!(media.rooms.len(), 1);
        drop(media);
        assert_eq!(halls[1].outbox.next().await, None);
    }
}
