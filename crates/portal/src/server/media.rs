//! A media loop: the sockets of one port, the peers that come by them, and their rooms. One task, which shares nothing and waits for
//! nobody.

mod arrivals;
mod commands;
mod unreached;
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

use tokio::sync::{Notify, mpsc};
use tokio::time::sleep_until;

use super::handle::RoomLink;
use super::host::Host;
use super::line::{Heard, Line};
use super::paths::Path;
use super::session::{Left, Session};
use super::socket::{Batch, Buffers, Socket, candidates};
use super::{Counts, Limits, count};
use crate::peer::Identity;
use unreached::Unreached;

pub(crate) use commands::{Command, NoSession, Refused, Restarted, SessionAddress};

/// Commands that are taken before the rest of the work is done: each answer costs some milliseconds of cryptography.
const COMMANDS: usize = 4;

/// Timers are not finer than the runtime's.
const TICK: Duration = Duration::from_millis(1);

/// With no timer at all, one is looked for this late.
const IDLE: Duration = Duration::from_secs(60);

/// How a loop is told of rooms that have something for it.
#[derive(Default)]
pub(super) struct Wake {
    notify: Notify,
    links: Mutex<Vec<Arc<RoomLink>>>,
    /// Of pages that said something.
    lines: Mutex<Vec<Arc<Line>>>,
    pub(super) rooms: AtomicUsize,
    pub(super) stopped: AtomicBool,
}

impl Wake {
    pub(super) fn look(&self, link: Arc<RoomLink>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stopped.load(Ordering::Acquire) {
            link.outbox.close();
            return;
        }
        links.push(link);
        drop(links);
        self.notify.notify_one();
    }

    pub(super) fn hear(&self, line: Arc<Line>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stopped.load(Ordering::Acquire) {
            return;
        }
        lines.push(line);
        drop(lines);
        self.notify.notify_one();
    }

    fn take_lines(&self) -> Vec<Arc<Line>> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self) -> Vec<Arc<RoomLink>> {
        std::mem::take(&mut *self.links.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a timer is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Room(u64),
    Peer(usize),
}

/// A path that somebody proved himself on.
struct KnownPath {
    peer: usize,
    /// The address of ours that he sends to.
    to: Option<IpAddr>,
    heard: Instant,
}

pub(super) struct Media {
    sockets: Vec<Socket>,
    /// What goes out next.
    batch: Batch,
    /// What peers are told of all sockets.
    candidates: Vec<SocketAddr>,
    /// By socket: what it is called towards peers' machines.
    names: Vec<SocketAddr>,
    identity: Identity,
    limits: Limits,
    counts: Arc<Counts>,
    unreached: Unreached,
    wake: Arc<Wake>,
    peers: Vec<Option<Box<Session>>>,
    free: Vec<usize>,
    by_path: HashMap<Path, KnownPath>,
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
            batch: Batch::default(),
            candidates: all,
            names,
            identity,
            limits,
            counts,
            unreached: Unreached::default(),
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
            self.hear(now);
            self.ring(now);
            self.work(now);
        }
    }

    /// Rooms that are new, have something in, or are to close.
    fn look(&mut self, now: Instant) {
        for link in self.wake.take() {
            link.woken.store(false, Ordering::Release);
            let key = link.key;
            if link.inbox.is_closed() {
                self.close_room(key, Left::Closed);
                continue;
            }
            if link.outbox.is_closed() {
                continue;
            }
            let host = self
                .rooms
                .entry(key)
                .or_insert_with(|| Host::new(link, now));
            match host.take_inputs(now) {
                Ok(()) => self.stir_room(key),
                Err(_) => self.break_room(key),
            }
            self.stop(key, now);
        }
    }

    /// Sends those away whose publishing is ended.
    fn stop(&mut self, room: u64, now: Instant) {
        let Some(host) = self.rooms.get_mut(&room) else {
            return;
        };
        if std::mem::replace(&mut host.stopped.1, true) {
            return;
        }
        let stopped = host.stopped.0.clone();
        for index in host.peers.values().copied().collect::<Vec<_>>() {
            if let Some(Some(session)) = self.peers.get_mut(index) {
                session.stop(now, &stopped);
            }
            self.stir(index);
        }
    }

    /// What pages said.
    fn hear(&mut self, now: Instant) {
        for line in self.wake.take_lines() {
            line.woken.store(false, Ordering::Release);
            let Some(&index) = self.by_session.get(&line.session) else {
                continue;
            };
            let Some(Some(session)) = self.peers.get_mut(index) else {
                continue;
            };
            session.heard = now;
            while let Some(heard) = line.heard() {
                match heard {
                    Heard::Said(said) => {
                        guarded(&self.counts, session, |session| session.hear(now, said));
                    }
                    Heard::Alive => {}
                    Heard::Gone => {
                        session.leave(Left::Said);
                        break;
                    }
                }
            }
            self.stir(index);
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
                    match host.timeout(now) {
                        Ok(()) => self.stir_room(key),
                        Err(_) => self.break_room(key),
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
        let mut links = self
            .wake
            .links
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.wake.stopped.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *links);
        drop(links);
        // They have the wake in them.
        self.wake.take_lines();
        for link in self.rooms.values().map(|host| &host.link).chain(&waiting) {
            link.outbox.close();
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
    use crate::room::{Options, PeerId};
    use crate::server::fuzzing::{Scripted, scripted};
    use crate::server::handle::Happened;
    use crate::server::queue::Queue;
    use crate::server::session::Wants;

    fn link(key: u64) -> Arc<RoomLink> {
        Arc::new(RoomLink {
            id: format!("room-{key}"),
            key,
            media_loop: 0,
            options: Options::default(),
            inbox: Queue::new(),
            outbox: Queue::new(),
            woken: AtomicBool::new(true),
        })
    }

    fn media(counts: &Arc<Counts>, wake: &Arc<Wake>) -> Media {
        let (identity, limits) = (Identity::new().unwrap(), Limits::default());
        Media::new(vec![], &[], identity, limits, counts.clone(), wake.clone())
    }

    #[test]
    fn a_panic_costs_its_peer_and_no_other() {
        let now = Instant::now();
        let (counts, wake) = (Arc::default(), Arc::default());
        let mut media = media(&counts, &wake);
        wake.look(link(1));
        media.look(now);
        let wants = Wants {
            sends: true,
            hears: false,
            data: false,
            shows: false,
            sees: false,
            placeholder: false,
        };
        for (index, panics) in [(0, true), (1, false)] {
            let mut peer = Scripted::default();
            peer.panics = panics;
            let id = PeerId(index);
            let session = scripted(now, (id, 1), peer, wants).unwrap();
            media.peers.push(Some(Box::new(session)));
            let host = media.rooms.get_mut(&1).unwrap();
            host.peers.insert(id, index as usize);
            media.stir(index as usize);
        }
        media.work(now);
        let there: Vec<bool> = media.peers.iter().map(Option::is_some).collect();
        assert_eq!(there, [false, true]);
        assert_eq!(counts.panics.load(Ordering::Relaxed), 1);
        // The room goes on with who is left.
        let host = media.rooms.get(&1).unwrap();
        assert_eq!(host.peers.values().collect::<Vec<_>>(), [&1]);
    }

    #[test]
    fn a_room_has_a_status_as_soon_as_it_is_there() {
        let now = Instant::now();
        let (counts, wake) = (Arc::default(), Arc::default());
        let mut media = media(&counts, &wake);
        wake.look(link(1));
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        media.command(Command::Status { room: 1, reply }, now);
        assert!(answer.try_recv().is_ok());
    }

    #[tokio::test]
    async fn a_panic_costs_its_room_and_no_other() {
        let now = Instant::now();
        let (counts, wake) = (Arc::default(), Arc::default());
        let mut media = media(&counts, &wake);
        let links = [link(1), link(2)];
        for link in &links {
            wake.look(link.clone());
        }
        media.look(now);
        media.work(now);
        let host = media.rooms.get_mut(&1).unwrap();
        assert!(host.with(|_| panic!("a room's")).is_err());
        media.break_room(1);
        media.work(now);
        assert_eq!(links[0].outbox.next().await, Some(Happened::Panicked));
        assert_eq!(links[0].outbox.next().await, None);
        assert_eq!(media.rooms.keys().collect::<Vec<_>>(), [&2]);
        // What comes for it later finds nothing, and does not begin it anew.
        wake.look(links[0].clone());
        media.look(now);
        assert_eq!(media.rooms.len(), 1);
        drop(media);
        assert_eq!(links[1].outbox.next().await, None);
    }
}
