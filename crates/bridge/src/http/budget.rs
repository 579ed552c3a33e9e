//! What clients may hold here: connections, and bytes of bodies. When nothing is left of it, one of those that keep us waiting
//! goes, so that clients that send little, slowly or nothing, or that ask without reading, push each other out, and nobody whose
//! request is at work.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Who has come just now is left alone for so long: of many that come at once it may be the first.
const GRACE: Duration = Duration::from_millis(500);

/// How long somebody waits for a share at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looked again this often, since time alone makes some that can go.
const AGAIN: Duration = Duration::from_millis(50);

/// So much for all clients together. Every clone is the same one.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    capacity: usize,
    state: Mutex<State>,
    /// Somebody left, or can go now.
    changed: Notify,
}

#[derive(Default)]
struct State {
    used: usize,
    next: u64,
    shares: BTreeMap<u64, Holding>,
    /// What each address holds.
    by_address: HashMap<IpAddr, usize>,
}

struct Holding {
    address: IpAddr,
    size: usize,
    began: Instant,
    turn: Turn,
    since: Instant,
    evicted: Arc<Notify>,
}

/// Whose turn it is. The first ones go first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Turn {
    /// The client's, to read; or it asked for more before it read what it got.
    ClientReads,
    /// The client's, which had no answer yet.
    ClientBegins,
    /// The client's, which had one: a proxy keeps such connections.
    ClientAgain,
    /// Ours.
    Ours,
}

/// Nothing is left, and nobody can go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl Budget {
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Shared {
            capacity,
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Takes a share; the client has the first turn. Waits a while for it.
    ///
    /// # Errors
    ///
    /// [`Full`], when nobody went meanwhile.
    pub async fn enter(&self, address: IpAddr, size: usize) -> Result<Share, Full> {
        let mut share = self.share(address);
        share.grow(size).await?;
        Ok(share)
    }

    #[cfg(test)]
    fn shares(&self) -> usize {
        self.state().shares.len()
    }

    fn share(&self, address: IpAddr) -> Share {
        let address = network(address);
        let evicted = Arc::new(Notify::new());
        let now = Instant::now();
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.shares.insert(
            number,
            Holding {
                address,
                size: 0,
                began: now,
                turn: Turn::ClientBegins,
                since: now,
                evicted: evicted.clone(),
            },
        );
        Share {
            budget: self.clone(),
            number,
            evicted,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under it panics half way.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives `more` to a share if so much is left, or can be had of others.
    fn try_grow(&self, number: u64, more: usize) -> Result<(), Full> {
        let mut state = self.state();
        if !state.shares.contains_key(&number) {
            // It has been pushed out, and is told.
            return Ok(());
        }
        while state.used + more > self.0.capacity {
            let Some(victim) = state.victim(number) else {
                return Err(Full);
            };
            state.remove(victim);
        }
        if let Some(share) = state.shares.get_mut(&number) {
            share.size += more;
            let address = share.address;
            state.used += more;
            *state.by_address.entry(address).or_default() += more;
        }
        Ok(())
    }
}

impl State {
    /// Who goes first: of the address that holds most, the one that has kept us waiting longest.
    fn victim(&self, except: u64) -> Option<u64> {
        let now = Instant::now();
        self.shares
            .iter()
            .filter(|(number, share)| {
                **number != except
                    && share.size > 0
                    && share.turn != Turn::Ours
                    && now.duration_since(share.began) >= GRACE
            })
            .min_by_key(|(number, share)| {
                let held = self.by_address.get(&share.address).copied().unwrap_or(0);
                (std::cmp::Reverse(held), share.turn, share.since, **number)
            })
            .map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) {
        let Some(share) = self.shares.remove(&number) else {
            return;
        };
        self.used -= share.size;
        if let Some(held) = self.by_address.get_mut(&share.address) {
            *held -= share.size;
            if *held == 0 {
                self.by_address.remove(&share.address);
            }
        }
        share.evicted.notify_one();
    }
}

/// What one client holds of a budget, until it is dropped, or somebody else needs it.
pub struct Share {
    budget: Budget,
    number: u64,
    evicted: Arc<Notify>,
}

impl Share {
    /// Takes more; waits a while for it.
    ///
    /// # Errors
    ///
    /// [`Full`], when nobody went meanwhile.
    pub async fn grow(&mut self, more: usize) -> Result<(), Full> {
        let until = Instant::now() + PATIENCE;
        loop {
            // Made before looking, so that a change in between is not missed.
            let changed = self.budget.0.changed.notified();
            if self.budget.try_grow(self.number, more).is_ok() {
                return Ok(());
            }
            let now = Instant::now();
            if now >= until {
                return Err(Full);
            }
            // Whether it was told or not: it looks again.
            let _ = timeout_at((now + AGAIN).min(until), changed).await;
        }
    }

    /// From now on it is this one's turn.
    pub fn turn(&self, turn: Turn) {
        if let Some(share) = self.budget.state().shares.get_mut(&self.number)
            && share.turn != turn
        {
            share.turn = turn;
            share.since = Instant::now();
        }
        if turn != Turn::Ours {
            self.budget.0.changed.notify_waiters();
        }
    }

    /// Waits until somebody else has got the place.
    pub async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.state().remove(self.number);
        self.budget.0.changed.notify_waiters();
    }
}

/// One customer of IPv6 has a /64 at least.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    async fn enter(budget: &Budget, last: u8) -> Share {
        budget.enter(address(last), 1).await.unwrap()
    }

    async fn is_evicted(share: &Share) -> bool {
        tokio::time::timeout(Duration::from_millis(1), share.evicted())
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_longest_goes_but_nobody_who_has_come_just_now() {
        let budget = Budget::new(2);
        let first = enter(&budget, 1).await;
        tokio::time::advance(GRACE).await;
        let second = enter(&budget, 1).await;
        let third = enter(&budget, 1).await;
        assert!(is_evicted(&first).await);
        assert!(!is_evicted(&second).await);
        // Both are new: it waits until the grace of the older one is over.
        let fourth = enter(&budget, 1).await;
        assert!(is_evicted(&second).await);
        drop((third, fourth));
        assert_eq!(budget.state().used, 0);
        assert!(budget.state().by_address.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_goes_whose_request_is_at_work() {
        let budget = Budget::new(1);
        let share = enter(&budget, 1).await;
        share.turn(Turn::Ours);
        tokio::time::advance(GRACE).await;
        assert_eq!(budget.enter(address(2), 1).await.err(), Some(Full));
        share.turn(Turn::ClientAgain);
        enter(&budget, 2).await;
        assert!(is_evicted(&share).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_goes_before_who_says_nothing_and_a_proxy_last() {
        let budget = Budget::new(3);
        let proxy = enter(&budget, 1).await;
        proxy.turn(Turn::ClientAgain);
        let silent = enter(&budget, 1).await;
        let unread = enter(&budget, 1).await;
        unread.turn(Turn::ClientReads);
        tokio::time::advance(GRACE).await;
        let mut new = Vec::new();
        for victim in [unread, silent, proxy] {
            let share = enter(&budget, 1).await;
            share.turn(Turn::Ours);
            new.push(share);
            assert!(is_evicted(&victim).await);
        }
        assert_eq!(budget.shares(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_that_holds_most_makes_room() {
        let budget = Budget::new(3);
        let honest = enter(&budget, 1).await;
        tokio::time::advance(GRACE).await;
        let many = [enter(&budget, 2).await, enter(&budget, 2).await];
        tokio::time::advance(GRACE).await;
        let _new = enter(&budget, 3).await;
        assert!(!is_evicted(&honest).await);
        assert!(is_evicted(&many[0]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_counted_as_they_come_and_given_back() {
        let budget = Budget::new(100);
        let mut slow = budget.enter(address(1), 10).await.unwrap();
        slow.grow(80).await.unwrap();
        tokio::time::advance(GRACE).await;
        let mut quick = budget.enter(address(2), 50).await.unwrap();
        assert!(is_evicted(&slow).await);
        // What has been pushed out holds nothing, and gets nothing.
        slow.grow(50).await.unwrap();
        assert_eq!(budget.state().used, 50);
        quick.turn(Turn::Ours);
        quick.grow(51).await.unwrap_err();
        quick.grow(50).await.unwrap();
        drop(quick);
        assert_eq!(budget.state().used, 0);
    }
}
