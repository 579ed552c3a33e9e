//! What stands behind secrets: found by a secret or by whose it is, and bounded. Secrets are kept as hashes: none can be shown, and
//! none is found out by how long a comparison takes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
};

use ring::digest::{SHA256, digest};

use crate::id::Id;

/// So many are kept; the oldest go first.
pub const MOST: usize = 100_000;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    pub fn of(secret: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
        Self(hash)
    }
}

/// Whose something is: a user, and the application that he has allowed it.
pub type Owner = (Id, Id);

/// Everything of a user's, whichever the application is.
pub fn all_of(user: Id) -> RangeInclusive<Owner> {
    (user, Id(0))..=(user, Id(u64::MAX))
}

/// What is kept behind secrets.
pub trait Behind {
    fn owner(&self) -> Owner;
    fn secrets(&self) -> impl Iterator<Item = Hash>;
}

/// All of one kind, in the order in which it was made.
pub struct Kept<T> {
    all: BTreeMap<u64, T>,
    by_secret: HashMap<Hash, u64>,
    by_owner: BTreeSet<(Owner, u64)>,
    last: u64,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            by_secret: HashMap::new(),
            by_owner: BTreeSet::new(),
            last: 0,
        }
    }
}

impl<T: Behind> Kept<T> {
    pub fn add(&mut self, new: T) {
        if self.all.len() == MOST
            && let Some((&oldest, _)) = self.all.first_key_value()
        {
            self.remove(oldest);
        }
        self.last += 1;
        for secret in new.secrets() {
            self.by_secret.insert(secret, self.last);
        }
        self.by_owner.insert((new.owner(), self.last));
        self.all.insert(self.last, new);
    }

    pub fn get(&self, secret: Hash) -> Option<&T> {
        self.all.get(self.by_secret.get(&secret)?)
    }

    pub fn take(&mut self, secret: Hash) -> Option<T> {
        let number = *self.by_secret.get(&secret)?;
        self.remove(number)
    }

    fn remove(&mut self, number: u64) -> Option<T> {
        let old = self.all.remove(&number)?;
        for secret in old.secrets() {
            self.by_secret.remove(&secret);
        }
        self.by_owner.remove(&(old.owner(), number));
        Some(old)
    }

    /// The numbers of those of some owners.
    fn numbers(&self, owners: RangeInclusive<Owner>) -> impl Iterator<Item = u64> {
        let (first, last) = owners.into_inner();
        let range = (first, 0)..=(last, u64::MAX);
        self.by_owner.range(range).map(|(_, number)| *number)
    }

    /// How many an owner has.
    pub fn count(&self, owner: Owner) -> usize {
        self.numbers(owner..=owner).count()
    }

    pub fn remove_all(&mut self, owners: RangeInclusive<Owner>) {
        let numbers: Vec<u64> = self.numbers(owners).collect();
        for number in numbers {
            self.remove(number);
        }
    }

    /// Changes those of some owners, but neither their owners nor their secrets.
    pub fn change_all(&mut self, owners: RangeInclusive<Owner>, change: impl Fn(&mut T)) {
        let numbers: Vec<u64> = self.numbers(owners).collect();
        for number in numbers {
            if let Some(one) = self.all.get_mut(&number) {
                change(one);
            }
        }
    }
}
