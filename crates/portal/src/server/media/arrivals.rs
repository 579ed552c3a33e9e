//! Datagrams in: whose each is, and where its peer is.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::count;
use super::super::paths::{Path, silent};
use super::super::socket::Buffers;
use super::super::stun::Request;
use super::{KnownPath, Media, guarded};

/// Batches that are read before the rest of the work is done.
const BATCHES: usize = 8;

/// An address is not taken from a peer that showed itself there so recently.
const HELD: Duration = Duration::from_secs(2);

impl Media {
    pub(super) fn receive(&mut self, buffers: &mut Buffers, now: Instant) {
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
        if !session.admits(now, bytes) {
            count(&self.counts.limited);
        } else {
            let known = session.paths.swapped(path);
            let local = self.names.get(known.socket).copied();
            if let Some(local) = local {
                guarded(&self.counts, session, |session| {
                    if let Some(peer) = session.peer.rtc() {
                        peer.datagram(now, local, known.address, bytes);
                    }
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
        if !request.signed_with(session.paths.password()) {
            count(&self.counts.unsigned);
            return None;
        }
        let holder = self.by_path.get(&path);
        if holder.is_some_and(|it| it.peer != index && silent(Some(it.heard), now) < HELD) {
            // Whoever has a session of its own could take another one's voice by a forged address.
            count(&self.counts.refused);
            return None;
        }
        let current = session.paths.current().and_then(|it| self.by_path.get(&it));
        // Another peer that has it by now is no sign of this one.
        let current = current.filter(|known| known.peer == index);
        let quiet = silent(current.map(|known| known.heard), now);
        let (forgotten, moved) = session.paths.proved(path, request.nominates, quiet);
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
            KnownPath {
                peer: index,
                to,
                heard: now,
            },
        );
        Some(index)
    }
}
