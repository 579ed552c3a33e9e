//! Where a peer is. Its machine never changes the address that it chose (`rtc` selects a pair once), while peers move: a NAT gives
//! them another port. So the address that the machine knows and the one where the peer is are changed for one another here.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ring::hmac;

use super::stun;

/// A path that is new is taken when the one in use has been silent for so long.
const NEW: Duration = Duration::from_millis(500);

/// One that was known before has to be more patient: browsers check all of theirs now and then.
const KNOWN: Duration = Duration::from_secs(3);

/// Paths of one peer.
const PATHS: usize = 8;

/// A path to a peer: our socket, and the address there.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) socket: usize,
    pub(super) address: SocketAddr,
}

pub(super) struct PeerPaths {
    /// What its checks are signed with.
    password: hmac::Key,
    /// What the machine selected.
    selected: Option<Path>,
    /// Where the peer is, if that is elsewhere.
    moved: Option<Path>,
    /// All paths that it showed itself on, the oldest first.
    paths: VecDeque<Path>,
}

impl PeerPaths {
    pub(super) fn new(password: &str) -> Self {
        Self {
            password: stun::key(password),
            selected: None,
            moved: None,
            paths: VecDeque::new(),
        }
    }

    pub(super) fn password(&self) -> &hmac::Key {
        &self.password
    }

    /// ICE begins anew: the machine will select again.
    pub(super) fn restart(&mut self, password: &str) {
        self.password = stun::key(password);
        self.selected = None;
        self.moved = None;
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter()
    }

    /// Where it is.
    pub(super) fn current(&self) -> Option<Path> {
        self.moved.or(self.selected)
    }

    /// The peer proved itself on a path. Gives the path that is forgotten for it, and whether the peer moved. `silent` is how long
    /// nothing came on the current one.
    pub(super) fn proved(
        &mut self,
        path: Path,
        nominates: bool,
        silent: Duration,
    ) -> (Option<Path>, bool) {
        let known = self.paths.contains(&path);
        let mut forgotten = None;
        if !known {
            if self.paths.len() >= PATHS {
                let current = self.current();
                let oldest = self.paths.iter().position(|it| Some(*it) != current);
                forgotten = oldest.and_then(|oldest| self.paths.remove(oldest));
            }
            self.paths.push_back(path);
        }
        let patience = if known { KNOWN } else { NEW };
        let moves = self.selected.is_some()
            && self.current() != Some(path)
            && (nominates || silent >= patience);
        if moves {
            self.moved = Some(path).filter(|path| self.selected != Some(*path));
        }
        (forgotten, moves)
    }

    /// The path as the machine knows it, or back.
    pub(super) fn swapped(&self, path: Path) -> Path {
        match (self.selected, self.moved) {
            (Some(selected), Some(moved)) if path == moved => selected,
            (Some(selected), Some(moved)) if path == selected => moved,
            _ => path,
        }
    }

    /// The machine sends media on a path: that is the one it selected.
    pub(super) fn sends_media(&mut self, path: Path) {
        if self.selected != Some(path) {
            self.selected = Some(path);
            self.moved = None;
        }
    }
}

/// Silence on a path since `heard`.
pub(super) fn silent(heard: Option<Instant>, now: Instant) -> Duration {
    heard.map_or(Duration::MAX, |heard| now.saturating_duration_since(heard))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path {
            socket: 0,
            address: ([127, 0, 0, 1], port).into(),
        }
    }

    const SHORT: Duration = Duration::from_millis(100);

    #[test]
    fn a_peer_moves_when_it_proves_itself_elsewhere() {
        let mut paths = PeerPaths::new("password");
        assert_eq!(paths.proved(path(1), false, Duration::MAX), (None, false));
        paths.sends_media(path(1));
        assert_eq!(paths.current(), Some(path(1)));
        // Another path is only tried while this one is in use.
        assert_eq!(paths.proved(path(2), false, SHORT), (None, false));
        assert_eq!(paths.proved(path(2), false, NEW), (None, false));
        assert_eq!(paths.proved(path(3), false, NEW), (None, true));
        assert_eq!(paths.current(), Some(path(3)));
        assert_eq!(paths.swapped(path(3)), path(1));
        assert_eq!(paths.swapped(path(1)), path(3));
        assert_eq!(paths.swapped(path(2)), path(2));
        // The machine still says the first one, and it is not undone by that.
        paths.sends_media(path(1));
        assert_eq!(paths.current(), Some(path(3)));
        // What the peer nominates is taken at once, also the first one again.
        assert_eq!(paths.proved(path(1), true, SHORT), (None, true));
        assert_eq!(paths.swapped(path(1)), path(1));
    }

    #[test]
    fn paths_are_few() {
        let mut paths = PeerPaths::new("password");
        paths.proved(path(0), false, Duration::MAX);
        paths.sends_media(path(0));
        for port in 1..8 {
            assert_eq!(paths.proved(path(port), false, SHORT).0, None);
        }
        assert_eq!(paths.proved(path(8), false, SHORT).0, Some(path(1)));
        assert_eq!(paths.all().count(), PATHS);
    }
}
